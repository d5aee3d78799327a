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

// m4Columns holds the ends of the line inside each pixel column. Together with
// minimum and maximum they draw the same pixels as all records would (Jugel et
// al., M4: a visualization-oriented time series data aggregation, 2014).
type m4Columns struct {
	edges   []int64 // µs; column i is [edges[i], edges[i+1])
	loose   []bool  // it holds records that a level lacks
	metrics []m4Ends
}

type m4Ends struct {
	first, last         []float64
	firstTime, lastTime []int64
	found               []bool // they are those of records, not of a bucket
}

func newM4Columns(edges []int64, metrics int) *m4Columns {
	columns := len(edges) - 1
	c := &m4Columns{edges, make([]bool, columns), make([]m4Ends, metrics)}
	for i := range c.metrics {
		c.metrics[i] = m4Ends{make([]float64, columns), make([]float64, columns), make([]int64, columns), make([]int64, columns), make([]bool, columns)}
	}
	return c
}

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

// starts returns where the columns begin.
func (c *m4Columns) starts() []time.Time {
	starts := make([]time.Time, len(c.edges)-1)
	for i := range starts {
		starts[i] = time.UnixMicro(c.edges[i])
	}
	return starts
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
	columns, sums := newM4Columns(edges, len(want.metrics)), newBucketSums(len(edges)-1, len(want.metrics))
	if kept {
		kept, err = v.levelM4(ctx, window, level, true, columns.of(alone), sums.of(alone), alone.metrics)
		if err == nil && !kept {
			columns, sums = newM4Columns(edges, len(want.metrics)), newBucketSums(len(edges)-1, len(want.metrics))
		}
	}
	if err == nil && !kept {
		level, err = v.searchM4(ctx, window, columns.of(alone), sums.of(alone), alone.metrics)
	}
	if err != nil {
		return err
	}
	if done, err := v.readPoints(ctx, sums.total() <= int64(req.Points), out, window, req, want, steps); done || err != nil {
		return err
	}
	i := 0
	if err := walked.walk(ctx, window, func(t int64) { i = columns.at(i, t) }, func(m int, value float64, t int64) { columns.sample(sums, i, m, value, t) }); err != nil {
		return err
	}
	out.Level = levelName(walked.servedBy(level, alone))
	for m := range want.metrics {
		sums.metrics[m].first, sums.metrics[m].last = columns.metrics[m].firstTime, columns.metrics[m].lastTime
	}
	axis := grid{
		x:     func(i int) float64 { return float64(columns.edges[i]) / 1e3 },
		times: func(i int) (int64, int64) { return columns.edges[i], columns.edges[i+1] - 1 },
	}
	emit(out, sums, columns, axis, req, want, steps)
	return nil
}

// searchM4 reads columns as the records in the window are best searched, and returns
// the level that serves most of them.
func (v *view) searchM4(ctx context.Context, window rollup.Span, columns *m4Columns, sums *bucketSums, metrics []channel.Channel) (level int, err error) {
	switch {
	case v.fewRecords(window, m4Stream):
		return raw, v.streamM4(ctx, window, columns, sums, metrics)
	case v.fewRecords(window, m4Scan) && v.distinctTimes(ctx):
		return raw, v.scanM4(ctx, window, columns, sums, metrics)
	}
	level = v.levelWithin(window.Length() / time.Duration(len(columns.edges)-1))
	_, err = v.levelM4(ctx, window, level, false, columns, sums, metrics)
	return level, err
}

// levelM4 aggregates the buckets of a level, and takes what begins and ends columns
// from what is kept of them. It is not done where that lacks most, and reading all
// records costs less than to search for it: of a channel that few of them carry.
func (v *view) levelM4(ctx context.Context, window rollup.Span, level int, kept bool, columns *m4Columns, sums *bucketSums, metrics []channel.Channel) (done bool, err error) {
	parts := v.parts(metrics, level)
	scan := sync.OnceValue(func() bool { return kept && v.fewRecords(window, m4Scan) && v.distinctTimes(ctx) })
	hasEnds := func(p part) bool { return kept && p.level != raw && p.columns == nil }
	for _, p := range parts {
		if !hasEnds(p) && len(p.metrics)*len(columns.loose) > mostSearches && scan() {
			return false, nil
		}
	}
	for _, p := range parts {
		columns, sums := columns.of(p), sums.of(p)
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
func (v *view) streamM4(ctx context.Context, window rollup.Span, columns *m4Columns, sums *bucketSums, metrics []channel.Channel) error {
	rows, err := v.tx.Query(ctx, "SELECT time"+selects.Of(metrics)+` FROM telemetry
		WHERE session = $1 AND time >= $2 AND time < $3 ORDER BY time, batch, ord`, v.session, window.From, window.To)
	if err != nil {
		return err
	}
	i := 0
	return record.ReadColumns(rows, func(r *record.Columns) {
		t := r.Micros()
		i = columns.at(i, t)
		sums.records[i]++
		for m := range metrics {
			if value := r.Float(); !math.IsNaN(value) {
				columns.sample(sums, i, m, value, t)
			}
		}
	})
}

// at returns which column a time lies in, that one or a later one.
func (c *m4Columns) at(i int, t int64) int {
	for t >= c.edges[i+1] {
		i++
	}
	return i
}

// sample adds a value to column i, where all before were of earlier records.
func (c *m4Columns) sample(sums *bucketSums, i, m int, value float64, t int64) {
	ends := &c.metrics[m]
	if sums.metrics[m].count[i] == 0 {
		ends.first[i], ends.firstTime[i] = value, t
	}
	ends.last[i], ends.lastTime[i] = value, t
	sums.metrics[m].add(i, value, value, value, 1)
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
func (v *view) scanM4(ctx context.Context, window rollup.Span, columns *m4Columns, sums *bucketSums, metrics []channel.Channel) error {
	var ends strings.Builder
	for _, f := range metrics {
		fmt.Fprintf(&ends, ", min(time) FILTER (WHERE %[1]s IS NOT NULL), max(time) FILTER (WHERE %[1]s IS NOT NULL)"+
			", first(%[1]s, time) FILTER (WHERE %[1]s IS NOT NULL), last(%[1]s, time) FILTER (WHERE %[1]s IS NOT NULL)", f.SQL())
	}
	rows, err := v.tx.Query(ctx, "SELECT width_bucket(time, $4::timestamptz[])::bigint - 1, "+selects.Aggregates(true, metrics)+ends.String()+
		" FROM telemetry WHERE session = $1 AND time >= $2 AND time < $3 GROUP BY 1", v.session, window.From, window.To, columns.starts())
	if err != nil {
		return err
	}
	return record.ReadColumns(rows, func(r *record.Columns) {
		i := int(r.Int())
		sums.merge(i, r)
		for m := range metrics {
			e := &columns.metrics[m]
			e.firstTime[i], e.lastTime[i], e.first[i], e.last[i] = r.Micros(), r.Micros(), r.Float(), r.Float()
		}
	})
}

// aggregateM4 lets the database aggregate what lies whole inside a column. When the
// lines inside columns begin and end is known up to a bucket then.
func (v *view) aggregateM4(ctx context.Context, level int, columns *m4Columns, sums *bucketSums, metrics []channel.Channel) error {
	// Which part of which column each level serves.
	segments := map[int][]rollup.Span{}
	for i := range len(columns.edges) - 1 {
		for _, s := range v.cover(rollup.Span{From: time.UnixMicro(columns.edges[i]).UTC(), To: time.UnixMicro(columns.edges[i+1]).UTC()}, level) {
			list := segments[s.level]
			if n := len(list); n > 0 && list[n-1].To.Equal(s.span.From) {
				list[n-1].To = s.span.To // a segment may go on through several columns
			} else {
				list = append(list, s.span)
			}
			segments[s.level] = list
		}
	}
	edges := columns.starts()
	var batch pgx.Batch
	for level, list := range segments {
		merge := func(r *record.Columns) { columns.merge(int(r.Int()), level == raw, sums, r) }
		table, timeColumn := v.relation(level)
		if len(list) <= 8 {
			for _, s := range list {
				queue(&batch, merge, fmt.Sprintf("SELECT width_bucket(%[1]s, $4::timestamptz[])::bigint - 1, %[2]s FROM %[3]s WHERE session = $1 AND %[1]s >= $2 AND %[1]s < $3 GROUP BY 1",
					timeColumn, selects.AggregatesWithEnds(level == raw, metrics), table), v.session, s.From, s.To, edges)
			}
			continue
		}
		var from, to []time.Time
		for _, s := range list {
			from, to = append(from, s.From), append(to, s.To)
		}
		// OFFSET 0 keeps the planner from a join that scans all for each segment.
		queue(&batch, merge, fmt.Sprintf(`
			SELECT width_bucket(%[1]s, $4::timestamptz[])::bigint - 1, %[2]s
			FROM unnest($2::timestamptz[], $3::timestamptz[]) segment (lo, hi)
			CROSS JOIN LATERAL (SELECT * FROM %[3]s WHERE session = $1 AND %[1]s >= segment.lo AND %[1]s < segment.hi OFFSET 0) r
			GROUP BY 1`, timeColumn, selects.AggregatesWithEnds(level == raw, metrics), table), v.session, from, to, edges)
	}
	return v.tx.SendBatch(ctx, &batch).Close()
}

// merge adds the aggregates and the ends that a row goes on with to column i.
func (c *m4Columns) merge(i int, ofRecords bool, sums *bucketSums, r *record.Columns) {
	c.loose[i] = c.loose[i] || ofRecords
	var before [maxMetrics]int64
	for m := range sums.metrics {
		before[m] = sums.metrics[m].count[i]
	}
	sums.merge(i, r)
	for m := range sums.metrics {
		first, last := r.Micros(), r.Micros()
		ends := &c.metrics[m]
		switch {
		case sums.metrics[m].count[i] == before[m]: // none of these records has it
		case before[m] == 0:
			ends.firstTime[i], ends.lastTime[i] = first, last
		default:
			ends.firstTime[i], ends.lastTime[i] = min(ends.firstTime[i], first), max(ends.lastTime[i], last)
		}
	}
}

// takeEnds takes the first and the last record of columns from those that are kept,
// and returns how many columns of metrics are left. A column that holds records
// which the level lacks is: one of them may have the same time.
func (v *view) takeEnds(ctx context.Context, columns *m4Columns, sums *bucketSums, metrics []channel.Channel) (missing int, err error) {
	var times []time.Time
	at := map[int64]int{}
	add := func(micro int64) {
		if _, ok := at[micro]; !ok {
			at[micro] = -1
			times = append(times, time.UnixMicro(micro))
		}
	}
	for m := range metrics {
		ends := &columns.metrics[m]
		for i, n := range sums.metrics[m].count {
			if n > 0 && !columns.loose[i] {
				add(ends.firstTime[i])
				add(ends.lastTime[i])
			}
		}
	}
	if len(times) == 0 {
		return 0, nil
	}
	var values []float64
	rows, err := v.tx.Query(ctx, "SELECT time"+selects.Of(metrics)+" FROM "+rollup.EndsTable+" WHERE session = $1 AND time = ANY($2) AND time >= $3 AND time < $4", v.session, times,
		time.UnixMicro(columns.edges[0]), time.UnixMicro(columns.edges[len(columns.edges)-1]))
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
		ends := &columns.metrics[m]
		value := func(micro int64) float64 {
			if place, ok := at[micro]; ok && place >= 0 {
				return values[place+m]
			}
			return math.NaN()
		}
		for i, n := range sums.metrics[m].count {
			if n == 0 {
				continue
			}
			if !columns.loose[i] {
				ends.first[i], ends.last[i] = value(ends.firstTime[i]), value(ends.lastTime[i])
				ends.found[i] = !math.IsNaN(ends.first[i]) && !math.IsNaN(ends.last[i])
			}
			if !ends.found[i] {
				missing++
			}
		}
	}
	return missing, nil
}

// lookUpEnds finds the first and the last record of each column where they are not
// found. They lie within a bucket's width of the times that the aggregation found.
func (v *view) lookUpEnds(ctx context.Context, level int, columns *m4Columns, sums *bucketSums, metrics []channel.Channel) error {
	reach := time.Microsecond
	if level != raw {
		reach = rollup.Levels[level].Width
	}
	var batch pgx.Batch
	for m, f := range metrics {
		var search ends.Search
		var column []int
		own := &columns.metrics[m]
		for i, n := range sums.metrics[m].count {
			if n == 0 || own.found[i] {
				continue
			}
			column = append(column, i)
			first, last := own.firstTime[i], own.lastTime[i]
			search.Add(first, min(first+reach.Microseconds(), columns.edges[i+1]), max(last-reach.Microseconds()+1, columns.edges[i]), last+1)
		}
		if len(column) == 0 {
			continue
		}
		search.Queue(&batch, v.session, f, func(k int, first, last ends.Sample) {
			i := column[k]
			own.firstTime[i], own.first[i] = first.Time, first.Value
			own.lastTime[i], own.last[i] = last.Time, last.Value
		})
	}
	return v.tx.SendBatch(ctx, &batch).Close()
}
