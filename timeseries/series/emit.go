package series

import (
	"math"
	"time"

	"github.com/ecovolt/telemetryd/timeseries/channel"
	"github.com/ecovolt/telemetryd/timeseries/series/bucket"
)

// emitter turns columns of time or distance into those of an answer, and finds
// the gaps: where a channel was silent for longer than its own usual step
// allows, whatever the others did meanwhile.
type emitter struct {
	out  *Session
	req  *Request
	gaps []int64 // µs; how long each metric, and then each state, may be silent
	last []int64 // µs; when each had its newest sample
	row  []int   // and in which row of the answer; -1 for none yet
}

func newEmitter(out *Session, req *Request, want wanted, steps []time.Duration, capacity int) *emitter {
	out.columns(want, capacity, req.Mode)
	e := &emitter{out: out, req: req, gaps: make([]int64, len(steps)), last: make([]int64, len(steps)), row: make([]int, len(steps))}
	for k, step := range steps {
		e.gaps[k], e.row[k] = channel.GapAfter(step).Microseconds(), -1
		if k < len(out.Metrics) {
			out.Metrics[k].Step, out.Metrics[k].GapAfter = step.Seconds(), channel.GapAfter(step).Seconds()
		}
	}
	return e
}

// sample notes that a channel has samples from first to last in the row that
// comes next. It reports whether they end a gap in which there is no row yet.
// from and to are where the gap lies on the x axis.
func (e *emitter) sample(k int, first, last int64, from, to float64) (open bool) {
	if e.row[k] >= 0 && first-e.last[k] > e.gaps[k] {
		open = e.row[k] == len(e.out.X)-1
		if k < len(e.out.Metrics) {
			e.out.Metrics[k].Gaps = append(e.out.Metrics[k].Gaps, [2]float64{from, to})
		}
	}
	return open
}

// done notes the newest sample of a channel that is in the row just appended.
func (e *emitter) done(k int, last int64) {
	if e.row[k] < 0 || last > e.last[k] {
		e.last[k] = last
	}
	e.row[k] = len(e.out.X) - 1
}

// grid says what a column of an axis stands for.
type grid struct {
	x func(int) float64 // where column i begins
	// times are the first and the last moment of column i, µs. Nil by distance.
	times func(int) (int64, int64)
}

// span returns where silence between two columns lies on the x axis.
func (g grid) span(i, j int, last, first int64) (from, to float64) {
	if g.times == nil {
		return g.x(i), g.x(j)
	}
	return float64(last) / 1e3, float64(first) / 1e3
}

// emit turns accumulated buckets into columns; ends is nil but with ModeM4.
func emit(out *Session, sums *bucket.Sums, ends *bucket.Columns, axis grid, req *Request, want wanted, steps []time.Duration) {
	n, filled := len(sums.Records), 0
	has := func(i int) bool {
		for m := range sums.Metrics {
			if sums.Metrics[m].Count[i] > 0 {
				return true
			}
		}
		for k := range sums.States {
			if sums.States[k][i] != "" {
				return true
			}
		}
		return false
	}
	for i := range n {
		if has(i) {
			filled++
		}
	}
	capacity := n
	if req.Fill == FillGap {
		capacity = min(2*filled, n)
	}
	e := newEmitter(out, req, want, steps, capacity)
	if filled == 0 && req.Fill != FillNull {
		return
	}
	column := make([]int, len(steps)) // the newest of each channel
	before := -1                      // the newest of all
	for i := range n {
		present := has(i)
		if !present && req.Fill == FillGap {
			continue
		}
		open := false
		for m := range sums.Metrics {
			if s := &sums.Metrics[m]; s.Count[i] > 0 {
				from, to := axis.span(column[m], i, e.last[m], s.First[i])
				open = e.sample(m, s.First[i], s.Last[i], from, to) || open
				column[m] = i
			}
		}
		for k := range sums.States {
			if sums.States[k][i] != "" {
				first, last := axis.times(i)
				open = e.sample(len(sums.Metrics)+k, first, last, 0, 0) || open
			}
		}
		if open && req.Fill == FillGap && before+1 < i {
			out.hole(axis.x(before + 1))
		}
		out.X = append(out.X, axis.x(i))
		for m := range sums.Metrics {
			s, col := &sums.Metrics[m], &out.Metrics[m]
			if s.Count[i] == 0 {
				col.hole(req.Fill)
				continue
			}
			col.Min = append(col.Min, s.Min[i])
			col.Max = append(col.Max, s.Max[i])
			col.Avg = append(col.Avg, mean(s.Sum[i], s.Count[i], s.Min[i], s.Max[i]))
			col.Count = append(col.Count, s.Count[i])
			if ends != nil {
				m4 := &ends.Metrics[m]
				col.First, col.FirstX = append(col.First, m4.First[i]), append(col.FirstX, float64(s.First[i])/1e3)
				col.Last, col.LastX = append(col.Last, m4.Last[i]), append(col.LastX, float64(s.Last[i])/1e3)
			}
			e.done(m, s.Last[i])
		}
		for k := range sums.States {
			out.States[k].add(sums.States[k][i], req.Fill)
			if sums.States[k][i] != "" {
				_, last := axis.times(i)
				e.done(len(sums.Metrics)+k, last)
			}
		}
		if present {
			before = i
		}
	}
}

// mean is sum / count, which rounding must not put outside the values.
func mean(sum float64, count int64, low, high float64) float64 {
	return min(max(sum/float64(count), low), high)
}

// hole appends one point without values to every column.
func (s *Session) hole(x float64) {
	s.X = append(s.X, x)
	for m := range s.Metrics {
		s.Metrics[m].hole(FillNull)
	}
	for k := range s.States {
		s.States[k].add("", FillNull)
	}
}

// add appends a state; where there is none, that is a hole.
func (s *State) add(state string, fill Fill) {
	if n := len(s.Last); state == "" && fill == FillLOCF && n > 0 {
		state = s.Last[n-1]
	}
	s.Last = append(s.Last, state)
}

// hole appends a point without a value, or with the last one.
func (m *Metric) hole(fill Fill) {
	v := math.NaN()
	if n := len(m.Avg); fill == FillLOCF && n > 0 {
		v = m.Avg[n-1]
	}
	m.Min, m.Max, m.Avg, m.Count = append(m.Min, v), append(m.Max, v), append(m.Avg, v), append(m.Count, 0)
	if m.First != nil {
		nan := math.NaN()
		m.First, m.Last, m.FirstX, m.LastX = append(m.First, nan), append(m.Last, nan), append(m.FirstX, nan), append(m.LastX, nan)
	}
}

// emitPoints turns single records into columns. By default those are left out
// that carry none of the channels.
func emitPoints(out *Session, times []int64, values [][]float64, states [][]string, req *Request, want wanted, steps []time.Duration) {
	e := newEmitter(out, req, want, steps, len(times))
	for i, t := range times {
		present, open := false, false
		sample := func(k int) {
			present = true
			open = e.sample(k, t, t, float64(e.last[k])/1e3, float64(t)/1e3) || open
		}
		for m := range values {
			if !math.IsNaN(values[m][i]) {
				sample(m)
			}
		}
		for k := range states {
			if states[k][i] != "" {
				sample(len(values) + k)
			}
		}
		if !present && req.Fill == FillGap {
			continue
		}
		if open && req.Fill != FillLOCF {
			// Just behind the last record, so that a line ends there.
			out.hole(out.X[len(out.X)-1] + 1e-3)
		}
		x := float64(t) / 1e3
		out.X = append(out.X, x)
		for m := range values {
			col, v := &out.Metrics[m], values[m][i]
			if math.IsNaN(v) {
				col.hole(req.Fill)
				continue
			}
			col.Min, col.Max, col.Avg, col.Count = append(col.Min, v), append(col.Max, v), append(col.Avg, v), append(col.Count, 1)
			if req.Mode == ModeM4 {
				col.First, col.Last, col.FirstX, col.LastX = append(col.First, v), append(col.Last, v), append(col.FirstX, x), append(col.LastX, x)
			}
			e.done(m, t)
		}
		for k := range states {
			out.States[k].add(states[k][i], req.Fill)
			if states[k][i] != "" {
				e.done(len(values)+k, t)
			}
		}
	}
}
