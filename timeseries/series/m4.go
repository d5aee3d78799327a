package series

import (
	"context"
	"fmt"
	"math"
	"strings"
	"sync"
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

const (
	// m4Stream is up to how many records a window is read one by one, rather than
	// aggregated by the database and then looked up at the edges of columns; m4Few is
	// the same where what ends the columns is kept.
	m4Stream, m4Few = 60_000, 20_000
	// m4Scan is up to how many records a window is aggregated whole, first and last
	// included, rather than from rollups and more than so many searches for an end.
	m4Scan, mostSearches = 400_000, 400
)

// m4Grid returns how wide columns are that are whole buckets of a level whose ends
// are kept, and that level. It is not ok where a search in the records costs less, or
// the records are so few in a bucket that its ends are not kept.
func (v *view) m4Grid(window rollup.Span, points int) (width time.Duration, level int, ok bool) {
	if level = v.levelWithin(window.Length() / time.Duration(points)); level == raw || v.fewRecords(window, m4Few) {
		return 0, raw, false
	}
	unit := rollup.Levels[level].Width
	of, ok := v.catalog.Ends(unit)
	if !ok || v.recordsIn(rollup.Span{From: v.span.From, To: v.span.From.Add(of)}) < rollup.EndsRecords {
		return 0, raw, false
	}
	for width = window.Length() / time.Duration(points) / unit * unit; round.Buckets(window, width) > int64(points); {
		width += unit
	}
	return width, level, true
}

// readM4 answers a window with pixel columns.
func (v *view) readM4(ctx context.Context, out *Session, window rollup.Span, req *Request, want wanted) error {
	steps, err := v.usualSteps(ctx, want)
	if err != nil {
		return err
	}
	if done, err := v.readPoints(ctx, v.fewRecords(window, req.Points), out, window, req, want, steps); done || err != nil {
		return err
	}
	edges := round.Equal(window, req.Points)
	out.Width = float64(window.Length().Microseconds()) / float64(req.Points) / 1e3
	width, level, kept := v.m4Grid(window, req.Points)
	if kept {
		edges, out.Width = round.Grid(window, width), float64(width.Microseconds())/1e3
	}
	alone, walked := v.apart(want.metrics)
	columns, sums := bucket.NewColumns(edges, len(want.metrics)), bucket.New(len(edges)-1, len(want.metrics))
	if kept && (!v.fewRecords(window, m4Scan) || !v.streamHeld(window, alone.ends(columns), alone.sums(sums), alone.metrics)) {
		kept, err = v.levelM4(ctx, window, level, true, alone.ends(columns), alone.sums(sums), alone.metrics)
		if err == nil && !kept {
			columns, sums = bucket.NewColumns(edges, len(want.metrics)), bucket.New(len(edges)-1, len(want.metrics))
		}
	}
	if err == nil && !kept {
		level, err = v.searchM4(ctx, window, alone.ends(columns), alone.sums(sums), alone.metrics)
	}
	if err != nil {
		return err
	}
	if done, err := v.readPoints(ctx, sums.Total() <= int64(req.Points), out, window, req, want, steps); done || err != nil {
		return err
	}
	i := 0
	if err := walked.walk(ctx, window, func(t int64) { i = columns.At(i, t) }, func(m int, value float64, t int64) { columns.Sample(sums, i, m, value, t) }); err != nil {
		return err
	}
	out.Level = levelName(walked.servedBy(level, alone))
	for m := range want.metrics {
		sums.Metrics[m].First, sums.Metrics[m].Last = columns.Metrics[m].FirstTime, columns.Metrics[m].LastTime
	}
	axis := grid{
		x:     func(i int) float64 { return float64(columns.Edges[i]) / 1e3 },
		times: func(i int) (int64, int64) { return columns.Edges[i], columns.Edges[i+1] - 1 },
	}
	emit(out, sums, columns, axis, req, want, steps)
	return nil
}

// searchM4 reads columns as the records in the window are best searched, and returns
// the level that serves most of them.
func (v *view) searchM4(ctx context.Context, window rollup.Span, columns *bucket.Columns, sums *bucket.Sums, metrics []channel.Channel) (level int, err error) {
	switch {
	case v.fewRecords(window, m4Scan) && v.streamHeld(window, columns, sums, metrics):
		return raw, nil
	case v.fewRecords(window, m4Stream):
		return raw, v.streamM4(ctx, window, columns, sums, metrics)
	case v.fewRecords(window, m4Scan) && v.distinctTimes(ctx):
		return raw, v.scanM4(ctx, window, columns, sums, metrics)
	}
	level = v.levelWithin(window.Length() / time.Duration(len(columns.Edges)-1))
	_, err = v.levelM4(ctx, window, level, false, columns, sums, metrics)
	return level, err
}

// levelM4 aggregates the buckets of a level, and takes what begins and ends columns
// from what is kept of them. It is not done where that lacks most, and reading all
// records costs less than to search for it: of a channel that few of them carry.
func (v *view) levelM4(ctx context.Context, window rollup.Span, level int, kept bool, columns *bucket.Columns, sums *bucket.Sums, metrics []channel.Channel) (done bool, err error) {
	parts := v.parts(metrics, level)
	scan := sync.OnceValue(func() bool { return kept && v.fewRecords(window, m4Scan) && v.distinctTimes(ctx) })
	hasEnds := func(p part) bool { return kept && p.level != raw && p.columns == nil }
	for _, p := range parts {
		if !hasEnds(p) && len(p.metrics)*len(columns.Loose) > mostSearches && scan() {
			return false, nil
		}
	}
	for _, p := range parts {
		columns, sums := p.ends(columns), p.sums(sums)
		if err := p.aggregateM4(ctx, p.level, columns, sums, p.metrics); err != nil {
			return false, err
		}
		if hasEnds(p) {
			if missing, err := p.takeEnds(ctx, columns, sums, p.metrics); err != nil || missing > mostSearches && scan() {
				return false, err
			}
		}
		if err := p.lookUpEnds(ctx, p.level, columns, sums, p.metrics); err != nil {
			return false, err
		}
	}
	return true, nil
}

// levelWithin returns the coarsest level of which whole buckets fit between the
// edges of columns of that width, wherever those are.
func (v *view) levelWithin(width time.Duration) int {
	return v.coarsest(func(l rollup.Level) bool { return 2*l.Width <= width && v.catalog.Tables[l.Relation] != "" })
}

// streamM4 reads the records in order.
func (v *view) streamM4(ctx context.Context, window rollup.Span, columns *bucket.Columns, sums *bucket.Sums, metrics []channel.Channel) error {
	rows, err := v.tx.Query(ctx, "SELECT time"+selects.Of(metrics)+` FROM telemetry
		WHERE session = $1 AND time >= $2 AND time < $3 ORDER BY time, batch, ord`, v.session, window.From, window.To)
	if err != nil {
		return err
	}
	i := 0
	return record.ReadColumns(rows, func(r *record.Columns) {
		t := r.Micros()
		i = columns.At(i, t)
		sums.Records[i]++
		for m := range metrics {
			if value := r.Float(); !math.IsNaN(value) {
				columns.Sample(sums, i, m, value, t)
			}
		}
	})
}

// distinctTimes tells that no two records share a timestamp, so that time alone
// says which one is first and last.
func (v *view) distinctTimes(ctx context.Context) bool {
	var distinct bool
	err := v.tx.QueryRow(ctx, `
		SELECT m.duplicates = 0 FROM session_summaries m JOIN sessions s USING (session)
		WHERE m.session = $1 AND m.batch = s.batch`, v.session).Scan(&distinct)
	return err == nil && distinct
}

// scanM4 lets the database aggregate the records of the window, ends included.
func (v *view) scanM4(ctx context.Context, window rollup.Span, columns *bucket.Columns, sums *bucket.Sums, metrics []channel.Channel) error {
	var ends strings.Builder
	for _, f := range metrics {
		fmt.Fprintf(&ends, ", min(time) FILTER (WHERE %[1]s IS NOT NULL), max(time) FILTER (WHERE %[1]s IS NOT NULL)"+
			", first(%[1]s, time) FILTER (WHERE %[1]s IS NOT NULL), last(%[1]s, time) FILTER (WHERE %[1]s IS NOT NULL)", f.SQL())
	}
	rows, err := v.tx.Query(ctx, "SELECT width_bucket(time, $4::timestamptz[])::bigint - 1, "+selects.Aggregates(true, metrics)+ends.String()+
		" FROM telemetry WHERE session = $1 AND time >= $2 AND time < $3 GROUP BY 1", v.session, window.From, window.To, columns.Starts())
	if err != nil {
		return err
	}
	return record.ReadColumns(rows, func(r *record.Columns) {
		i := int(r.Int())
		sums.Merge(i, r)
		for m := range metrics {
			e := &columns.Metrics[m]
			e.FirstTime[i], e.LastTime[i], e.First[i], e.Last[i] = r.Micros(), r.Micros(), r.Float(), r.Float()
		}
	})
}

// aggregateM4 lets the database aggregate what lies whole inside a column. When the
// lines inside columns begin and end is known up to a bucket then.
func (v *view) aggregateM4(ctx context.Context, level int, columns *bucket.Columns, sums *bucket.Sums, metrics []channel.Channel) error {
	// Which part of which column each level serves.
	segments := map[int][]rollup.Span{}
	for i := range len(columns.Edges) - 1 {
		for _, s := range v.cover(rollup.Span{From: time.UnixMicro(columns.Edges[i]).UTC(), To: time.UnixMicro(columns.Edges[i+1]).UTC()}, level) {
			list := segments[s.level]
			if n := len(list); n > 0 && list[n-1].To.Equal(s.span.From) {
				list[n-1].To = s.span.To // a segment may go on through several columns
			} else {
				list = append(list, s.span)
			}
			segments[s.level] = list
		}
	}
	edges := columns.Starts()
	var batch pgx.Batch
	for level, list := range segments {
		merge := func(r *record.Columns) { columns.Merge(int(r.Int()), level == raw, sums, r) }
		table, timeColumn := v.relation(level)
		at := "time"
		if level != raw {
			at = "first_time" // the run's first bucket may begin before the column that holds its records
		}
		if len(list) <= 8 {
			for _, s := range list {
				queue(&batch, merge, fmt.Sprintf("SELECT width_bucket(%[4]s, $4::timestamptz[])::bigint - 1, %[2]s FROM %[3]s WHERE session = $1 AND %[1]s >= $2 AND %[1]s < $3 GROUP BY 1",
					timeColumn, selects.AggregatesWithEnds(level == raw, metrics), table, at), v.session, s.From, s.To, edges)
			}
			continue
		}
		var from, to []time.Time
		for _, s := range list {
			from, to = append(from, s.From), append(to, s.To)
		}
		// OFFSET 0 keeps the planner from a join that scans all for each segment.
		queue(&batch, merge, fmt.Sprintf(`
			SELECT width_bucket(%[4]s, $4::timestamptz[])::bigint - 1, %[2]s
			FROM unnest($2::timestamptz[], $3::timestamptz[]) segment (lo, hi)
			CROSS JOIN LATERAL (SELECT * FROM %[3]s WHERE session = $1 AND %[1]s >= segment.lo AND %[1]s < segment.hi OFFSET 0) r
			GROUP BY 1`, timeColumn, selects.AggregatesWithEnds(level == raw, metrics), table, at), v.session, from, to, edges)
	}
	return v.tx.SendBatch(ctx, &batch).Close()
}

// takeEnds takes the first and the last record of columns from those that are kept,
// and returns how many columns of metrics are left. A column that holds records
// which the level lacks is: one of them may have the same time.
func (v *view) takeEnds(ctx context.Context, columns *bucket.Columns, sums *bucket.Sums, metrics []channel.Channel) (missing int, err error) {
	var times []time.Time
	at := map[int64]int{}
	add := func(micro int64) {
		if _, ok := at[micro]; !ok {
			at[micro] = -1
			times = append(times, time.UnixMicro(micro))
		}
	}
	for m := range metrics {
		ends := &columns.Metrics[m]
		for i, n := range sums.Metrics[m].Count {
			if n > 0 && !columns.Loose[i] {
				add(ends.FirstTime[i])
				add(ends.LastTime[i])
			}
		}
	}
	if len(times) == 0 {
		return 0, nil
	}
	var values []float64
	rows, err := v.tx.Query(ctx, "SELECT time"+selects.Of(metrics)+" FROM "+rollup.EndsTable+" WHERE session = $1 AND time = ANY($2) AND time >= $3 AND time < $4", v.session, times,
		time.UnixMicro(columns.Edges[0]), time.UnixMicro(columns.Edges[len(columns.Edges)-1]))
	if err != nil {
		return 0, err
	}
	err = record.ReadColumns(rows, func(r *record.Columns) {
		at[r.Micros()] = len(values)
		for range metrics {
			values = append(values, r.Float())
		}
	})
	if err != nil {
		return 0, err
	}
	for m := range metrics {
		ends := &columns.Metrics[m]
		value := func(micro int64) float64 {
			if place, ok := at[micro]; ok && place >= 0 {
				return values[place+m]
			}
			return math.NaN()
		}
		for i, n := range sums.Metrics[m].Count {
			if n == 0 {
				continue
			}
			if !columns.Loose[i] {
				ends.First[i], ends.Last[i] = value(ends.FirstTime[i]), value(ends.LastTime[i])
				ends.Found[i] = !math.IsNaN(ends.First[i]) && !math.IsNaN(ends.Last[i])
			}
			if !ends.Found[i] {
				missing++
			}
		}
	}
	return missing, nil
}

// lookUpEnds finds the first and the last record of each column where they are not
// found. They lie within a bucket's width of the times that the aggregation found.
func (v *view) lookUpEnds(ctx context.Context, level int, columns *bucket.Columns, sums *bucket.Sums, metrics []channel.Channel) error {
	reach := time.Microsecond
	if level != raw {
		reach = rollup.Levels[level].Width
	}
	var batch pgx.Batch
	for m, f := range metrics {
		var search ends.Search
		var column []int
		own := &columns.Metrics[m]
		for i, n := range sums.Metrics[m].Count {
			if n == 0 || own.Found[i] {
				continue
			}
			column = append(column, i)
			// It stays at that where the records were dropped.
			own.First[i] = mean(sums.Metrics[m].Sum[i], n, sums.Metrics[m].Min[i], sums.Metrics[m].Max[i])
			own.Last[i] = own.First[i]
			first, last := own.FirstTime[i], own.LastTime[i]
			search.Add(first, min(first+reach.Microseconds(), columns.Edges[i+1]), max(last-reach.Microseconds()+1, columns.Edges[i]), last+1)
		}
		if len(column) == 0 {
			continue
		}
		search.Queue(&batch, v.session, f, func(k int, first, last ends.Sample) {
			i := column[k]
			own.FirstTime[i], own.First[i] = first.Time, first.Value
			own.LastTime[i], own.Last[i] = last.Time, last.Value
		})
	}
	return v.tx.SendBatch(ctx, &batch).Close()
}
