package pace

import (
	"math"
	"time"

	"github.com/ecovolt/telemetryd/timeseries/analysis/still"
)

// Sum is a run at a moment.
type Sum struct {
	At          time.Time
	Way, Energy float64 // m and J since its first record, over no gap
	Silent      float64 // s that those leave out
	Paused      float64 // s that it stood, in pauses
}

// Lap is a lap that is over.
type Lap struct {
	From, To       time.Time
	Paused, Silent float64 // s
}

// Run is what is known of a run.
type Run struct {
	Laps []Lap
	// Open is when the lap began that the run is in; zero without.
	Open time.Time
	// Sums are the run by the half second, as far back as Run.back says; the last one
	// is now.
	Sums []Sum
	// Began is where the plan counts from, Reached where its goal was reached, Spent where
	// its energy was used up; nil without.
	Began, Reached, Spent *Sum
	// Distance and Energy tell whether anything measured them.
	Distance, Energy bool
	// Ended and Away tell that it is over, or was not heard of for a minute.
	Ended, Away bool
}

const (
	lately  = 5 // laps
	minutes = 10
	silence = 0.1 // of a lap or minute that may be missing
	// memory is how far back laps count.
	memory = 12 * time.Hour
)

// counting are the laps that tell how the run drives now, the oldest first.
func (r *Run) counting(now time.Time) (list []int) {
	for i := len(r.Laps) - 1; i >= 0 && len(list) < lately; i-- {
		l := &r.Laps[i]
		if now.Sub(l.From) > memory {
			break
		}
		if took := l.To.Sub(l.From).Seconds(); l.Paused == 0 && took > 0 && l.Silent <= silence*took {
			list = append([]int{i}, list...)
		}
	}
	return list
}

// back is from when on its sums are needed, where the newest record is of now.
func (r *Run) back(now time.Time) time.Time {
	since := now.Add(-minutes * time.Minute)
	if list := r.counting(now); len(list) > 0 && r.Laps[list[0]].From.Before(since) {
		since = r.Laps[list[0]].From
	}
	if !r.Open.IsZero() && r.Open.Before(since) && now.Sub(r.Open) < memory {
		since = r.Open
	}
	return since
}

// stretches are the laps, or minutes, that tell how the run drives: which laps, nil where it is
// minutes.
func (r *Run) stretches(s *sums) (list []stretch, laps []int32) {
	var spans [][2]time.Time
	now := r.Sums[len(r.Sums)-1].At
	for _, i := range r.counting(now) {
		spans = append(spans, [2]time.Time{r.Laps[i].From, r.Laps[i].To})
		laps = append(laps, int32(i+1))
	}
	if spans == nil {
		for k := range minutes {
			to := now.Add(-time.Duration(k) * time.Minute)
			from := to.Add(-time.Minute)
			if r.Began != nil && from.Before(r.Began.At) || from.Before(r.Sums[0].At) {
				break
			}
			a, b := s.raw(from), s.raw(to)
			if b.Paused-a.Paused == 0 && b.Silent-a.Silent <= silence*60 {
				spans = append(spans, [2]time.Time{from, to})
			}
		}
	}
	// Gaps are filled in with the mean rates of all.
	var way, energy, measured float64
	for _, span := range spans {
		a, b := s.raw(span[0]), s.raw(span[1])
		way, energy, measured = way+b.Way-a.Way, energy+b.Energy-a.Energy, measured+span[1].Sub(span[0]).Seconds()-(b.Silent-a.Silent)
	}
	if measured > 0 {
		s.speed, s.power = way/measured, energy/measured
	}
	for _, span := range spans {
		st := s.stretch(span[0], span[1])
		if laps == nil {
			st.even()
		}
		list = append(list, st)
	}
	return list, laps
}

// paused tells whether the car stands now.
func (r *Run) paused(s *sums) bool {
	now := r.Sums[len(r.Sums)-1]
	before := s.raw(now.At.Add(-still.PauseAfter))
	if r.Away {
		return true
	}
	return r.Distance && now.At.Sub(r.Sums[0].At) >= still.PauseAfter && now.Silent == before.Silent && now.Way-before.Way < still.Standing*still.PauseAfter.Seconds()
}

// raw is the run at a moment as it was measured.
func (s *sums) raw(t time.Time) Sum {
	i, f := s.when(t)
	a := s.list[i]
	if f > 0 {
		a = a.to(&s.list[i+1], f)
	}
	return a
}

// to is a run between two moments.
func (a *Sum) to(b *Sum, f float64) Sum {
	return Sum{At: a.At.Add(time.Duration(f * float64(b.At.Sub(a.At)))).Round(time.Microsecond), Way: a.Way + f*(b.Way-a.Way), Energy: a.Energy + f*(b.Energy-a.Energy),
		Silent: a.Silent + f*(b.Silent-a.Silent), Paused: a.Paused + f*(b.Paused-a.Paused)}
}

// ahead looks ahead from now on, by those stretches; ok tells whether it is known how
// far the open lap has come. What is behind the line without having crossed it is not.
func (r *Run) ahead(s *sums, list []stretch, laps bool) (a *ahead, ok bool) {
	a = &ahead{list: list}
	if !laps || r.Open.IsZero() {
		return a, !laps
	}
	now := r.Sums[len(r.Sums)-1].At
	gone := now.Sub(r.Open).Seconds() / a.all(took)
	if length := a.all(drove); r.Distance && length > 0 {
		from, _ := s.at(r.Open)
		to, _ := s.at(now)
		gone = (to - from) / length
		lengths := make([]float64, len(list))
		for i := range list {
			lengths[i] = list[i].m
		}
		if off := deviation(lengths) / length; off > 0 {
			a.off = off * math.Sqrt(max(0, min(1, gone)))
		}
	}
	a.share = max(0, min(1, gone))
	return a, gone <= 1+mostOver
}

// mostOver is by how much of a lap the car may be behind the line by its odometer before it
// is said to have gone elsewhere.
const mostOver = 0.05
