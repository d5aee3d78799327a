package bench

import (
	"bytes"
	"context"
	"fmt"
	"math/rand/v2"
	"net/http"
	"strconv"
	"time"

	"github.com/jackc/pgx/v5"

	schema "github.com/ecovolt/telemetryd/sql"
	"github.com/ecovolt/telemetryd/timeseries/channel"
)

// costs measures what values cost until all that follows them is done, and not only
// until they are acknowledged: in processor time of daemon, database and the programs
// that were run, since what follows goes on beside other work. Plain \copy of as many
// values into the same table is the measure.
func costs(ctx context.Context, e *Env) error {
	t := newTable(e.Out, "way in", "channels", "values/s", "beside 34", "cpu s/million: acknowledged", "settled", "\\copy", "x \\copy")
	cases := []costCase{{"CSV upload", contractChannels, 0}, {"CSV upload", 300, 0}, {"NDJSON of 200", contractChannels, 200}}
	measured, plain, day := make([][3][]float64, len(cases)), []float64{}, 0
	for range 3 {
		for i, c := range cases {
			day++
			rate, acknowledged, settled, err := c.run(ctx, e, day)
			if err != nil {
				return fmt.Errorf("%s: %w", c.name, err)
			}
			for k, v := range [3]float64{rate, acknowledged, settled} {
				measured[i][k] = append(measured[i][k], v)
			}
		}
		day++
		spent := e.stopwatch(ctx)
		r := makeRows(e.Rows)
		if _, err := r.on(day).copyInto(ctx, e, "telemetry", firstSession); err != nil {
			return err
		}
		plain = append(plain, spent()/r.millions())
	}
	first, copied := median(measured[0][0]), median(plain)
	for i, c := range cases {
		rate, acknowledged, settled := median(measured[i][0]), median(measured[i][1]), median(measured[i][2])
		t.row(c.name, c.channels, int(rate), rate/first, acknowledged, settled, copied, settled/copied)
	}
	t.flush()
	return columnstore(ctx, e)
}

// stopwatch returns what tells the seconds of processor time that were used since.
func (e *Env) stopwatch(ctx context.Context) func() float64 {
	used := func() time.Duration { return e.Daemon.CPU() + e.databaseCPU(ctx) + e.programs }
	begun := used()
	return func() float64 { return (used() - begun).Seconds() }
}

// on are the same records, so many days earlier.
func (r rows) on(day int) rows {
	times := make([]time.Time, len(r.times))
	for i, t := range r.times {
		times[i] = t.AddDate(0, 0, -day)
	}
	return rows{times, r.values}
}

// millions is how many million values the records have.
func (r rows) millions() float64 { return float64(len(r.times)*len(benchFields)) / 1e6 }

// contractChannels is how many channels of the contract a record has: those that the
// team's own car sends.
const contractChannels = 34

type costCase struct {
	name     string
	channels int
	batch    int // 0 is all at once
}

// run returns values/s, and seconds of processor time for a million values until they
// are acknowledged, and until all that follows them is done.
func (c costCase) run(ctx context.Context, e *Env, day int) (rate, acknowledged, settled float64, err error) {
	records := e.Rows * contractChannels / c.channels
	start := time.Date(2026, 2, 1, 8, 0, 0, 0, time.UTC).AddDate(0, 0, -day)
	session, form, batch := fmt.Sprintf("costs-%d", day), "ndjson", c.batch
	if batch == 0 {
		form, batch = "csv", records
	}
	var bodies [][]byte
	for at := 0; at < records; at += batch {
		bodies = append(bodies, manyChannels(session, start, at, min(at+batch, records), c.channels, form))
	}
	if err = refreshed(ctx, e.Pool); err != nil {
		return
	}
	client := &http.Client{Transport: &http.Transport{}}
	defer client.CloseIdleConnections()
	spent, begun := e.stopwatch(ctx), time.Now()
	for _, body := range bodies {
		if err = post(ctx, client, e.Daemon.URL, form, body); err != nil {
			return
		}
	}
	millions := float64(records*c.channels) / 1e6
	rate, acknowledged = millions*1e6/time.Since(begun).Seconds(), spent()/millions
	err = refreshed(ctx, e.Pool)
	return rate, acknowledged, spent() / millions, err
}

// manyChannels writes records with so many channels: those of the contract first, then
// sensors that nobody has heard of.
func manyChannels(session string, start time.Time, from, to, channels int, form string) []byte {
	var names []string
	for _, c := range channel.All {
		if c.Charted && len(names) < min(channels, contractChannels) {
			names = append(names, c.Name)
		}
	}
	for i := len(names); i < channels; i++ {
		names = append(names, fmt.Sprintf("sensor_%03d", i))
	}
	random := rand.New(rand.NewPCG(uint64(from), 7))
	var b bytes.Buffer
	if form == "csv" {
		b.WriteString("session_id,timestamp")
		for _, name := range names {
			b.WriteString("," + name)
		}
		b.WriteByte('\n')
	}
	var line []byte
	for i := from; i < to; i++ {
		at := start.Add(time.Duration(i) * time.Second / seriesRate)
		if form == "csv" {
			line = at.AppendFormat(append(append(line[:0], session...), ','), benchTime)
		} else {
			line = append(at.AppendFormat(fmt.Appendf(line[:0], `{"session_id":%q,"timestamp":"`, session), benchTime), '"')
		}
		for _, name := range names {
			line = append(line, ',')
			if form != "csv" {
				line = append(append(append(line, '"'), name...), `":`...)
			}
			line = strconv.AppendFloat(line, float64(random.IntN(5000))/100, 'f', -1, 64)
		}
		if form != "csv" {
			line = append(line, '}')
		}
		b.Write(append(line, '\n'))
	}
	return b.Bytes()
}

// columnstore measures a long file until all of it lies in the columnstore. The measure
// is \copy of the same records, as text, and compress_chunk: into a hypertable with the
// columns, the index and the columnstore of telemetry, from which no rollups are made.
func columnstore(ctx context.Context, e *Env) error {
	var license string
	if err := e.Pool.QueryRow(ctx, "SHOW timescaledb.license").Scan(&license); err != nil || license != "timescale" {
		return err
	}
	_, err := e.Pool.Exec(ctx, `
		CREATE TABLE plain (LIKE telemetry INCLUDING ALL);
		SELECT create_hypertable('plain', 'time', chunk_time_interval => INTERVAL '1 day', create_default_indexes => false);
		ALTER TABLE plain SET (timescaledb.compress, timescaledb.compress_segmentby = 'session', timescaledb.compress_orderby = 'time, batch, ord')`)
	if err != nil {
		return err
	}
	r := makeRows(longFile * e.Rows)
	ways := []struct {
		name string
		run  func(context.Context, *Env, rows) (begun time.Time, err error)
	}{{"telemetryd import", importToColumnstore}, {"\\copy, compress_chunk", copyToColumnstore}}
	rates, spent := make([][]float64, len(ways)), make([][]float64, len(ways))
	for turn := range 3 {
		for i, way := range ways {
			if err := refreshed(ctx, e.Pool); err != nil {
				return err
			}
			used := e.stopwatch(ctx)
			begun, err := way.run(ctx, e, r.on(100+10*turn))
			if err != nil {
				return fmt.Errorf("%s: %w", way.name, err)
			}
			rates[i] = append(rates[i], float64(len(r.times))/time.Since(begun).Seconds())
			spent[i] = append(spent[i], used()/r.millions())
		}
	}
	fmt.Fprintf(e.Out, "\n%d records until they are in the columnstore\n", len(r.times))
	t := newTable(e.Out, "way in", "records/s", "x \\copy", "cpu s/million")
	for i, way := range ways {
		t.row(way.name, int(median(rates[i])), median(rates[i])/median(rates[1]), median(spent[i]))
	}
	t.flush()
	return nil
}

func copyToColumnstore(ctx context.Context, e *Env, r rows) (begun time.Time, err error) {
	if begun, err = r.copyInto(ctx, e, "plain", firstSession); err != nil {
		return begun, err
	}
	chunks, err := r.chunks(ctx, e, "plain")
	for _, chunk := range chunks {
		if _, err := e.Pool.Exec(ctx, "SELECT compress_chunk($1::text::regclass)", chunk); err != nil {
			return begun, err
		}
	}
	return begun, err
}

// importToColumnstore does not wait for the rollups, since \copy has none.
func importToColumnstore(ctx context.Context, e *Env, r rows) (begun time.Time, err error) {
	if begun, err = r.importAs(ctx, e, "columnstore-"+r.times[0].Format(time.DateOnly)); err != nil {
		return begun, err
	}
	chunks, err := r.chunks(ctx, e, "telemetry")
	for _, chunk := range chunks {
		for rowsLeft := true; rowsLeft; time.Sleep(20 * time.Millisecond) {
			if err := e.Pool.QueryRow(ctx, "SELECT EXISTS (SELECT FROM ONLY "+chunk+")").Scan(&rowsLeft); err != nil {
				return begun, err
			}
		}
	}
	return begun, err
}

// chunks are those of a table that the records lie in.
func (r rows) chunks(ctx context.Context, e *Env, table string) ([]string, error) {
	return schema.List(ctx, e.Pool, pgx.RowTo[string], `
		SELECT format('%I.%I', chunk_schema, chunk_name) FROM timescaledb_information.chunks
		WHERE hypertable_name = $1 AND hypertable_schema = current_schema() AND range_end > $2 AND range_start <= $3`,
		table, r.times[0], r.times[len(r.times)-1])
}
