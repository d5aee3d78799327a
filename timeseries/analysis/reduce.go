package analysis

import (
	"math"
	"time"

	"github.com/ecovolt/telemetryd/timeseries/analysis/mode"
	"github.com/ecovolt/telemetryd/timeseries/analysis/still"
	"github.com/ecovolt/telemetryd/timeseries/fix"
)

// sample is what a record says about the way; NaN is what it does not say.
type sample struct {
	At            int64   // µs since 1970
	Lat, Lon      float64 // deg
	Speed         float64 // m/s
	Power         float64 // W
	Altitude      float64 // m
	DistanceCount float64 // the car's own counter, m
	EnergyCount   float64 // the car's own counter, J
	Lap           float64 // the car's own counter
	Mode          []byte  // of the driver; nil without one
}

// binWidth is how finely a run is kept. Half a second is 5 to 15 m of way, along
// which a car's path is straight enough to be one point, and few enough rows to
// hold a race of 24 hours.
const binWidth = int64(500 * time.Millisecond / time.Microsecond)

// bin is a run at the last record of half a second.
type bin struct {
	At     int64   // µs since 1970
	Way    float64 // m since the start of the run
	Energy float64 // J since the start of the run
	Top    float64 // highest speed in the bin, m/s; NaN without
	Silent float64 // s since the start of the run that the way leaves out as gaps
	Paused float64 // s since the start of the run that the car stood
	Peak   float64 // highest power in the bin, W; NaN without
	Coast  float64 // s since the start of the run that the car rolled by itself
	Alt    float64 // mean altitude in the bin, m; NaN without
}

// spot is the mean of the fixes of half a second.
type spot struct {
	At       float64 // µs since 1970
	Way      float64 // m since the start of the run, mean of the fixes
	Lat, Lon float64 // deg
	N        float64 // fixes
}

// sampling is how often records come, or those of them that carry a channel.
type sampling struct {
	Count int64 `json:"count"`
	Gap   int64 `json:"gap"` // µs; a longer step is a gap
}

// integral adds up a rate that is measured now and then.
type integral struct {
	sampling
	At    int64   `json:"at"`
	Rate  float64 `json:"rate"`
	Known bool    `json:"known"`
	Sum   float64 `json:"sum"`
	// Gaps is the time that no sum covers, since nothing was measured, µs.
	Gaps int64 `json:"gaps"`
}

// step is how a sum grew since the moment that it was known before; the zero
// value is none.
type step struct {
	since             int64   // µs since 1970
	sum, rate, change float64 // at first, by the second, and the second's own by the second
}

func (s *step) at(micros float64) float64 {
	t := (micros - float64(s.since)) / 1e6
	return s.sum + t*(s.rate+t/2*s.change)
}

// add takes the rate at a moment: over a step that is no gap it is the mean of
// both ends. It returns that step.
func (i *integral) add(at int64, rate float64) (s step) {
	if math.IsNaN(rate) || math.IsInf(rate, 0) {
		return s
	}
	i.Count++
	if took := at - i.At; i.Known && took > 0 {
		if took <= i.Gap {
			seconds := float64(took) / 1e6
			s = step{i.At, i.Sum, i.Rate, (rate - i.Rate) / seconds}
			i.Sum += (i.Rate + rate) / 2 * seconds
		} else {
			i.Gaps += took
		}
	}
	i.At, i.Rate, i.Known = at, rate, true
	return s
}

// counter follows a counter that the car sends.
type counter struct {
	sampling
	Last     float64 `json:"last"`
	Known    bool    `json:"known"`
	Grown    float64 `json:"grown"`
	InGaps   float64 `json:"in_gaps"` // grown while nothing else was measured
	Restarts int     `json:"restarts"`
	At       int64   `json:"at"`
	Pace     pace    `json:"pace"`
}

// pace compares how a counter and the sum beside it grow, in stretches of a
// quarter of a minute: a factor that is the same throughout is the counter's own.
type pace struct {
	At         int64   `json:"at"` // where the stretch began, µs since 1970
	Grown      float64 `json:"grown"`
	Sum        float64 `json:"sum"`
	N          int     `json:"n"`     // whole stretches
	Total      float64 `json:"total"` // of the sum over those
	XX, XY, YY float64 // squares and products of sum (X) and counter (Y) over those
}

const (
	stretch = int64(15 * time.Second / time.Microsecond)
	// leastStretches and mostOff are how many stretches it takes, and how far they
	// are from one factor at most, as a share: the root mean square.
	leastStretches = 4
	mostOff        = 0.03
)

// compare takes the sum at a moment.
func (c *counter) compare(at int64, sum float64) {
	p := &c.Pace
	if p.At == 0 {
		p.At = at
	}
	if at-p.At < stretch {
		return
	}
	x, y := sum-p.Sum, c.Grown-p.Grown
	p.N++
	p.Total += x
	p.XX, p.XY, p.YY = p.XX+x*x, p.XY+x*y, p.YY+y*y
	p.At, p.Grown, p.Sum = at, c.Grown, sum
}

// factor returns by what factor of the sum the counter grows, where that is the
// same throughout.
func (c *counter) factor(sum float64) (k float64, ok bool) {
	p := &c.Pace
	k = c.Grown / sum
	off := p.YY - 2*k*p.XY + k*k*p.XX
	return k, p.N >= leastStretches && math.Abs(p.Total-sum) < 0.2*math.Abs(sum) && off <= mostOff*mostOff*k*k*p.XX
}

// add takes what it says at a moment, and returns the step.
func (c *counter) add(at int64, value float64) (s step) {
	if math.IsNaN(value) || math.IsInf(value, 0) {
		return s
	}
	c.Count++
	if c.Known {
		grown := value - c.Last
		if value < c.Last/2 {
			grown = value // it began at 0 again
			c.Restarts++
		}
		if took := at - c.At; took > c.Gap {
			c.InGaps += grown
		} else if took > 0 {
			s = step{since: c.At, sum: c.Grown, rate: grown / (float64(took) / 1e6)}
		}
		c.Grown += grown
	}
	c.At, c.Last, c.Known = at, value, true
	return s
}

// runState is what a reducer knows between two records.
type runState struct {
	Every    sampling    `json:"every"` // all records
	Speed    integral    `json:"speed"`
	Power    integral    `json:"power"`
	Distance counter     `json:"distance"`
	Joules   counter     `json:"joules"`
	Fixes    fix.Fixes   `json:"fixes"`
	Fixed    int64       `json:"fixed"` // records whose position is a fix
	Moved    *moment     `json:"moved"` // the first record at speed
	Pause    still.Pause `json:"pause"`
	Coast    still.Coast `json:"coast"`
	Laps     lapCount    `json:"laps"`
	Mode     mode.Mode   `json:"mode,omitempty"`
	Silence  int64       `json:"silence"` // µs of gaps between records
	First    int64       `json:"first"`   // the oldest record, µs since 1970
	Last     int64       `json:"last"`    // the newest
	// HasSpeed and HasPower tell beforehand that the run has them.
	HasSpeed bool `json:"has_speed"`
	HasPower bool `json:"has_power"`
}

// moment is a moment of a run.
type moment struct {
	At  int64   `json:"at"`  // µs since 1970
	Way float64 `json:"way"` // m since the start of the run
}

// moving is from which speed on a run has begun, m/s.
const moving = 2

// samplings are those of all records and of the channels that are summed up.
func (s *runState) samplings() [5]*sampling {
	return [...]*sampling{&s.Every, &s.Speed.sampling, &s.Power.sampling, &s.Distance.sampling, &s.Joules.sampling}
}

// way is how far the car has come, m: the sum of speed times time, over no gap.
// A run that has no speed at all is measured by the car's counter.
func (s *runState) way() float64 {
	if !s.summed() {
		return s.Distance.Grown
	}
	return s.Speed.Sum
}

// summed reports whether the way is summed up from the speed.
func (s *runState) summed() bool { return s.Speed.Known || s.HasSpeed }

// energy is what the car has used, J: the sum of power times time, over no gap.
func (s *runState) energy() float64 {
	if !s.Power.Known && !s.HasPower {
		return s.Joules.Grown
	}
	return s.Power.Sum
}

// silent is how long way was not measured, s.
func (s *runState) silent() float64 { return float64(s.Speed.Gaps) / 1e6 }

// reducer makes bins and spots of a run's records, which come in order of time.
type reducer struct {
	runState
	Bins    []bin
	Spots   []spot
	Counted []counted
	Modes   mode.Sums
	// Stale tells that the bins are wrong: they are of a counter, and the run has
	// what is summed up instead. It must be reduced again, with HasSpeed or
	// HasPower set.
	Stale bool

	before  *reducer // of the minute before, where it is at hand
	known   []fix.Fix
	heights int // altitudes in the newest bin
}

// Add takes the next record.
func (r *reducer) Add(s sample) {
	r.Every.Count++
	before, wayBefore, energyBefore := r.Last, r.way(), r.energy()
	switch {
	case r.Every.Count == 1:
		r.First = s.At
	case s.At-r.Last > r.Every.Gap:
		r.Silence += s.At - r.Last
		r.Mode = ""
	}
	r.Last = s.At
	r.Counted = r.Laps.add(r.Counted, s.At, s.Lap)
	// A counter that stood in for what comes now is wrong from the start.
	r.Stale = r.Stale || !math.IsNaN(s.Speed) && !r.Speed.Known && !r.HasSpeed && r.Distance.Grown != 0 ||
		!math.IsNaN(s.Power) && !r.Power.Known && !r.HasPower && r.Joules.Grown != 0
	r.Pause.Add(s.At, s.Speed, r.Speed.Gap)
	driven, counted := r.Speed.add(s.At, s.Speed), r.Distance.add(s.At, s.DistanceCount)
	if !r.summed() {
		driven = counted
	}
	rolled := 0.0
	if took := s.At - r.Power.At; r.Power.Known && took <= r.Power.Gap {
		rolled = float64(took) / 1e6
	}
	r.Coast.Add(s.Speed, s.Power, rolled)
	used, counted := r.Power.add(s.At, s.Power), r.Joules.add(s.At, s.EnergyCount)
	if !r.Power.Known && !r.HasPower {
		used = counted
	}
	r.spread(&driven, &used)
	r.Distance.compare(s.At, r.Speed.Sum)
	r.Joules.compare(s.At, r.Power.Sum)
	way, top := r.way(), s.Speed
	r.Modes.Add(r.Mode, float64(s.At-before)/1e6, way-wayBefore, r.energy()-energyBefore)
	r.Mode.Now(s.Mode)
	if r.Moved == nil && top > moving {
		r.Moved = &moment{s.At, way}
	}
	now := bin{s.At, way, r.energy(), top, r.silent(), r.Pause.Sum, s.Power, r.Coast.Sum, math.NaN()}
	if n := len(r.Bins); n > 0 && r.Bins[n-1].At/binWidth == s.At/binWidth {
		b := &r.Bins[n-1]
		now.Top, now.Peak, now.Alt = highest(b.Top, now.Top), highest(b.Peak, now.Peak), b.Alt
		*b = now
	} else {
		r.Bins, r.heights = append(r.Bins, now), 0
	}
	if math.Abs(s.Altitude) < highestPlace {
		b := &r.Bins[len(r.Bins)-1]
		if r.heights++; r.heights == 1 {
			b.Alt = s.Altitude
		}
		b.Alt += (s.Altitude - b.Alt) / float64(r.heights)
	}
	r.known = r.Fixes.Add(r.known[:0], fix.Fix{At: s.At, Lat: s.Lat, Lon: s.Lon, Way: way})
	r.take()
}

// highestPlace is above all roads, m.
const highestPlace = 10_000

// highest of two is the other one where one is NaN.
func highest(a, b float64) float64 {
	if b > a || math.IsNaN(a) {
		return b
	}
	return a
}

// spread has the bins that lie in steps, and the spots, go along with what the
// steps say: what a channel that not every record carries tells at the end of a
// step belongs to all of it.
func (r *reducer) spread(way, energy *step) {
	for p := r; p != nil; p = p.before {
		i := len(p.Bins)
		for ; i > 0; i-- {
			b := &p.Bins[i-1]
			inWay, inEnergy := way.since != 0 && b.At > way.since, energy.since != 0 && b.At > energy.since
			if inWay {
				b.Way = way.at(float64(b.At))
			}
			if inEnergy {
				b.Energy = energy.at(float64(b.At))
			}
			if !inWay && !inEnergy {
				break
			}
		}
		for k := len(p.Spots); k > 0 && way.since != 0 && p.Spots[k-1].At > float64(way.since); k-- {
			p.Spots[k-1].Way = way.at(p.Spots[k-1].At)
		}
		if i > 0 {
			return
		}
	}
}

// open returns when the oldest of the steps began that go on at the moment at
// and have records in them, or that moment.
func (s *runState) open(at int64) int64 {
	way, energy := s.Distance.sampling, s.Joules.sampling
	wayAt, energyAt := s.Distance.At, s.Joules.At
	if s.summed() {
		way, wayAt = s.Speed.sampling, s.Speed.At
	}
	if s.Power.Known || s.HasPower {
		energy, energyAt = s.Power.sampling, s.Power.At
	}
	oldest := at
	for _, c := range []struct {
		sampling
		at int64
	}{{way, wayAt}, {energy, energyAt}} {
		if c.Count > 0 && c.at < s.Last && at-c.at <= c.Gap {
			oldest = min(oldest, c.at)
		}
	}
	return oldest
}

// End takes what a run's last records leave open.
func (r *reducer) End() {
	r.known = r.Fixes.End(r.known[:0])
	r.take()
}

func (r *reducer) take() {
	r.Fixed += int64(len(r.known))
	for _, f := range r.known {
		n := len(r.Spots)
		if n == 0 || int64(r.Spots[n-1].At)/binWidth != f.At/binWidth {
			r.Spots = append(r.Spots, spot{float64(f.At), f.Way, f.Lat, f.Lon, 1})
			continue
		}
		spot := &r.Spots[n-1]
		spot.N++
		spot.At += (float64(f.At) - spot.At) / spot.N
		spot.Way += (f.Way - spot.Way) / spot.N
		spot.Lat += (f.Lat - spot.Lat) / spot.N
		spot.Lon += math.Remainder(f.Lon-spot.Lon, 360) / spot.N
	}
}
