package series

import (
	"context"
	"fmt"
	"math"
	"slices"
	"strings"
	"time"

	"github.com/ecovolt/telemetryd/internal/fault"
	"github.com/ecovolt/telemetryd/timeseries/channel"
	"github.com/ecovolt/telemetryd/timeseries/expression"
	"github.com/ecovolt/telemetryd/timeseries/record"
	"github.com/ecovolt/telemetryd/timeseries/record/walk"
	"github.com/ecovolt/telemetryd/timeseries/rollup"
	"github.com/ecovolt/telemetryd/timeseries/series/along"
	"github.com/ecovolt/telemetryd/timeseries/series/bucket"
	"github.com/ecovolt/telemetryd/timeseries/series/round"
	"github.com/ecovolt/telemetryd/timeseries/series/selects"
)

// distanceRows is how many rows of a level a series by distance may read.
const distanceRows = 20_000

// byDistance reads with an axis of distance. Each record, or each bucket of the
// level that serves the window, counts where the vehicle's counter stood in it.
func byDistance(ctx context.Context, answer *Answer, views []*view, metrics []channel.Channel) error {
	req := &answer.Request
	start, end := 0.0, math.NaN()
	if req.Start != nil {
		start = *req.Start
	}
	if req.End != nil {
		end = *req.End
	} else {
		for _, v := range views {
			far, err := v.farthest(ctx)
			if err != nil {
				return err
			}
			if math.IsNaN(end) || far > end {
				end = far
			}
		}
		end = math.Nextafter(end, math.Inf(1)) // the last metre belongs to it
	}
	want := wanted{metrics: metrics}
	for i, v := range views {
		out := &answer.Sessions[i]
		if !(start < end) {
			empty(out, want, req.Mode)
			continue
		}
		if err := v.readDistance(ctx, out, start, end, req, want); err != nil {
			return err
		}
	}
	return nil
}

func (v *view) readDistance(ctx context.Context, out *Session, start, end float64, req *Request, want wanted) error {
	steps, err := v.usualSteps(ctx, want)
	if err != nil {
		return err
	}
	window, err := v.driven(ctx, start, end)
	if err != nil {
		return err
	}
	level := v.distanceLevel(window)
	if slices.ContainsFunc(want.metrics, func(c channel.Channel) bool { return !c.HasColumn() }) {
		// No level has it.
		if level = raw; v.recordsIn(window) > m4Scan {
			return fault.Field("metrics", "one of them has no levels: by distance, ask for at most about %d records of the run, or by time", m4Scan)
		}
	}
	width := round.Step(start, end, req.Points)
	first := math.Floor(start / width)
	n := max(int(math.Ceil(end/width)-first), 1)
	sums := bucket.New(n, len(want.metrics))
	way := along.Places{Place: func(row along.Row) {
		if !(row.At >= start && row.At < end) {
			return
		}
		i := min(max(int(math.Floor(row.At/width)-first), 0), n-1)
		sums.Records[i] += row.Records
		for m, a := range row.Metrics {
			if a.Count == 0 {
				continue
			}
			s := &sums.Metrics[m]
			if s.Count[i] == 0 {
				s.First[i], s.Last[i] = row.First, row.Last
			}
			s.First[i], s.Last[i] = min(s.First[i], row.First), max(s.Last[i], row.Last)
			s.Add(i, a.Min, a.Max, a.Sum, a.Count)
		}
	}}
	if err := v.distanceRows(ctx, window, level, want.metrics, way.Add); err != nil {
		return err
	}
	way.End()
	out.Level, out.Width = levelName(level), width
	emit(out, sums, nil, grid{x: func(k int) float64 { return max((first+float64(k))*width, start) }}, req, want, steps)
	return nil
}

// driven returns the stretch of time in which the vehicle's counter stood
// between start and end, up to a bucket of the level that the run is short
// enough for: a lap of a long race is read more finely than the race.
func (v *view) driven(ctx context.Context, start, end float64) (rollup.Span, error) {
	level := v.distanceLevel(v.span)
	if level == raw {
		return v.span, nil
	}
	var window rollup.Span
	for _, p := range v.cover(v.span, level) {
		table, timeColumn := v.relation(p.level)
		low, high, width := selects.Distance(p.level == raw), selects.Distance(p.level == raw), time.Microsecond
		if p.level != raw {
			low, width = "coalesce(distance_m_min, route_distance_km_min * 1000)", rollup.Levels[p.level].Width
		}
		var from, to *time.Time
		err := v.tx.QueryRow(ctx, fmt.Sprintf(`
			SELECT min(%[1]s), max(%[1]s) FROM %[2]s
			WHERE session = $1 AND %[1]s >= $2 AND %[1]s < $3 AND %[3]s < $5 AND %[4]s >= $4`, timeColumn, table, low, high),
			v.session, p.span.From, p.span.To, start, end).Scan(&from, &to)
		if err != nil {
			return window, err
		}
		if from == nil {
			continue
		}
		if window.From.IsZero() || from.Before(window.From) {
			window.From = from.UTC()
		}
		if last := to.Add(width).UTC(); last.After(window.To) {
			window.To = last
		}
	}
	// One bucket more on either side, whose records tell where those between
	// them were.
	if !window.Empty() {
		window.From, window.To = window.From.Add(-rollup.Levels[level].Width), window.To.Add(rollup.Levels[level].Width)
	}
	return window.Clip(v.span), nil
}

// distanceLevel returns the finest level by which the window is short enough.
func (v *view) distanceLevel(window rollup.Span) int {
	if !v.catalog.Stored() || v.fewRecords(window, distanceRows) || window.Empty() {
		return raw
	}
	for i, level := range rollup.Levels {
		if v.catalog.Tables[level.Relation] != "" && window.Length()/level.Width <= distanceRows {
			return i
		}
	}
	return len(rollup.Levels) - 1
}

// distanceRows reads the records of a window, or the rows of a level, in order.
func (v *view) distanceRows(ctx context.Context, window rollup.Span, level int, metrics []channel.Channel, add func(along.Row)) error {
	_, walked := v.apart(metrics) // then all is read from the records
	over := walk.Over(walked.metrics)
	walks := over.Walks()
	for _, p := range v.cover(window, level) {
		table, timeColumn := v.relation(p.level)
		order, begin := timeColumn, p.span.From
		if len(walked.metrics) > 0 {
			order, begin = "time, batch, ord", begin.Add(-expression.Reach)
		}
		var columns strings.Builder
		columns.WriteString("time, time, 1::bigint")
		if p.level != raw {
			columns.Reset()
			columns.WriteString("first_time, last_time, records")
		}
		columns.WriteString(", " + selects.Distance(p.level == raw))
		for _, c := range metrics {
			if p.level == raw {
				fmt.Fprintf(&columns, ", %[1]s, %[1]s, %[1]s, ((%[1]s IS NOT NULL)::int)::bigint", c.SQL())
			} else {
				fmt.Fprintf(&columns, ", %[1]s_min, %[1]s_max, %[1]s_sum, %[1]s_count", c.Name)
			}
		}
		rows, err := v.tx.Query(ctx, fmt.Sprintf("SELECT %[1]s FROM %[2]s WHERE session = $1 AND %[3]s >= $2 AND %[3]s < $3 ORDER BY %[4]s",
			columns.String()+over.Inputs(), table, timeColumn, order), v.session, begin, p.span.To)
		if err != nil {
			return err
		}
		err = record.ReadColumns(rows, func(r *record.Columns) {
			row := along.Row{First: r.Micros(), Last: r.Micros(), Records: r.Int(), At: r.Float(), Metrics: make([]along.Sums, len(metrics))}
			for m := range row.Metrics {
				row.Metrics[m] = along.Sums{Min: r.Float(), Max: r.Float(), Sum: r.Float(), Count: r.Int()}
			}
			for k, value := range walks.Read(row.First, r) {
				if !math.IsNaN(value) {
					row.Metrics[walked.places[k]] = along.Sums{Min: value, Max: value, Sum: value, Count: 1}
				}
			}
			if row.First >= p.span.From.UnixMicro() {
				add(row)
			}
		})
		if err != nil {
			return err
		}
	}
	return nil
}

// farthest returns the session's greatest distance; NaN when it has none.
func (v *view) farthest(ctx context.Context) (float64, error) {
	far := math.NaN()
	for _, p := range v.cover(v.span, v.distanceLevel(v.span)) {
		table, timeColumn := v.relation(p.level)
		var d *float64
		err := v.tx.QueryRow(ctx, fmt.Sprintf("SELECT max(%s) FROM %s WHERE session = $1 AND %[3]s >= $2 AND %[3]s < $3",
			selects.Distance(p.level == raw), table, timeColumn), v.session, p.span.From, p.span.To).Scan(&d)
		if err != nil {
			return 0, err
		}
		if d != nil && !(*d <= far) {
			far = *d
		}
	}
	return far, nil
}
