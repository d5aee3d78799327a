package compare

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/ecovolt/telemetryd/internal/fault"
	"github.com/ecovolt/telemetryd/internal/load"
	schema "github.com/ecovolt/telemetryd/sql"
	"github.com/ecovolt/telemetryd/timeseries/analysis"
	"github.com/ecovolt/telemetryd/timeseries/channel"
	"github.com/ecovolt/telemetryd/timeseries/series"
)

// mostMeans bounds the records of laps times channels that are gone over at once, by
// the class of who asks; they are counted in the database, and not held.
var mostMeans = [...]int64{series.Member: 50_000_000, series.Guest: 1_000_000}

// Means adds to laps of a run what their records say of channels: mean, lowest and
// highest. It fails as Read does.
func (r *Reader) Means(ctx context.Context, run string, laps []analysis.Lap, req Request) error {
	want, err := r.metrics(ctx, req.Metrics)
	if err != nil || len(want) == 0 || len(laps) == 0 {
		return err
	}
	for _, c := range want {
		switch {
		case c.Type == channel.Text:
			return fault.Field("metrics", "%q is a state, which has no mean", fault.Clip(c.Name))
		case c.Neighbours():
			return fault.Field("metrics", "%q is made of several records each time, and these are counted one by one", c.Name)
		}
	}
	err = r.heavy.Try(ctx, func(admitted bool) error {
		return schema.Snapshot(ctx, r.pool, timeout, func(tx pgx.Tx) error {
			if _, err := tx.Exec(ctx, "SET LOCAL plan_cache_mode = force_custom_plan"); err != nil {
				return err
			}
			return r.means(ctx, tx, run, laps, want, &req, admitted)
		})
	})
	if schema.TimedOut(ctx, err) {
		return &fault.Error{Kind: fault.Unavailable, Message: "the laps hold more than can be read in time; ask for fewer metrics", RetryAfter: timeout, Err: err}
	}
	return fault.Wrap("read the means of laps", err)
}

// told is what the records of laps say of channels, as of a batch of their run.
type told struct {
	batch int32
	laps  map[stretch][]analysis.LapMetric
}

// stretch is when a lap begins and ends, microseconds since 1970.
type stretch struct{ from, to int64 }

func stretchOf(l *analysis.Lap) stretch { return stretch{l.From.UnixMicro(), l.To.UnixMicro()} }

// metricBytes is about what a channel of a lap takes to be kept.
const metricBytes = 96

// means takes what is known of laps, and reads the others: while a run drives, those
// that a batch since then has records of.
func (r *Reader) means(ctx context.Context, tx pgx.Tx, run string, laps []analysis.Lap, want []channel.Channel, req *Request, admitted bool) error {
	var session, batch, rewritten int32
	var records int64
	err := tx.QueryRow(ctx, "SELECT session, batch, rewritten, records FROM sessions WHERE id = $1 AND deleted_at IS NULL", run).Scan(&session, &batch, &rewritten, &records)
	if err == pgx.ErrNoRows {
		return fault.NoSession(run)
	}
	if err != nil {
		return err
	}
	// By the revision, which each analysis of a run that drives raises, nothing would be
	// found again.
	key := fmt.Sprint(session, " ", rewritten)
	for _, c := range want {
		key += fmt.Sprintf(" %q %q", c.Name, c.Values())
	}
	known, _ := r.told.Get(key)
	if known.batch > batch { // a replica may be behind what it was
		known = told{}
	}
	var changed *time.Time
	if known.batch < batch {
		err := tx.QueryRow(ctx, "SELECT min(min_time) FROM ingest_batches WHERE session = $1 AND batch > $2", session, known.batch).Scan(&changed)
		if err != nil {
			return err
		}
	}
	now := told{batch, map[stretch][]analysis.LapMetric{}}
	var unknown []*analysis.Lap
	for i := range laps {
		at := stretchOf(&laps[i])
		if of, ok := known.laps[at]; ok && (changed == nil || at.to <= changed.UnixMicro()) {
			now.laps[at] = of
		} else {
			unknown = append(unknown, &laps[i])
		}
	}
	if len(unknown) > 0 {
		switch values := records * int64(len(want)); {
		case values > mostMeans[req.Class]:
			return fault.Field("metrics", "these metrics go over %d values, and may over %d", values, mostMeans[req.Class])
		case values/int64(len(laps))*int64(len(unknown)) > heavyCells && !admitted:
			return load.ErrHeavy
		}
		if err := readMeans(ctx, tx, session, unknown, want, now.laps); err != nil {
			return err
		}
		r.told.Put(key, now, len(laps)*len(want)*metricBytes)
	}
	for i := range laps {
		laps[i].Metrics = map[string]analysis.LapMetric{}
		for k, of := range now.laps[stretchOf(&laps[i])] {
			laps[i].Metrics[want[k].Name] = of
		}
	}
	return nil
}

// readMeans reads from records what laps, which follow one another, say of channels.
func readMeans(ctx context.Context, tx pgx.Tx, session int32, laps []*analysis.Lap, want []channel.Channel, into map[stretch][]analysis.LapMetric) error {
	from, to := make([]time.Time, len(laps)), make([]time.Time, len(laps))
	for i, l := range laps {
		from[i], to[i] = l.From, l.To
		into[stretchOf(l)] = nil
	}
	columns := []string{"width_bucket(time, $2::timestamptz[])"}
	for _, c := range want {
		value := "(" + c.Number() + ")"
		finite := " FILTER (WHERE " + value + " BETWEEN -1e290 AND 1e290)" // their sum is a number, and avg() takes squares
		for _, of := range []string{"count", "sum", "min", "max"} {
			columns = append(columns, of+value+finite)
		}
	}
	rows, err := tx.Query(ctx, `
		SELECT `+strings.Join(columns, ", ")+`
		FROM telemetry
		WHERE session = $1 AND time >= $4 AND time < $5 AND time < ($3::timestamptz[])[width_bucket(time, $2::timestamptz[])]
		GROUP BY 1`, session, from, to, from[0], to[len(to)-1])
	if err != nil {
		return err
	}
	lap := 0
	found := make([]analysis.LapMetric, len(want))
	fields := []any{&lap}
	for k := range found {
		fields = append(fields, &found[k].Count, &found[k].Mean, &found[k].Min, &found[k].Max)
	}
	_, err = pgx.ForEachRow(rows, fields, func() error {
		for k := range found {
			if of := &found[k]; of.Mean != nil { // their sum yet
				mean := *of.Mean / float64(of.Count)
				of.Mean = &mean
			}
		}
		into[stretchOf(laps[lap-1])] = slices.Clone(found)
		return nil
	})
	return err
}
