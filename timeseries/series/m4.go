package series

import (
	"context"
	"fmt"
	"math"
	"math/bits"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/ecovolt/telemetryd/timeseries/channel"
	"github.com/ecovolt/telemetryd/timeseries/record"
	"github.com/ecovolt/telemetryd/timeseries/rollup"
)

// m4Stream is up to how many records a window is read one by one, rather than
// aggregated by the database and then looked up at the edges of columns.
const m4Stream = 60_000

// m4Scan is up to how many records a window is aggregated whole, first and last
// included, rather than from rollups and a look-up at each end of each column.
const m4Scan = 400_000

// m4Columns holds the ends of the line inside each pixel column. Together with
// minimum and maximum they draw the same pixels as all records would (Jugel et
// al., M4: a visualization-oriented time series data aggregation, 2014).
type m4Columns struct {
	edges   []int64 // µs; column i is [edges[i], edges[i+1])
	metrics []m4Ends
}

type m4Ends struct {
	first, last         []float64
	firstTime, lastTime []int64
}

// newM4Columns cuts a window into exactly that many columns. A record belongs
// to column floor((t - from) * columns / length).
func newM4Columns(window rollup.Span, columns, metrics int) *m4Columns {
	c := &m4Columns{edges: make([]int64, columns+1), metrics: make([]m4Ends, metrics)}
	from, length := window.From.UnixMicro(), uint64(window.To.UnixMicro()-window.From.UnixMicro())
	for i := range c.edges {
		high, low := bits.Mul64(uint64(i), length)
		quotient, rest := bits.Div64(high, low, uint64(columns))
		if rest > 0 {
			quotient++
		}
		c.edges[i] = from + int64(quotient)
	}
	for i := range c.metrics {
		c.metrics[i] = m4Ends{make([]float64, columns), make([]float64, columns), make([]int64, columns), make([]int64, columns)}
	}
	return c
}

func (c *m4Columns) span(i int) rollup.Span {
	return rollup.Span{From: time.UnixMicro(c.edges[i]).UTC(), To: time.UnixMicro(c.edges[i+1]).UTC()}
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
	metrics := want.metrics
	steps, err := v.usualSteps(ctx, want)
	if err != nil {
		return err
	}
	if done, err := v.readPoints(ctx, v.fewRecords(window, req.Points), out, window, req, want, steps); done || err != nil {
		return err
	}
	columns := newM4Columns(window, req.Points, len(metrics))
	sums := newBucketSums(req.Points, len(metrics))
	width := window.Length() / time.Duration(req.Points)
	level := raw
	switch {
	case v.fewRecords(window, m4Stream):
		err = v.streamM4(ctx, window, columns, sums, metrics)
	case v.fewRecords(window, m4Scan) && v.distinctTimes(ctx):
		err = v.scanM4(ctx, window, columns, sums, metrics)
	default:
		level = v.levelWithin(width)
		for _, p := range v.parts(metrics, level) {
			if err = p.aggregateM4(ctx, window, p.level, columns.of(p), sums.of(p), p.metrics); err != nil {
				break
			}
		}
	}
	if err != nil {
		return err
	}
	if done, err := v.readPoints(ctx, sums.total() <= int64(req.Points), out, window, req, want, steps); done || err != nil {
		return err
	}
	out.Level = levelName(level)
	out.Width = float64(window.Length().Microseconds()) / float64(req.Points) / 1e3
	for m := range metrics {
		sums.metrics[m].first, sums.metrics[m].last = columns.metrics[m].firstTime, columns.metrics[m].lastTime
	}
	axis := grid{
		x:     func(i int) float64 { return float64(columns.edges[i]) / 1e3 },
		times: func(i int) (int64, int64) { return columns.edges[i], columns.edges[i+1] - 1 },
	}
	emit(out, sums, columns, axis, req, want, steps)
	return nil
}

// levelWithin returns the coarsest level of which whole buckets fit between the
// edges of columns of that width, wherever those are.
func (v *view) levelWithin(width time.Duration) int {
	return v.coarsest(func(l rollup.Level) bool { return 2*l.Width <= width && v.catalog.Tables[l.Relation] != "" })
}

// streamM4 reads the records in order.
func (v *view) streamM4(ctx context.Context, window rollup.Span, columns *m4Columns, sums *bucketSums, metrics []channel.Channel) error {
	rows, err := v.tx.Query(ctx, "SELECT time"+fieldList(metrics)+` FROM telemetry
		WHERE session = $1 AND time >= $2 AND time < $3 ORDER BY time, batch, ord`, v.session, window.From, window.To)
	if err != nil {
		return err
	}
	i := 0
	return record.ReadColumns(rows, func(r *record.Columns) {
		t := r.Micros()
		for t >= columns.edges[i+1] {
			i++
		}
		sums.records[i]++
		for m := range metrics {
			value := r.Float()
			if math.IsNaN(value) {
				continue
			}
			ends := &columns.metrics[m]
			if sums.metrics[m].count[i] == 0 {
				ends.first[i], ends.firstTime[i] = value, t
			}
			ends.last[i], ends.lastTime[i] = value, t
			sums.metrics[m].add(i, value, value, value, 1)
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
func (v *view) scanM4(ctx context.Context, window rollup.Span, columns *m4Columns, sums *bucketSums, metrics []channel.Channel) error {
	var ends strings.Builder
	for _, f := range metrics {
		fmt.Fprintf(&ends, ", min(time) FILTER (WHERE %[1]s IS NOT NULL), max(time) FILTER (WHERE %[1]s IS NOT NULL)"+
			", first(%[1]s, time) FILTER (WHERE %[1]s IS NOT NULL), last(%[1]s, time) FILTER (WHERE %[1]s IS NOT NULL)", f.SQL())
	}
	rows, err := v.tx.Query(ctx, "SELECT width_bucket(time, $4::timestamptz[])::bigint - 1, "+aggregates(raw, metrics)+ends.String()+
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

func fieldList(metrics []channel.Channel) string {
	var names strings.Builder
	for _, f := range metrics {
		names.WriteString(", " + f.SQL())
	}
	return names.String()
}

// aggregateM4 lets the database aggregate what lies whole inside a column, and
// looks up where the lines inside columns begin and end.
func (v *view) aggregateM4(ctx context.Context, window rollup.Span, level int, columns *m4Columns, sums *bucketSums, metrics []channel.Channel) error {
	// Which part of which column each level serves.
	segments := map[int][]rollup.Span{}
	for i := range len(columns.edges) - 1 {
		for _, s := range v.cover(columns.span(i), level) {
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
	merge := func(r *record.Columns) { columns.merge(int(r.Int()), sums, r) }
	for level, list := range segments {
		table, timeColumn := v.relation(level)
		if len(list) <= 8 {
			for _, s := range list {
				queue(&batch, merge, fmt.Sprintf("SELECT width_bucket(%[1]s, $4::timestamptz[])::bigint - 1, %[2]s FROM %[3]s WHERE session = $1 AND %[1]s >= $2 AND %[1]s < $3 GROUP BY 1",
					timeColumn, aggregatesWithEnds(level, metrics), table), v.session, s.From, s.To, edges)
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
			GROUP BY 1`, timeColumn, aggregatesWithEnds(level, metrics), table), v.session, from, to, edges)
	}
	if err := v.tx.SendBatch(ctx, &batch).Close(); err != nil {
		return err
	}
	reach := time.Microsecond
	if level != raw {
		reach = rollup.Levels[level].Width
	}
	return v.lookUpEnds(ctx, reach, columns, sums, metrics)
}

// aggregatesWithEnds is aggregates, and for each metric between which times
// the records that have it lie: exactly in the records, up to a bucket in
// rollups.
func aggregatesWithEnds(level int, metrics []channel.Channel) string {
	var b strings.Builder
	b.WriteString(aggregates(level, metrics))
	for _, f := range metrics {
		if level == raw {
			fmt.Fprintf(&b, ", min(time) FILTER (WHERE %[1]s IS NOT NULL), max(time) FILTER (WHERE %[1]s IS NOT NULL)", f.SQL())
		} else {
			fmt.Fprintf(&b, ", min(first_time) FILTER (WHERE %[1]s_count > 0), max(last_time) FILTER (WHERE %[1]s_count > 0)", f.Name)
		}
	}
	return b.String()
}

// merge adds the aggregates and the ends that a row goes on with to column i.
func (c *m4Columns) merge(i int, sums *bucketSums, r *record.Columns) {
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

// lookUpEnds finds the first and the last record of each column. They lie
// within a bucket's width of the times that the aggregation found.
func (v *view) lookUpEnds(ctx context.Context, reach time.Duration, columns *m4Columns, sums *bucketSums, metrics []channel.Channel) error {
	var batch pgx.Batch
	for m, f := range metrics {
		var column []int32
		var firstLow, firstHigh, lastLow, lastHigh []time.Time
		ends := &columns.metrics[m]
		for i, n := range sums.metrics[m].count {
			if n == 0 {
				continue
			}
			column = append(column, int32(i))
			first, last := ends.firstTime[i], ends.lastTime[i]
			firstLow = append(firstLow, time.UnixMicro(first))
			firstHigh = append(firstHigh, time.UnixMicro(min(first+reach.Microseconds(), columns.edges[i+1])))
			lastLow = append(lastLow, time.UnixMicro(max(last-reach.Microseconds()+1, columns.edges[i])))
			lastHigh = append(lastHigh, time.UnixMicro(last+1))
		}
		queue(&batch, func(r *record.Columns) {
			i := int(r.Int())
			ends.firstTime[i], ends.first[i] = r.Micros(), r.Float()
			ends.lastTime[i], ends.last[i] = r.Micros(), r.Float()
		}, fmt.Sprintf(`
			SELECT c.i::bigint, f.time, f.value, l.time, l.value
			FROM unnest($2::int[], $3::timestamptz[], $4::timestamptz[], $5::timestamptz[], $6::timestamptz[]) c (i, first_low, first_high, last_low, last_high)
			CROSS JOIN LATERAL (
				SELECT time, %[1]s AS value FROM telemetry
				WHERE session = $1 AND time >= c.first_low AND time < c.first_high AND %[1]s IS NOT NULL
				ORDER BY time, batch, ord LIMIT 1
			) f
			CROSS JOIN LATERAL (
				SELECT time, %[1]s AS value FROM telemetry
				WHERE session = $1 AND time >= c.last_low AND time < c.last_high AND %[1]s IS NOT NULL
				ORDER BY time DESC, batch DESC, ord DESC LIMIT 1
			) l`, f.SQL()), v.session, column, firstLow, firstHigh, lastLow, lastHigh)
	}
	return v.tx.SendBatch(ctx, &batch).Close()
}
