// Package bucket adds up what a chart shows of the records in each of its buckets, and
// knows which are first and last in a pixel column. It is for use by one goroutine; times
// are in µs since 1970.
package bucket

import (
	"math"
	"slices"
	"time"

	"github.com/ecovolt/telemetryd/timeseries/record"
)

// Sums accumulates what the segments of a window add to each bucket. A bucket
// is known by its place in the grid.
type Sums struct {
	Records []int64
	Metrics []Metric
	States  [][]string // the newest, "" for none
	// Vague marks buckets of which the database aggregated a part: when their
	// samples were, is known up to the bucket.
	Vague []bool
}

// Metric is what the samples of a metric are in each bucket.
type Metric struct {
	Min, Max, Sum []float64
	Count         []int64
	First, Last   []int64 // µs; of the samples
}

// New returns the Sums of n buckets.
func New(n, metrics int) *Sums {
	b := &Sums{Records: make([]int64, n), Metrics: make([]Metric, metrics), Vague: make([]bool, n)}
	for i := range b.Metrics {
		floats, ints := make([]float64, 3*n), make([]int64, 3*n)
		b.Metrics[i] = Metric{floats[:n:n], floats[n : 2*n : 2*n], floats[2*n:], ints[:n:n], ints[n : 2*n : 2*n], ints[2*n:]}
	}
	return b
}

// Sample adds one sample to bucket i.
func (m *Metric) Sample(i int, value float64, t int64) {
	if m.Count[i] == 0 {
		m.First[i], m.Last[i] = t, t
	} else {
		m.First[i], m.Last[i] = min(m.First[i], t), max(m.Last[i], t)
	}
	m.Add(i, value, value, value, 1)
}

// Add merges one row of aggregates into bucket i.
func (m *Metric) Add(i int, low, high, sum float64, count int64) {
	if count == 0 {
		return
	}
	if m.Count[i] == 0 {
		m.Min[i], m.Max[i] = low, high
	} else {
		m.Min[i], m.Max[i] = min(m.Min[i], low), max(m.Max[i], high)
	}
	m.Sum[i] += sum
	m.Count[i] += count
}

// Total counts the records of all buckets.
func (b *Sums) Total() (n int64) {
	for _, r := range b.Records {
		n += r
	}
	return n
}

// Merge adds the aggregates that a row goes on with to bucket i.
func (b *Sums) Merge(i int, r *record.Columns) {
	b.Vague[i] = true
	b.Records[i] += r.Int()
	for m := range b.Metrics {
		low, high, sum, count := r.Float(), r.Float(), r.Float(), r.Int()
		b.Metrics[m].Add(i, low, high, sum, count)
	}
}

// MergeRows adds rows of aggregates: of each the records, then lowest, highest, sum and
// count of each metric.
func (b *Sums) MergeRows(times []int64, rows [][]float64, places Places) {
	for k, t := range times {
		i := places.Of(t)
		b.Vague[i] = true
		b.Records[i] += int64(rows[0][k])
		for m := range b.Metrics {
			of := rows[1+4*m:]
			b.Metrics[m].Add(i, of[0][k], of[1][k], of[2][k], int64(of[3][k]))
		}
	}
}

// Places is a grid of buckets of one width.
type Places struct{ Origin, Width int64 }

// Of returns the bucket that a time lies in.
func (p Places) Of(t int64) int { return int((t - p.Origin) / p.Width) }

// End returns where a bucket ends and the next one begins.
func (p Places) End(i int) int64 { return p.Origin + int64(i+1)*p.Width }

// SampleRows adds records in the order of time, with their values of each metric.
func (b *Sums) SampleRows(times []int64, values [][]float64, places Places) {
	for from, to := 0, 0; from < len(times); from = to {
		i := places.Of(times[from])
		for next := places.End(i); to < len(times) && times[to] < next; to++ {
		}
		b.Records[i] += int64(to - from)
		for m := range b.Metrics {
			b.Metrics[m].run(i, times[from:to], values[m][from:to])
		}
	}
}

// SampleRows is that of Sums for pixel columns: of those before, all records are earlier.
func (c *Columns) SampleRows(sums *Sums, times []int64, values [][]float64) {
	i := 0
	if len(times) > 0 {
		i, _ = slices.BinarySearch(c.Edges, times[0]+1)
		i--
	}
	for from, to := 0, 0; from < len(times); from = to {
		for i = c.At(i, times[from]); to < len(times) && times[to] < c.Edges[i+1]; to++ {
		}
		sums.Records[i] += int64(to - from)
		for m := range sums.Metrics {
			first, last := from, to-1
			for first < to && math.IsNaN(values[m][first]) {
				first++
			}
			if first == to {
				continue
			}
			for math.IsNaN(values[m][last]) {
				last--
			}
			ends := &c.Metrics[m]
			if sums.Metrics[m].Count[i] == 0 {
				ends.First[i], ends.FirstTime[i] = values[m][first], times[first]
			}
			ends.Last[i], ends.LastTime[i] = values[m][last], times[last]
			sums.Metrics[m].run(i, times[first:last+1], values[m][first:last+1])
		}
	}
}

// run adds samples in the order of time to bucket i.
func (m *Metric) run(i int, times []int64, values []float64) {
	low, high, sum, count := math.Inf(1), math.Inf(-1), 0.0, 0
	first, last := 0, 0
	for k, v := range values {
		if v != v {
			continue
		}
		if count == 0 {
			first = k
		}
		last = k
		if v < low {
			low = v
		}
		if v > high {
			high = v
		}
		sum += v
		count++
	}
	if count == 0 {
		return
	}
	if m.Count[i] == 0 {
		m.First[i], m.Last[i] = times[first], times[last]
	} else {
		m.First[i], m.Last[i] = min(m.First[i], times[first]), max(m.Last[i], times[last])
	}
	m.Add(i, low, high, sum, int64(count))
}

// Columns holds the ends of the line inside each pixel column. Together with
// minimum and maximum they draw the same pixels as all records would (Jugel et
// al., M4: a visualization-oriented time series data aggregation, 2014).
type Columns struct {
	Edges   []int64 // µs; column i is [edges[i], edges[i+1])
	Loose   []bool  // it holds records that a level lacks
	Metrics []Ends
}

// Ends are the first and the last record of each column that has a metric.
type Ends struct {
	First, Last         []float64
	FirstTime, LastTime []int64
	Found               []bool // they are those of records, not of a bucket
}

// NewColumns returns the Columns between those edges.
func NewColumns(edges []int64, metrics int) *Columns {
	columns := len(edges) - 1
	c := &Columns{edges, make([]bool, columns), make([]Ends, metrics)}
	for i := range c.Metrics {
		c.Metrics[i] = Ends{make([]float64, columns), make([]float64, columns), make([]int64, columns), make([]int64, columns), make([]bool, columns)}
	}
	return c
}

// Starts returns where the columns begin.
func (c *Columns) Starts() []time.Time {
	starts := make([]time.Time, len(c.Edges)-1)
	for i := range starts {
		starts[i] = time.UnixMicro(c.Edges[i])
	}
	return starts
}

// At returns which column a time lies in, that one or a later one.
func (c *Columns) At(i int, t int64) int {
	for t >= c.Edges[i+1] {
		i++
	}
	return i
}

// Sample adds a value to column i, where all before were of earlier records.
func (c *Columns) Sample(sums *Sums, i, m int, value float64, t int64) {
	ends := &c.Metrics[m]
	if sums.Metrics[m].Count[i] == 0 {
		ends.First[i], ends.FirstTime[i] = value, t
	}
	ends.Last[i], ends.LastTime[i] = value, t
	sums.Metrics[m].Add(i, value, value, value, 1)
}

// Merge adds the aggregates and the ends that a row goes on with to column i.
func (c *Columns) Merge(i int, ofRecords bool, sums *Sums, r *record.Columns) {
	c.Loose[i] = c.Loose[i] || ofRecords
	before := make([]int64, len(sums.Metrics))
	for m := range sums.Metrics {
		before[m] = sums.Metrics[m].Count[i]
	}
	sums.Merge(i, r)
	for m := range sums.Metrics {
		first, last := r.Micros(), r.Micros()
		ends := &c.Metrics[m]
		switch {
		case sums.Metrics[m].Count[i] == before[m]: // none of these records has it
		case before[m] == 0:
			ends.FirstTime[i], ends.LastTime[i] = first, last
		default:
			ends.FirstTime[i], ends.LastTime[i] = min(ends.FirstTime[i], first), max(ends.LastTime[i], last)
		}
	}
}
