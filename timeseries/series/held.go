package series

import (
	"context"
	"strings"
	"time"

	"github.com/ecovolt/telemetryd/timeseries/channel"
	"github.com/ecovolt/telemetryd/timeseries/column"
	"github.com/ecovolt/telemetryd/timeseries/rollup"
	"github.com/ecovolt/telemetryd/timeseries/series/bucket"
	"github.com/ecovolt/telemetryd/timeseries/series/selects"
)

// readHeld calls read with views that have no transaction, where something is held of
// the sessions: one statement finds out which of that still holds, or none. It fails where
// the answer needs more than what is held.
func (r *Reader) readHeld(ctx context.Context, req *Request, members []string, read func([]*view) error) error {
	if len(members) > 0 || !r.columns.Holds(req.Sessions) {
		return column.ErrNotHeld
	}
	cat, err := r.rollups.Catalog(ctx, r.pool)
	if err != nil {
		return err
	}
	found := r.seen(req, cat)
	if len(found) < len(req.Sessions) {
		rows, err := r.pool.Query(ctx, viewsSQL, req.Sessions, req.Metrics)
		if err != nil {
			return err
		}
		if found, err = scanViews(rows, cat); err != nil {
			return err
		}
		for _, v := range found {
			// At one version only usual steps, by a new summary, and whether the run is settled
			// change: they may be a minute old. Where levels are made anew, what is held of them holds.
			if !v.growing && len(v.dirty) == 0 {
				r.views.Put(viewKey(v.version, req), seenView{*v, time.Now()}, 1024)
			}
		}
	}
	views, err := r.finish(ctx, column.Nothing{}, found, req.Sessions)
	if err != nil {
		return err
	}
	return read(views)
}

// seenView is what viewsSQL found at that time.
type seenView struct {
	view
	at time.Time
}

func viewKey(version string, req *Request) string {
	return version + "\x00" + strings.Join(req.Metrics, "\x00")
}

// seen returns the sessions as they were found within a minute, those that are still at
// the version that the caller has just read.
func (r *Reader) seen(req *Request, cat *rollup.Catalog) map[string]*view {
	found := map[string]*view{}
	for _, version := range req.Versions {
		if v, ok := r.views.Get(viewKey(version, req)); ok && v.catalog == cat && time.Since(v.at) < time.Minute {
			found[v.id] = &v.view
		}
	}
	return found
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
		defer rows.Release()
		rows.Each(each)
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
