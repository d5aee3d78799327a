package series

import (
	"context"
	"fmt"
	"math"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/ecovolt/telemetryd/timeseries/channel"
	"github.com/ecovolt/telemetryd/timeseries/record"
	"github.com/ecovolt/telemetryd/timeseries/rollup"
	"github.com/ecovolt/telemetryd/timeseries/series/bucket"
	"github.com/ecovolt/telemetryd/timeseries/series/ends"
	"github.com/ecovolt/telemetryd/timeseries/series/round"
	"github.com/ecovolt/telemetryd/timeseries/series/selects"
)

// mostDoubts bounds how many silences of a metric are looked up.
const mostDoubts = 100

// settle finds out when the samples were between which there may be a gap. Of
// a vague bucket that is only known up to its ends: where those leave it open
// whether a silence over an empty bucket is long enough, it is looked up.
func (v *view) settle(ctx context.Context, sums *bucket.Sums, times func(int) (int64, int64), metrics []channel.Channel, steps []time.Duration) error {
	var batch pgx.Batch
	for m, c := range metrics {
		s, gap := &sums.Metrics[m], channel.GapAfter(steps[m]).Microseconds()
		for i, n := range s.Count {
			if n > 0 && sums.Vague[i] {
				s.First[i], s.Last[i] = times(i)
			}
		}
		var search ends.Search
		var before, after []int
		prev := -1
		for i, n := range s.Count {
			if n == 0 {
				continue
			}
			if prev >= 0 && i-prev > 1 && (sums.Vague[prev] || sums.Vague[i]) {
				begin, _ := times(prev)
				_, end := times(i)
				if s.First[i]-s.Last[prev] <= gap && end-begin > gap {
					before, after = append(before, prev), append(after, i)
					search.Add(s.First[i], end+1, begin, s.Last[prev]+1)
				}
			}
			prev = i
		}
		if len(before) == 0 || len(before) > mostDoubts {
			continue
		}
		search.Queue(&batch, v.session, c, func(k int, first, last ends.Sample) {
			s.Last[before[k]], s.First[after[k]] = last.Time, first.Time
		})
	}
	if batch.Len() == 0 {
		return nil
	}
	return v.tx.SendBatch(ctx, &batch).Close()
}

// readBuckets answers a window with round buckets, or with the records
// themselves when there are no more of them than points.
func (v *view) readBuckets(ctx context.Context, out *Session, window rollup.Span, width time.Duration, req *Request, want wanted) error {
	steps, err := v.usualSteps(ctx, want)
	if err != nil {
		return err
	}
	if done, err := v.readPoints(ctx, v.fewRecords(window, req.Points), out, window, req, want, steps); done || err != nil {
		return err
	}
	level := v.level(width)
	n := int(round.Buckets(window, width))
	places := bucket.Places{Origin: rollup.FloorMicro(window.From.UnixMicro(), width.Microseconds()), Width: width.Microseconds()}
	place := places.Of
	sums := bucket.New(n, len(want.metrics))
	var batch pgx.Batch
	alone, walked := v.apart(want.metrics)
	for _, p := range v.parts(alone.metrics, level) {
		p.queueSegments(&batch, p.cover(window, p.level), p.metrics, p.sums(alone.sums(sums)), places)
	}
	if len(want.states) > 0 {
		sums.States = make([][]string, len(want.states))
		for k := range sums.States {
			sums.States[k] = make([]string, n)
		}
		for _, p := range v.parts(want.states, v.stateLevel(width)) {
			v.queueStates(&batch, v.cover(window, p.level), width, p, sums, place)
		}
	}
	if err := v.tx.SendBatch(ctx, &batch).Close(); err != nil {
		return err
	}
	if done, err := v.readPoints(ctx, sums.Total() <= int64(req.Points), out, window, req, want, steps); done || err != nil {
		return err
	}
	err = walked.walk(ctx, window, func(int64) {}, func(m int, value float64, t int64) { sums.Metrics[m].Sample(place(t), value, t) })
	if err != nil {
		return err
	}
	out.Level = levelName(walked.servedBy(level, alone))
	out.Width = float64(width.Microseconds()) / 1e3
	// A window that begins inside a bucket has no values from before it.
	times := func(i int) (first, last int64) {
		return max(places.End(i-1), window.From.UnixMicro()), min(places.End(i), window.To.UnixMicro()) - 1
	}
	if err := v.settle(ctx, alone.sums(sums), times, alone.metrics, pick(alone, steps)); err != nil {
		return err
	}
	axis := grid{times: times, x: func(i int) float64 {
		first, _ := times(i)
		return float64(first) / 1e3
	}}
	emit(out, sums, nil, axis, req, want, steps)
	return nil
}

// rawStream is up to how many records of a segment are sent as they are and
// aggregated here. A record has one number of each metric, of which the
// database would make four aggregates; sending it costs less than those.
const rawStream = 60_000

// queueSegments adds one query for each segment.
func (v *view) queueSegments(batch *pgx.Batch, segments []segment, metrics []channel.Channel, sums *bucket.Sums, places bucket.Places) {
	place := places.Of
	for _, p := range segments {
		if v.addHeld(p, metrics, sums, places) {
			continue
		}
		if p.level == raw && v.fewRecords(p.span, rawStream) {
			queue(batch, func(r *record.Columns) {
				t := r.Micros()
				i := place(t)
				sums.Records[i]++
				for m := range sums.Metrics {
					if value := r.Float(); !math.IsNaN(value) {
						sums.Metrics[m].Sample(i, value, t)
					}
				}
			}, "SELECT time"+selects.Of(metrics)+" FROM telemetry WHERE session = $1 AND time >= $2 AND time < $3", v.session, p.span.From, p.span.To)
			continue
		}
		table, timeColumn := v.relation(p.level)
		queue(batch, func(r *record.Columns) { sums.Merge(place(r.Micros()), r) },
			fmt.Sprintf("SELECT time_bucket($4::interval, %[1]s), %[2]s FROM %[3]s WHERE session = $1 AND %[1]s >= $2 AND %[1]s < $3 GROUP BY 1",
				timeColumn, selects.Aggregates(p.level == raw, metrics), table), v.session, p.span.From, p.span.To, time.Duration(places.Width)*time.Microsecond)
	}
}

// stateBytes is how much of a text stands in a series: that of one record may stand
// for every point that is asked for.
const stateBytes = 200

// queueStates adds one query for each segment, from the oldest to the newest, so
// that each overrules those before.
func (v *view) queueStates(batch *pgx.Batch, segments []segment, width time.Duration, states part, sums *bucket.Sums, place func(int64) int) {
	for _, p := range segments {
		table, timeColumn := "telemetry", "time"
		if p.level != raw {
			table, timeColumn = v.catalog.Tables[rollup.Levels[p.level].States], "bucket"
		}
		var columns strings.Builder
		for _, f := range states.metrics {
			fmt.Fprintf(&columns, ", last(%[1]s, %[2]s) FILTER (WHERE %[1]s IS NOT NULL)", f.SQL(), timeColumn)
		}
		queue(batch, func(r *record.Columns) {
			i := place(r.Micros())
			for _, k := range states.places {
				if state := r.Text(stateBytes); state != "" {
					sums.States[k][i] = state
				}
			}
		}, fmt.Sprintf("SELECT time_bucket($4::interval, %[1]s)%[2]s FROM %[3]s WHERE session = $1 AND %[1]s >= $2 AND %[1]s < $3 GROUP BY 1",
			timeColumn, columns.String(), table), v.session, p.span.From, p.span.To, width)
	}
}

// queue adds a query to a batch, each row of which goes to read.
func queue(batch *pgx.Batch, read func(*record.Columns), sql string, args ...any) {
	batch.Queue(sql, args...).Query(func(rows pgx.Rows) error { return record.ReadColumns(rows, read) })
}

// fewRecords guesses whether a window has no more records than that, and they are there:
// where older ones were dropped, only the levels know the beginning.
func (v *view) fewRecords(window rollup.Span, points int) bool {
	own := window.Clip(v.span)
	return !own.Empty() && !own.From.Before(v.lost) && v.recordsIn(window) <= points
}

// recordsIn guesses how many records a window has, at least one.
func (v *view) recordsIn(window rollup.Span) int {
	own := window.Clip(v.span)
	if own.Empty() {
		return 0
	}
	return int(math.Ceil(float64(v.records) * float64(own.Length()) / float64(v.span.Length())))
}

// readPoints answers a window with its records, if they seem to be few; done is
// false when there are more than points.
func (v *view) readPoints(ctx context.Context, few bool, out *Session, window rollup.Span, req *Request, want wanted, steps []time.Duration) (done bool, err error) {
	if !few || window.Clip(v.span).From.Before(v.lost) {
		return false, nil // there are more, or only the rollups know the beginning
	}
	times := make([]int64, 0, req.Points+1)
	values := make([][]float64, len(want.metrics))
	for i := range values {
		values[i] = make([]float64, 0, req.Points+1)
	}
	states := make([][]string, len(want.states))
	if len(want.states) > 0 || !v.eachHeld(segment{raw, window}, want.metrics, func(at []int64, of [][]float64) {
		times = append(times, at...)
		for i := range values {
			values[i] = append(values[i], of[i]...)
		}
	}) {
		var rows pgx.Rows
		rows, err = v.tx.Query(ctx, "SELECT time"+selects.Of(want.metrics)+selects.Of(want.states)+` FROM telemetry
			WHERE session = $1 AND time >= $2 AND time < $3
			ORDER BY time, batch, ord LIMIT $4`, v.session, window.From, window.To, req.Points+1)
		if err != nil {
			return false, err
		}
		err = record.ReadColumns(rows, func(r *record.Columns) {
			times = append(times, r.Micros())
			for i := range values {
				values[i] = append(values[i], r.Float())
			}
			for i := range states {
				states[i] = append(states[i], r.Text(stateBytes))
			}
		})
	}
	if err != nil || len(times) > req.Points {
		return false, err
	}
	_, walked := v.apart(want.metrics)
	i := -1
	if err := walked.walk(ctx, window, func(int64) { i++ }, func(m int, value float64, _ int64) { values[m][i] = value }); err != nil {
		return false, err
	}
	out.Level, out.Points, out.Width = "raw", true, 0
	emitPoints(out, times, values, states, req, want, steps)
	return true, nil
}
