package analysis

import (
	"math"
	"time"
)

// sample is what a record says about the way; NaN is what it does not say.
type sample struct {
	At            int64   // µs since 1970
	Lat, Lon      float64 // deg
	Speed         float64 // m/s
	Power         float64 // W
	DistanceCount float64 // the car's own counter, m
	EnergyCount   float64 // the car's own counter, J
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

// add takes the rate at a moment: over a step that is no gap it is the mean of
// both ends.
func (i *integral) add(at int64, rate float64) {
	if math.IsNaN(rate) || math.IsInf(rate, 0) {
		return
	}
	i.Count++
	if step := at - i.At; i.Known && step > 0 {
		if step <= i.Gap {
			i.Sum += (i.Rate + rate) / 2 * float64(step) / 1e6
		} else {
			i.Gaps += step
		}
	}
	i.At, i.Rate, i.Known = at, rate, true
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

func (c *counter) add(at int64, value float64) {
	if math.IsNaN(value) || math.IsInf(value, 0) {
		return
	}
	c.Count++
	if c.Known {
		grown := value - c.Last
		if value < c.Last/2 {
			grown = value // it began at 0 again
			c.Restarts++
		}
		c.Grown += grown
		if at-c.At > c.Gap {
			c.InGaps += grown
		}
	}
	c.At, c.Last, c.Known = at, value, true
}

// runState is what a reducer knows between two records.
type runState struct {
	Every    sampling `json:"every"` // all records
	Speed    integral `json:"speed"`
	Power    integral `json:"power"`
	Distance counter  `json:"distance"`
	Joules   counter  `json:"joules"`
	Fixes    Fixes    `json:"fixes"`
	Fixed    int64    `json:"fixed"` // records whose position is a fix
	Moved    *moment  `json:"moved"` // the first record at speed
	Pause    pause    `json:"pause"`
	Silence  int64    `json:"silence"` // µs of gaps between records
	First    int64    `json:"first"`   // the oldest record, µs since 1970
	Last     int64    `json:"last"`    // the newest
	// HasSpeed and HasPower tell beforehand that the run has them.
	HasSpeed bool `json:"has_speed"`
	HasPower bool `json:"has_power"`
}

// pause adds up how long the car stood.
type pause struct {
	Since int64   `json:"since"` // µs since 1970; 0 while it moves
	At    int64   `json:"at"`
	Sum   float64 `json:"sum"` // s
}

const (
	// standing is below which speed the car stands, m/s, and pauseAfter from when
	// on that is a pause: less is a slow corner or a start.
	standing   = 0.5
	pauseAfter = int64(10 * time.Second / time.Microsecond)
	// absent is from which silence on the car is taken to have been switched off.
	absent = int64(time.Minute / time.Microsecond)
)

// add takes the speed at a moment. A silence is a pause if the car stood when it
// began or ended, or if it is long.
func (p *pause) add(at int64, speed float64, gap int64) {
	if math.IsNaN(speed) {
		return
	}
	step := at - p.At
	stood := p.Since != 0
	switch {
	case p.At == 0:
	case step > gap && (step >= absent || step >= pauseAfter && (stood || speed < standing)):
		p.Sum += float64(step) / 1e6
		if stood && p.At-p.Since < pauseAfter {
			p.Sum += float64(p.At-p.Since) / 1e6
		}
		p.Since = at - pauseAfter // counted up to here
	case step > gap:
		p.Since = 0
	case stood && at-p.Since >= pauseAfter:
		if p.At-p.Since < pauseAfter {
			p.Sum += float64(at-p.Since) / 1e6
		} else {
			p.Sum += float64(step) / 1e6
		}
	}
	switch {
	case speed >= standing:
		p.Since = 0
	case p.Since == 0:
		p.Since = at
	}
	p.At = at
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
	if !s.Speed.Known && !s.HasSpeed {
		return s.Distance.Grown
	}
	return s.Speed.Sum
}

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
	Bins  []bin
	Spots []spot
	// Stale tells that the bins are wrong: they are of a counter, and the run has
	// what is summed up instead. It must be reduced again, with HasSpeed or
	// HasPower set.
	Stale bool

	known []Fix
}

// Add takes the next record.
func (r *reducer) Add(s sample) {
	r.Every.Count++
	switch {
	case r.Every.Count == 1:
		r.First = s.At
	case s.At-r.Last > r.Every.Gap:
		r.Silence += s.At - r.Last
	}
	r.Last = s.At
	// A counter that stood in for what comes now is wrong from the start.
	r.Stale = r.Stale || !math.IsNaN(s.Speed) && !r.Speed.Known && !r.HasSpeed && r.Distance.Grown != 0 ||
		!math.IsNaN(s.Power) && !r.Power.Known && !r.HasPower && r.Joules.Grown != 0
	r.Pause.add(s.At, s.Speed, r.Speed.Gap)
	r.Speed.add(s.At, s.Speed)
	r.Power.add(s.At, s.Power)
	r.Distance.add(s.At, s.DistanceCount)
	r.Joules.add(s.At, s.EnergyCount)
	r.Distance.compare(s.At, r.Speed.Sum)
	r.Joules.compare(s.At, r.Power.Sum)
	way, top := r.way(), s.Speed
	if r.Moved == nil && top > moving {
		r.Moved = &moment{s.At, way}
	}
	if n := len(r.Bins); n > 0 && r.Bins[n-1].At/binWidth == s.At/binWidth {
		if !(top >= r.Bins[n-1].Top) && !math.IsNaN(r.Bins[n-1].Top) {
			top = r.Bins[n-1].Top
		}
		r.Bins[n-1] = bin{s.At, way, r.energy(), top, r.silent(), r.Pause.Sum}
	} else {
		r.Bins = append(r.Bins, bin{s.At, way, r.energy(), top, r.silent(), r.Pause.Sum})
	}
	r.known = r.Fixes.Add(r.known[:0], Fix{At: s.At, Lat: s.Lat, Lon: s.Lon, Way: way})
	r.take()
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
