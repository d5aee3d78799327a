package timeseries

import (
	"context"
	"encoding/binary"
	"fmt"
	"math"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
)

// buckets accumulates what the pieces of a window add to each bucket. A bucket
// is known by its place in the grid.
type bucketSums struct {
	records []int64
	metrics []metricSums
}

type metricSums struct {
	min, max, sum []float64
	count         []int64
}

func newBucketSums(n, metrics int) *bucketSums {
	b := &bucketSums{records: make([]int64, n), metrics: make([]metricSums, metrics)}
	for i := range b.metrics {
		floats := make([]float64, 3*n)
		b.metrics[i] = metricSums{floats[:n:n], floats[n : 2*n : 2*n], floats[2*n:], make([]int64, n)}
	}
	return b
}

// add merges one row of aggregates into bucket i.
func (m *metricSums) add(i int, low, high, sum float64, count int64) {
	if count == 0 {
		return
	}
	if m.count[i] == 0 {
		m.min[i], m.max[i] = low, high
	} else {
		m.min[i], m.max[i] = min(m.min[i], low), max(m.max[i], high)
	}
	m.sum[i] += sum
	m.count[i] += count
}

// total counts the records of all buckets.
func (b *bucketSums) total() (n int64) {
	for _, r := range b.records {
		n += r
	}
	return n
}

// aggregates gives the select list that every read of buckets has, behind the
// bucket: the records, then minimum, maximum, sum and count of each metric.
func aggregates(level int, metrics []Field) string {
	var b strings.Builder
	if level == raw {
		b.WriteString("count(*)")
		for _, f := range metrics {
			fmt.Fprintf(&b, ", min(%[1]s), max(%[1]s), sum(%[1]s), count(%[1]s)", f.Name)
		}
		return b.String()
	}
	b.WriteString("sum(records)::bigint")
	for _, f := range metrics {
		fmt.Fprintf(&b, ", min(%[1]s_min), max(%[1]s_max), sum(%[1]s_sum), sum(%[1]s_count)::bigint", f.Name)
	}
	return b.String()
}

// readBuckets answers a window with round buckets, or with the records
// themselves when there are no more of them than points.
func (v *view) readBuckets(ctx context.Context, out *SessionSeries, window timeSpan, req *SeriesRequest, metrics []Field) error {
	width := gridWidth(window, req.Points)
	if v.fewRecords(window, req.Points) {
		done, err := v.readPoints(ctx, out, window, req, metrics)
		if done || err != nil {
			return err
		}
	}
	level := v.level(width)
	n := int(buckets(window, width))
	origin := floorMicro(window.From.UnixMicro(), width.Microseconds())
	sums := newBucketSums(n, len(metrics))
	place := func(micro int64) int { return int((micro - origin) / width.Microseconds()) }
	if err := v.readPieces(ctx, v.cover(window, level), width, metrics, sums, place); err != nil {
		return err
	}
	if sums.total() <= int64(req.Points) {
		done, err := v.readPoints(ctx, out, window, req, metrics)
		if done || err != nil {
			return err
		}
	}
	out.Level = levelName(level)
	out.Width = float64(width.Microseconds()) / 1e3
	// A window that begins inside a bucket has no values from before it.
	axis := func(i int) float64 {
		return float64(max(origin+int64(i)*width.Microseconds(), window.From.UnixMicro())) / 1e3
	}
	emit(out, sums, nil, axis, req, metrics, v.gapAfter(width, sums))
	return nil
}

// readPieces runs one query for each piece, in one round trip.
func (v *view) readPieces(ctx context.Context, pieces []slab, width time.Duration, metrics []Field, sums *bucketSums, place func(int64) int) error {
	var batch pgx.Batch
	for _, p := range pieces {
		table, timeColumn := v.relation(p.level)
		batch.Queue(fmt.Sprintf("SELECT time_bucket($4::interval, %[1]s), %[2]s FROM %[3]s WHERE session = $1 AND %[1]s >= $2 AND %[1]s < $3 GROUP BY 1",
			timeColumn, aggregates(p.level, metrics), table), v.session, p.span.From, p.span.To, width)
	}
	return runPieces(ctx, v.tx, &batch, len(pieces), sums, func(r *rowReader) int { return place(r.micro()) })
}

// runPieces merges the rows of a batch of queries into sums. place reads a
// row's bucket.
func runPieces(ctx context.Context, tx pgx.Tx, batch *pgx.Batch, queries int, sums *bucketSums, place func(*rowReader) int) (err error) {
	if queries == 0 {
		return nil
	}
	results := tx.SendBatch(ctx, batch)
	defer func() {
		if closeErr := results.Close(); err == nil {
			err = closeErr
		}
	}()
	for range queries {
		rows, err := results.Query()
		if err != nil {
			return err
		}
		for rows.Next() {
			r := rowReader{rows: rows, raw: rows.RawValues()}
			i := place(&r)
			sums.records[i] += r.integer()
			for m := range sums.metrics {
				low, high, sum, count := r.float(), r.float(), r.float(), r.integer()
				sums.metrics[m].add(i, low, high, sum, count)
			}
			if r.err != nil {
				rows.Close()
				return r.err
			}
		}
		if err := rows.Err(); err != nil {
			return err
		}
	}
	return nil
}

// rowReader decodes a row column by column. Series have too many numbers to
// scan each through an interface.
type rowReader struct {
	rows pgx.Rows
	raw  [][]byte
	next int
	err  error
}

func (r *rowReader) column() []byte {
	value := r.raw[r.next]
	if r.err == nil && value != nil && (len(value) != 8 || r.rows.FieldDescriptions()[r.next].Format != 1) {
		r.err = fmt.Errorf("column %d is not eight binary bytes", r.next)
	}
	r.next++
	if r.err != nil || value == nil {
		return nil
	}
	return value
}

// float gives NaN for NULL.
func (r *rowReader) float() float64 {
	b := r.column()
	if b == nil {
		return math.NaN()
	}
	return math.Float64frombits(binary.BigEndian.Uint64(b))
}

func (r *rowReader) integer() int64 {
	b := r.column()
	if b == nil {
		return 0
	}
	return int64(binary.BigEndian.Uint64(b))
}

// micro gives a timestamp as microseconds since 1970.
func (r *rowReader) micro() int64 {
	const postgresEpoch = 946684800_000_000 // 2000-01-01
	return r.integer() + postgresEpoch
}

// fewRecords guesses whether a window has no more records than that.
func (v *view) fewRecords(window timeSpan, points int) bool {
	own := window.clip(v.span)
	if own.empty() {
		return false
	}
	share := float64(own.length()) / float64(v.span.length())
	return float64(v.records)*share <= float64(points)
}

// readPoints answers a window with its records; done is false when there are
// more than points.
func (v *view) readPoints(ctx context.Context, out *SessionSeries, window timeSpan, req *SeriesRequest, metrics []Field) (done bool, err error) {
	if window.clip(v.span).From.Before(v.lost) {
		return false, nil // only the rollups know the beginning
	}
	rows, err := v.tx.Query(ctx, "SELECT time"+fieldList(metrics)+` FROM telemetry
		WHERE session = $1 AND time >= $2 AND time < $3
		ORDER BY time, batch, ord LIMIT $4`, v.session, window.From, window.To, req.Points+1)
	if err != nil {
		return false, err
	}
	defer rows.Close()
	var times []int64
	values := make([][]float64, len(metrics))
	for rows.Next() {
		if len(times) == req.Points {
			return false, nil
		}
		r := rowReader{rows: rows, raw: rows.RawValues()}
		times = append(times, r.micro())
		for i := range values {
			values[i] = append(values[i], r.float())
		}
		if r.err != nil {
			return false, r.err
		}
	}
	if err := rows.Err(); err != nil {
		return false, err
	}
	out.Level, out.Points, out.Width = "raw", true, 0
	emitPoints(out, times, values, req, metrics)
	return true, nil
}
