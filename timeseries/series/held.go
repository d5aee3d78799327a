package series

import (
	"context"
	"errors"

	"github.com/jackc/pgx/v5"

	"github.com/ecovolt/telemetryd/timeseries/channel"
	"github.com/ecovolt/telemetryd/timeseries/column"
	"github.com/ecovolt/telemetryd/timeseries/rollup"
	"github.com/ecovolt/telemetryd/timeseries/series/bucket"
	"github.com/ecovolt/telemetryd/timeseries/series/selects"
)

// readHeld calls read with views that have no transaction, where something is held of
// the sessions: one statement finds out which of that still holds. It fails where the
// answer needs more than what is held.
func (r *Reader) readHeld(ctx context.Context, sessions, channels, members []string, read func([]*view) error) error {
	if len(members) > 0 || !r.columns.Holds(sessions) {
		return errNotHeld
	}
	cat, err := r.rollups.Catalog(ctx, r.pool)
	if err != nil {
		return err
	}
	rows, err := r.pool.Query(ctx, viewsSQL, sessions, channels)
	if err != nil {
		return err
	}
	found, err := scanViews(rows, cat)
	if err != nil {
		return err
	}
	views, err := r.finish(ctx, nothing{}, found, sessions)
	if err != nil {
		return err
	}
	return read(views)
}

// eachHeld calls each with the rows of a segment, if they are held: of records the value of
// each metric, of a level what Stored selects.
func (v *view) eachHeld(s segment, metrics []channel.Channel, each func(times []int64, values [][]float64)) bool {
	table := column.Table{From: "telemetry", Time: "time"}
	var columns []string
	switch {
	case len(metrics) == 0 || s.level != raw && v.columns != nil:
		return false
	case s.level == raw:
		for _, c := range metrics {
			columns = append(columns, c.SQL())
		}
	default:
		table.From, table.Time = v.relation(s.level)
		table.Width, columns = rollup.Levels[s.level].Width.Microseconds(), selects.Stored(metrics)
	}
	rows, ok := v.held.Rows(table, columns, s.span.From.UnixMicro(), s.span.To.UnixMicro())
	if ok {
		rows.Each(each)
		rows.Release()
	}
	return ok
}

// addHeld adds a segment to the sums, if it is held.
func (v *view) addHeld(s segment, metrics []channel.Channel, sums *bucket.Sums, places bucket.Places) bool {
	add := sums.SampleRows
	if s.level != raw {
		add = sums.MergeRows
	}
	return v.eachHeld(s, metrics, func(times []int64, values [][]float64) { add(times, values, places) })
}

// streamHeld adds the records of the window to pixel columns, if they are held.
func (v *view) streamHeld(window rollup.Span, columns *bucket.Columns, sums *bucket.Sums, metrics []channel.Channel) bool {
	return v.eachHeld(segment{raw, window}, metrics, func(times []int64, values [][]float64) { columns.SampleRows(sums, times, values) })
}

var errNotHeld = errors.New("the answer needs more than what is held of the session")

// nothing stands for a transaction where there is none: it answers no query.
type nothing struct{ pgx.Tx }

func (nothing) Query(context.Context, string, ...any) (pgx.Rows, error) { return nil, errNotHeld }

func (nothing) QueryRow(context.Context, string, ...any) pgx.Row { return noRow{} }

func (nothing) SendBatch(_ context.Context, b *pgx.Batch) pgx.BatchResults {
	if b.Len() > 0 {
		return noResults{err: errNotHeld}
	}
	return noResults{}
}

type noRow struct{}

func (noRow) Scan(...any) error { return errNotHeld }

type noResults struct {
	pgx.BatchResults
	err error
}

func (r noResults) Close() error { return r.err }
