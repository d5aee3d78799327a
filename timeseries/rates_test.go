package timeseries_test

import (
	"encoding/csv"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/ecovolt/telemetryd/internal/fault"
	"github.com/ecovolt/telemetryd/timeseries"
	"github.com/ecovolt/telemetryd/timeseries/delta"
	"github.com/ecovolt/telemetryd/timeseries/expression"
	"github.com/ecovolt/telemetryd/timeseries/record"
	"github.com/ecovolt/telemetryd/timeseries/registry"
	"github.com/ecovolt/telemetryd/timeseries/series"
)

// beside is a record of a run, all of which are in order.
type beside struct {
	at     record.Cursor
	values [3]*float64 // volts, amperes, cell temperature
}

// rateOf is what rate(x) says of record i, among those of batches up to that one.
func rateOf(all []beside, batch int32, x func(beside) (float64, bool)) func(i int) (float64, bool) {
	return func(i int) (float64, bool) {
		v, ok := x(all[i])
		for k := i - 1; ok && k >= 0; k-- {
			before, there := x(all[k])
			if !there || all[k].at.Batch > batch {
				continue
			}
			took := all[i].at.Micros - all[k].at.Micros
			change := v - before
			if took == 0 || took > expression.Reach.Microseconds() || math.IsInf(change, 0) {
				return 0, false
			}
			return change / (float64(took) / 1e6), true
		}
		return 0, false
	}
}

// ratesOf are the channels of the test as a loop over the records has them.
func ratesOf(all []beside, batch int32) map[string]func(i int) (float64, bool) {
	of := func(k int) func(beside) (float64, bool) {
		return func(b beside) (float64, bool) {
			if b.values[k] == nil {
				return 0, false
			}
			return *b.values[k], true
		}
	}
	volts, amperes := of(0), of(1)
	watts := func(b beside) (float64, bool) {
		u, has := volts(b)
		i, both := amperes(b)
		return u * i, has && both && !math.IsInf(u*i, 0)
	}
	slope, warming, surge := rateOf(all, batch, volts), rateOf(all, batch, of(2)), rateOf(all, batch, watts)
	return map[string]func(i int) (float64, bool){
		"slope": slope,
		"chosen": func(i int) (float64, bool) {
			switch a, ok := amperes(all[i]); {
			case !ok:
				return 0, false
			case a > 0:
				return surge(i)
			}
			if v, ok := warming(i); ok {
				return v, true
			}
			return -1, true
		},
		"both": func(i int) (float64, bool) {
			a, ok := slope(i)
			b, too := surge(i)
			return 2*a + b, ok && too
		},
	}
}

// besides reads the records as they are stored.
func (h *server) besides() []beside {
	h.t.Helper()
	rows, err := h.pool.Query(h.t.Context(), `
		SELECT time, batch, ord, voltage_v, current_a, (record_members(numbers, extra) ->> 'Cell Temp')::float8
		FROM telemetry WHERE session = (SELECT session FROM sessions WHERE id = 'run') ORDER BY time, batch, ord`)
	if err != nil {
		h.t.Fatal(err)
	}
	all, err := pgx.CollectRows(rows, func(row pgx.CollectableRow) (b beside, err error) {
		var at time.Time
		err = row.Scan(&at, &b.at.Batch, &b.at.Ord, &b.values[0], &b.values[1], &b.values[2])
		b.at.Micros = at.UnixMicro()
		return b, err
	})
	if err != nil {
		h.t.Fatal(err)
	}
	return all
}

func near(a, b float64) bool { return math.Abs(a-b) <= 1e-9*max(math.Abs(a), math.Abs(b)) }

// A rate of a record is the same however the record is asked for: in a chart at any zoom,
// in a page, in an export and live, whatever came late or was taken away.
func TestRates(t *testing.T) {
	t.Parallel()
	for seed := range fewer(t, 3, 1) {
		t.Run("", func(t *testing.T) {
			t.Parallel()
			checkRates(t, rand.New(rand.NewPCG(seed, 60)))
		})
	}
}

func checkRates(t *testing.T, rng *rand.Rand) {
	h := newServer(t)
	at := time.Date(2026, 5, 1, 10, 0, 0, 0, time.UTC)
	var batches [][]rec
	for range 12 {
		var batch []rec
		for range 20 + rng.IntN(120) {
			switch rng.IntN(60) {
			case 0:
				at = at.Add(time.Duration(rng.IntN(150)) * time.Second) // a silence, about as long as the reach
			case 1, 2, 3, 4: // of one time
			default:
				at = at.Add(time.Duration(1+rng.IntN(400)) * time.Millisecond)
			}
			r := rec{"session_id": "run", "timestamp": record.FormatTime(at), "distance_m": at.Sub(raceStart).Seconds()}
			for _, name := range []string{"voltage_v", "current_a", "Cell Temp"} {
				switch rng.IntN(10) {
				case 0, 1, 2:
				case 3:
					r[name] = []float64{0, 1e90, -1e90, 1e-200}[rng.IntN(4)]
				default:
					r[name] = math.Round(rng.NormFloat64()*500) / 10
				}
			}
			batch = append(batch, r)
		}
		rng.Shuffle(rng.IntN(len(batch)), func(i, j int) { batch[i], batch[j] = batch[j], batch[i] })
		batches = append(batches, batch)
	}
	rng.Shuffle(len(batches), func(i, j int) { batches[i], batches[j] = batches[j], batches[i] })
	half := batches[3] // what came between what another batch brings
	batches[3] = nil
	for i, r := range half {
		batches[4+i%2] = append(batches[4+i%2], r)
	}
	for i, batch := range batches {
		if len(batch) > 0 {
			h.insert(batch...)
		}
		if i == 6 {
			h.refresh()
			for _, c := range [][2]string{
				{"slope", "rate(voltage_v)"}, {"watts", "voltage_v * current_a"},
				{"chosen", "if(current_a > 0, rate(watts), coalesce(rate(cell_temp), -1))"}, {"both", "2 * slope + rate(watts)"},
			} {
				if _, err := h.store.Channels.Put(t.Context(), "", c[0], registry.Definition{Expression: c[1], Unit: "W"}); err != nil {
					t.Fatal(err)
				}
			}
		}
	}
	h.checkRates(rng)
	if _, err := h.pool.Exec(t.Context(), `
		WITH gone AS (DELETE FROM telemetry WHERE batch = 5 OR ord % 7 = 3)
		UPDATE sessions SET revision = revision + 1`); err != nil {
		t.Fatal(err)
	}
	h.checkRates(rng)
}

func (h *server) checkRates(rng *rand.Rand) {
	all := h.besides()
	rates := ratesOf(all, math.MaxInt32)
	for name, want := range rates {
		h.checkRateSeries(rng, all, name, want)
	}
	h.checkRatePages(rng, all, rates)
	h.checkRateSQL(all, rates["slope"])
	h.checkRateDeltas(all)
}

func (h *server) checkRateSeries(rng *rand.Rand, all []beside, name string, want func(int) (float64, bool)) {
	t := h.t
	t.Helper()
	first, last := all[0].at.Time(), all[len(all)-1].at.Time()
	for n := range 16 {
		req := series.Request{Sessions: []string{"run"}, Metrics: []string{name}, Points: []int{1, 9, 100, 5000}[n%4], Mode: series.Mode(n / 4 % 2), Fill: series.FillNull}
		if n%3 > 0 {
			req.Metrics = []string{"voltage_v", name, "slope", "watts"}[:2+2*(n%2)]
			if name == "slope" {
				req.Metrics = req.Metrics[:2]
			}
		}
		from, to := first, last.Add(time.Microsecond)
		if n >= 4 {
			from = all[rng.IntN(len(all))].at.Time().Add(time.Duration(rng.IntN(3)-1) * time.Microsecond)
			to = from.Add(time.Duration(1+rng.Int64N(int64(last.Sub(first)))) + time.Microsecond).Truncate(time.Microsecond)
		}
		req.From, req.To = from, to
		answer, err := h.store.Series.Read(t.Context(), req)
		if err != nil {
			t.Fatalf("%+v: %v", req, err)
		}
		got := answer.Sessions[0]
		m := got.Metrics[min(1, len(req.Metrics)-1)]
		if len(req.Metrics) == 1 && got.Level != "raw" {
			t.Errorf("rates alone are served by %s", got.Level)
		}
		where := fmt.Sprintf("%v of %d points from %v to %v, %v", req.Metrics, req.Points, from, to, req.Mode)
		column, points, low, high, sum, count := -1, 0, 0.0, 0.0, 0.0, int64(0)
		check := func() {
			t.Helper()
			if column < 0 {
				return
			}
			if m.Count[column] != count || count > 0 && (!near(m.Min[column], low) || !near(m.Max[column], high) || math.Abs(m.Avg[column]-sum/float64(count)) > 1e-9*(math.Abs(low)+math.Abs(high))) {
				t.Fatalf("%s: column %d has %d from %v to %v, mean %v; want %d from %v to %v, mean %v", where, column, m.Count[column], m.Min[column], m.Max[column], m.Avg[column],
					count, low, high, sum/float64(count))
			}
		}
		for i, b := range all {
			if b.at.Time().Before(from) || !b.at.Time().Before(to) {
				continue
			}
			v, ok := want(i)
			if got.Points { // the records themselves, and holes
				for ok && (column < 0 || m.Count[column] == 0) {
					if column++; column == len(got.X) {
						t.Fatalf("%s: no point for the record at %v", where, b.at.Time())
					}
				}
				if ok && (micros(got.X[column]) != b.at.Micros || !near(m.Avg[column], v)) {
					t.Fatalf("%s: the record at %v has %v at %v, want %v", where, b.at.Time(), m.Avg[column], got.X[column], v)
				}
				if ok {
					column, points = column+1, points+1
				}
				if column == len(got.X) {
					column--
				}
				continue
			}
			for column < 0 || column+1 < len(got.X) && micros(got.X[column+1]) <= b.at.Micros {
				check()
				column, count, sum = column+1, 0, 0
			}
			if ok {
				if count == 0 {
					low, high = v, v
					if m.First != nil && (!near(m.First[column], v) || micros(m.FirstX[column]) != b.at.Micros) {
						t.Fatalf("%s: column %d begins with %v, want %v", where, column, m.First[column], v)
					}
				}
				low, high, sum, count = min(low, v), max(high, v), sum+v, count+1
				if m.Last != nil && count == m.Count[column] && (!near(m.Last[column], v) || micros(m.LastX[column]) != b.at.Micros) {
					t.Fatalf("%s: column %d ends with %v, want %v", where, column, m.Last[column], v)
				}
			}
		}
		if !got.Points {
			check()
			continue
		}
		for _, n := range m.Count {
			points -= int(n)
		}
		if points != 0 {
			t.Fatalf("%s: %d points too few", where, points)
		}
	}
	count := int64(0)
	for i := range all {
		if _, ok := want(i); ok {
			count++
		}
	}
	for _, align := range []series.Align{series.AlignElapsed, series.AlignDistance} {
		answer, err := h.store.Series.Read(t.Context(), series.Request{Sessions: []string{"run"}, Metrics: []string{"voltage_v", name}, Points: 40, Align: align})
		if err != nil {
			t.Fatal(err)
		}
		got := int64(0)
		for _, n := range answer.Sessions[0].Metrics[1].Count {
			got += n
		}
		if got != count {
			t.Errorf("%s by %v: %d values, want %d", name, align, got, count)
		}
	}
}

func (h *server) checkRatePages(rng *rand.Rand, all []beside, rates map[string]func(int) (float64, bool)) {
	t := h.t
	t.Helper()
	names := []string{"slope", "chosen", "both"}
	check := func(what string, from int, got []rec) {
		t.Helper()
		for k, r := range got {
			for _, name := range names {
				v, ok := rates[name](from + k)
				x, has := r[name].(float64)
				if has != ok || ok && !near(x, v) {
					t.Fatalf("%s: %s of record %d is %v, want %v, %v", what, name, from+k, r[name], v, ok)
				}
			}
		}
	}
	whole := h.read(timeseries.RecordQuery{SessionID: "run", Fields: names})
	if len(whole) != len(all) {
		t.Fatalf("%d records of %d", len(whole), len(all))
	}
	check("all", 0, whole)
	q := timeseries.RecordQuery{SessionID: "run", Fields: names}
	for from := 0; from < len(all); { // by pages
		q.Limit = 1 + rng.IntN(len(all)/8)
		page := h.read(q)
		check("a page", from, page)
		from += len(page)
		q.After = &all[from-1].at
	}
	for range 5 {
		from := rng.IntN(len(all))
		for from > 0 && all[from-1].at.Micros == all[from].at.Micros {
			from--
		}
		check("a window", from, h.read(timeseries.RecordQuery{SessionID: "run", Fields: names, From: all[from].at.Time(), Limit: 50}))
		n := 1 + rng.IntN(60)
		check("the newest", len(all)-n, h.read(timeseries.RecordQuery{SessionID: "run", Fields: names, Newest: true, Limit: n}))
	}
	rs, err := h.store.Records(t.Context(), timeseries.RecordQuery{SessionID: "run", Fields: names})
	if err != nil {
		t.Fatal(err)
	}
	text := string(rs.CSVHeader())
	for rs.Next() {
		text = string(rs.Record().AppendCSV([]byte(text)))
	}
	table, err := csv.NewReader(strings.NewReader(text)).ReadAll()
	if err != nil || rs.Err() != nil {
		t.Fatal(err, rs.Err())
	}
	for i, row := range table[1:] {
		for k, name := range names {
			v, ok := rates[name](i)
			var x float64
			if _, err := fmt.Sscan(row[2+k], &x); (err == nil) != ok || ok && !near(x, v) {
				t.Fatalf("CSV: %s of record %d is %q, want %v, %v", name, i, row[2+k], v, ok)
			}
		}
	}
}

// checkRateSQL asks as docs/channels.md says.
func (h *server) checkRateSQL(all []beside, want func(int) (float64, bool)) {
	t := h.t
	t.Helper()
	text, err := os.ReadFile("../docs/channels.md")
	if err != nil {
		t.Fatal(err)
	}
	_, query, _ := strings.Cut(string(text), "```sql\n")
	query, _, _ = strings.Cut(query, "```")
	rows, err := h.pool.Query(t.Context(), strings.NewReplacer("my-run", "run", "speed_ms", "voltage_v").Replace(query))
	if err != nil {
		t.Fatal(err)
	}
	got, err := pgx.CollectRows(rows, func(row pgx.CollectableRow) (v *float64, err error) {
		var at time.Time
		err = row.Scan(&at, &v)
		return v, err
	})
	if err != nil {
		t.Fatal(err)
	}
	for i, b := range all {
		if b.values[0] == nil {
			continue
		}
		if v, ok := want(i); ok != (got[0] != nil) || ok && !near(*got[0], v) {
			t.Fatalf("SQL has %v of record %d, want %v, %v", got[0], i, v, ok)
		}
		got = got[1:]
	}
}

// checkRateDeltas reads as those do who follow a run: what a batch brought, as the
// batches up to it tell.
func (h *server) checkRateDeltas(all []beside) {
	t := h.t
	t.Helper()
	set, err := h.store.Channels.Current(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	names := []string{"slope", "chosen", "both"}
	fields, _ := set.Select(names)
	places := map[record.Cursor]int{}
	for i, b := range all {
		places[b.at] = i
	}
	seen := 0
	for batch := int32(1); batch < 13; batch++ {
		rates := ratesOf(all, batch)
		var session int32
		if err := h.pool.QueryRow(t.Context(), "SELECT session FROM sessions WHERE id = 'run'").Scan(&session); err != nil {
			t.Fatal(err)
		}
		for from := (delta.Position{Session: session, Batch: batch - 1}); ; {
			got, err := h.store.Deltas.Read(t.Context(), []delta.Want{{ID: "run", From: from, Upto: batch}}, fields, 37)
			if err != nil {
				t.Fatal(err)
			}
			d := got[0]
			for i := range d.Len() {
				after := d.After(i)
				var r rec
				if err := json.Unmarshal(d.AppendRecord(nil, i, fields), &r); err != nil {
					t.Fatal(err)
				}
				at := record.Cursor{Micros: d.Time(i).UnixMicro(), Batch: batch, Ord: after.Next - 1}
				if after.Next == 0 { // the batch ends with it
					at.Ord = -1
					for c := range places {
						if c.Micros == at.Micros && c.Batch == batch {
							at.Ord = max(at.Ord, c.Ord)
						}
					}
				}
				place, ok := places[at]
				if !ok {
					t.Fatalf("there is no record %+v", at)
				}
				seen++
				for _, name := range names {
					v, ok := rates[name](place)
					x, has := r[name].(float64)
					if has != ok || ok && !near(x, v) {
						t.Fatalf("live: %s of record %d of batch %d is %v, want %v, %v", name, at.Ord, batch, r[name], v, ok)
					}
				}
			}
			if d.To == from || d.To.Batch >= batch {
				break
			}
			from = d.To
		}
	}
	if seen != len(all) {
		t.Errorf("%d records came live, of %d", seen, len(all))
	}
}

// A chart of rates goes over so many records at most, and says which window fits.
func TestRatesOfLongRuns(t *testing.T) {
	t.Parallel()
	h := newServer(t)
	h.insert(recordAt("long", 0, 1), recordAt("long", 28*time.Hour, 2), recordAt("long", 28*time.Hour+time.Second, 4))
	if _, err := h.store.Channels.Put(t.Context(), "", "slope", registry.Definition{Expression: "rate(speed_ms)"}); err != nil {
		t.Fatal(err)
	}
	// It looks like a run of so many records, which nobody has to store.
	if _, err := h.pool.Exec(t.Context(), "UPDATE sessions SET records = 1000000 WHERE id = 'long'"); err != nil {
		t.Fatal(err)
	}
	for _, mode := range []series.Mode{series.ModeMinMax, series.ModeM4} {
		req := series.Request{Sessions: []string{"long"}, Metrics: []string{"slope"}, Points: 100, Mode: mode}
		_, err := h.store.Series.Read(t.Context(), req)
		var refused *fault.Error
		if !errors.As(err, &refused) || refused.Kind != fault.Invalid || refused.Problems[0].Field != "metrics" {
			t.Fatalf("%v: %v", mode, err)
		}
		_, text, _ := strings.Cut(refused.Problems[0].Reason, "a window of ")
		text, _, _ = strings.Cut(text, " fits")
		window, err := time.ParseDuration(text)
		if err != nil || window < 9*time.Hour || window > 12*time.Hour {
			t.Fatalf("%v: %v of %v", mode, err, refused)
		}
		req.From = raceStart.Add(28*time.Hour - window)
		answer, err := h.store.Series.Read(t.Context(), req)
		if err != nil {
			t.Fatal(err)
		}
		if m := answer.Sessions[0].Metrics[0]; m.Count[len(m.Count)-1] != 1 || m.Max[len(m.Max)-1] != 0.25 {
			t.Errorf("%v: it ends with %v", mode, m.Max)
		}
	}
}
