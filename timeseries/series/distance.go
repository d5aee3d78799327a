package series

import (
	"context"
	"fmt"
	"math"

	"github.com/jackc/pgx/v5"

	"github.com/ecovolt/telemetryd/timeseries/channel"
	"github.com/ecovolt/telemetryd/timeseries/record"
	"github.com/ecovolt/telemetryd/timeseries/rollup"
)

// distanceRows is how many rows of a level a series by distance may read.
const distanceRows = 20_000

// byDistance reads with an axis of distance. Each record, or each bucket
// of the level that serves the session, counts where the vehicle's counter
// stood in it; a bucket is short beside a point unless the session is long and
// few points are wanted for many metres.
func byDistance(ctx context.Context, answer *Answer, views []*view, metrics []channel.Channel) error {
	req := &answer.Request
	start, end := 0.0, math.NaN()
	if req.Start != nil {
		start = *req.Start
	}
	levels := make([]int, len(views))
	for i, v := range views {
		levels[i] = v.distanceLevel()
	}
	if req.End != nil {
		end = *req.End
	} else {
		for i, v := range views {
			far, err := v.farthest(ctx, levels[i])
			if err != nil {
				return err
			}
			if math.IsNaN(end) || far > end {
				end = far
			}
		}
		end = math.Nextafter(end, math.Inf(1)) // the last metre belongs to it
	}
	for i, v := range views {
		out := &answer.Sessions[i]
		if !(start < end) {
			empty(out, wanted{metrics: metrics}, req.Mode)
			continue
		}
		step := gridStep(start, end, req.Points)
		first := math.Floor(start / step)
		n := int(math.Ceil(end/step) - first)
		sums := newBucketSums(max(n, 1), len(metrics))
		var batch pgx.Batch
		merge := func(r *record.Columns) { sums.merge(min(max(int(r.Int())-int(first), 0), len(sums.records)-1), r) }
		for _, p := range v.cover(v.span, levels[i]) {
			table, timeColumn := v.relation(p.level)
			queue(&batch, merge, fmt.Sprintf(`
				SELECT floor(d / $4)::bigint, %s FROM (
					SELECT *, %s AS d FROM %s WHERE session = $1 AND %[4]s >= $2 AND %[4]s < $3
				) r WHERE d >= $5 AND d < $6 GROUP BY 1`, aggregates(p.level, metrics), distanceOf(p.level), table, timeColumn),
				v.session, p.span.From, p.span.To, step, start, end)
		}
		if err := v.tx.SendBatch(ctx, &batch).Close(); err != nil {
			return err
		}
		out.Level = levelName(levels[i])
		out.Width = step
		axis := func(k int) float64 { return max((first+float64(k))*step, start) }
		// Rollup buckets may leap over a bucket of distance at speed: that is no gap.
		emit(out, sums, nil, axis, req, wanted{metrics: metrics}, 5)
	}
	return nil
}

// distanceLevel gives the finest level by which the session is short enough.
func (v *view) distanceLevel() int {
	if !v.catalog.Stored() || v.records <= distanceRows {
		return raw
	}
	for i, level := range rollup.Levels {
		if v.catalog.Tables[level.Relation] != "" && v.span.Length()/level.Width <= distanceRows {
			return i
		}
	}
	return len(rollup.Levels) - 1
}

// distanceOf gives the expression for the metres since the start.
func distanceOf(level int) string {
	if level == raw {
		return "coalesce(distance_m, route_distance_km * 1000)"
	}
	return "coalesce(distance_m_max, route_distance_km_max * 1000)"
}

// farthest gives the session's greatest distance; NaN when it has none.
func (v *view) farthest(ctx context.Context, level int) (float64, error) {
	far := math.NaN()
	for _, p := range v.cover(v.span, level) {
		table, timeColumn := v.relation(p.level)
		var d *float64
		err := v.tx.QueryRow(ctx, fmt.Sprintf("SELECT max(%s) FROM %s WHERE session = $1 AND %[3]s >= $2 AND %[3]s < $3",
			distanceOf(p.level), table, timeColumn), v.session, p.span.From, p.span.To).Scan(&d)
		if err != nil {
			return 0, err
		}
		if d != nil && !(*d <= far) {
			far = *d
		}
	}
	return far, nil
}

// gridStep gives the shortest round step by which the range has at most that
// many buckets.
func gridStep(start, end float64, points int) float64 {
	for exponent := -3; ; exponent++ {
		for _, digit := range []float64{1, 2, 2.5, 5} {
			step := digit * math.Pow(10, float64(exponent))
			if math.Ceil(end/step)-math.Floor(start/step) <= float64(points) {
				return step
			}
		}
	}
}
