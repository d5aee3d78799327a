package series

import (
	"math"
	"slices"
	"time"
)

// gapAfter gives from how many empty buckets on a stretch is a gap. Where
// buckets are about as short as the step between records, an empty one is
// nothing unusual.
func (v *view) gapAfter(width time.Duration, sums *bucketSums) int {
	var filled []int64
	for _, n := range sums.records {
		if n > 0 {
			filled = append(filled, n)
		}
	}
	if len(filled) == 0 {
		return 1
	}
	slices.Sort(filled)
	perBucket := filled[len(filled)/2]
	if perBucket >= 4 {
		return 1
	}
	// Few records in each bucket: the usual step may be longer than a bucket.
	step := float64(len(sums.records)) / float64(sums.total())
	if v.records > 1 {
		step = min(step, float64(v.span.Length())/float64(v.records)/float64(width))
	}
	return max(1, int(math.Ceil(5*step)))
}

// emit turns accumulated buckets into columns; ends is nil but with ModeM4.
func emit(out *Session, sums *bucketSums, ends *m4Columns, axis func(int) float64, req *Request, want wanted, gapAfter int) {
	n := len(sums.records)
	filled := 0
	for _, r := range sums.records {
		if r > 0 {
			filled++
		}
	}
	capacity := 2 * filled
	if req.Fill != FillGap || capacity > n {
		capacity = n
	}
	out.columns(want, capacity, req.Mode)
	if filled == 0 && req.Fill != FillNull {
		return
	}
	last := -1 // the last bucket with records
	for i, records := range sums.records {
		switch {
		case records > 0:
			if last >= 0 && req.Fill == FillGap && i-last > gapAfter {
				out.hole(axis(last + 1))
			}
			last = i
			out.X = append(out.X, axis(i))
			for m := range sums.metrics {
				s, col := &sums.metrics[m], &out.Metrics[m]
				if s.count[i] == 0 {
					col.hole(req.Fill)
					continue
				}
				col.Min = append(col.Min, s.min[i])
				col.Max = append(col.Max, s.max[i])
				col.Avg = append(col.Avg, mean(s.sum[i], s.count[i], s.min[i], s.max[i]))
				col.Count = append(col.Count, s.count[i])
				if ends != nil {
					e := &ends.metrics[m]
					col.First, col.FirstX = append(col.First, e.first[i]), append(col.FirstX, float64(e.firstTime[i])/1e3)
					col.Last, col.LastX = append(col.Last, e.last[i]), append(col.LastX, float64(e.lastTime[i])/1e3)
				}
			}
			for k := range out.States {
				out.States[k].add(sums.states[k][i], req.Fill)
			}
		case req.Fill != FillGap:
			out.X = append(out.X, axis(i))
			for m := range out.Metrics {
				out.Metrics[m].hole(req.Fill)
			}
			for k := range out.States {
				out.States[k].add("", req.Fill)
			}
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

// emitPoints turns single records into columns.
func emitPoints(out *Session, times []int64, values [][]float64, states [][]string, req *Request, want wanted) {
	out.columns(want, len(times), req.Mode)
	gap := int64(math.MaxInt64)
	if req.Fill != FillLOCF {
		gap = usualStep(times) * 5
	}
	for i, t := range times {
		x := float64(t) / 1e3
		if i > 0 && t-times[i-1] > gap {
			// Just behind the last record, so that a line ends there.
			out.hole(float64(times[i-1]+1) / 1e3)
		}
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
		}
		for k := range states {
			out.States[k].add(states[k][i], req.Fill)
		}
	}
}

// usualStep gives the median time between records, in microseconds.
func usualStep(times []int64) int64 {
	if len(times) < 3 {
		return math.MaxInt64 / 8 // too few to tell
	}
	steps := make([]int64, len(times)-1)
	for i := range steps {
		steps[i] = times[i+1] - times[i]
	}
	slices.Sort(steps)
	return max(steps[len(steps)/2], 1)
}
