package analysis

import (
	"fmt"
	"math"
	"sort"
	"time"
)

// Figures are how far a run went and how much it took.
type Figures struct {
	Distance     *float64 // m; nil where nothing measured it
	DistanceFrom *string  // speed or counter
	Energy       *float64 // J; regeneration subtracts
	EnergyFrom   *string  // power or counter
	SentDistance *float64 // by how much the car's own counter grew, m
	SentEnergy   *float64 // likewise, J
	SentWhy      *string  // why those differ by more than 1 %
	Silent       float64  // gaps between records, s
	Paused       float64  // s
	NoFix        int64    // records whose position is no fix
}

// Efficiency is in km/kWh; nil where it is not known or nothing was used.
func (f *Figures) Efficiency() *float64 {
	if f.Distance == nil || f.Energy == nil || !(*f.Energy > 0) {
		return nil
	}
	v := *f.Distance / 1000 / (*f.Energy / 3.6e6)
	return &v
}

// worthSaying is from which share on a counter's difference is told.
const worthSaying = 0.01

func (s *runState) figures() Figures {
	f := Figures{Silent: float64(s.Silence) / 1e6, Paused: s.Pause.Sum}
	pick := func(sum *integral, sent *counter, value float64, by string) (v *float64, from *string) {
		counted := "counter"
		switch {
		case sum.Known:
			return &value, &by
		case sent.Known:
			return &value, &counted
		}
		return nil, nil
	}
	f.Distance, f.DistanceFrom = pick(&s.Speed, &s.Distance, s.way(), "speed")
	f.Energy, f.EnergyFrom = pick(&s.Power, &s.Joules, s.energy(), "power")
	why := ""
	if s.Distance.Known {
		f.SentDistance = &s.Distance.Grown
		if s.Speed.Known {
			why = s.Distance.why("distance", "speed", "m", s.Speed.Sum)
		}
	}
	if s.Joules.Known {
		f.SentEnergy = &s.Joules.Grown
		if s.Power.Known {
			if energy := s.Joules.why("energy", "power", "J", s.Power.Sum); energy != "" && why != "" {
				why += "; " + energy
			} else {
				why += energy
			}
		}
	}
	if why != "" {
		f.SentWhy = &why
	}
	return f
}

// why tells why a counter differs from the sum; "" where it does not.
func (c *counter) why(what, rate, unit string, sum float64) string {
	if math.Abs(c.Grown-sum) <= worthSaying*math.Abs(sum) {
		return ""
	}
	if sum == 0 {
		return fmt.Sprintf("the car's %s counter grew by %.3g %s, and %s times time is 0", what, c.Grown, unit, rate)
	}
	text := fmt.Sprintf("the car's %s counter grew by %+.1f %% against %s times time", what, 100*(c.Grown/sum-1), rate)
	if c.Restarts > 0 {
		text += fmt.Sprintf(", began anew %d times", c.Restarts)
	}
	if math.Abs(c.InGaps) > worthSaying/2*math.Abs(sum) {
		text += fmt.Sprintf(", %.1f %% of it while no records came", 100*c.InGaps/sum)
	} else if factor, ok := c.factor(sum); ok && c.Restarts == 0 {
		text += fmt.Sprintf(" all along: its scale or its clock is off by a factor of %.3f", factor)
	}
	return text
}

// leg is a part of a run: a lap, a sector of one, or a part of that.
type leg struct {
	From, To         time.Time
	Seconds          float64
	FromWay          float64 // m since the start of the run
	Distance, Energy float64 // m, J
	Silent, Paused   float64 // s
	Coast            float64 // s
	Top              float64 // m/s; NaN where no speed is known
	Peak             float64 // W; NaN where no power is known
	Error            float64 // s
}

// lap is one round, from the run's start line on.
type lap struct {
	leg
	sectors []leg
}

// laps are the figures of the laps and their sectors; open is the lap that is not over,
// of which only From and the sectors that are over are known, nil where there is none.
func (r *run) laps(course *lapCourse) (list []lap, open *lap) {
	parts := r.legs(course.Crossings, course.Gate)
	i, n := 0, len(course.Parts)
	for ; i+n <= len(parts); i += n {
		l := lap{leg: parts[i], sectors: make([]leg, len(course.Gates))}
		for k, part := range parts[i : i+n] {
			if k > 0 {
				l.extend(part)
			}
			s := &l.sectors[course.Parts[k]]
			if s.Seconds == 0 {
				*s = part
				continue
			}
			s.extend(part)
			s.From, s.To = part.From, part.To // of the later one
		}
		// It begins and ends at one gate, wherever that lies.
		from, to := &course.Crossings[i], &course.Crossings[i+n]
		if l.Error = math.Hypot(from.Error, to.Error); from.Speed == 0 {
			l.Error = math.Hypot(l.Error, course.Begun/to.Speed)
		}
		list = append(list, l)
	}
	if i == len(course.Crossings) {
		return list, nil
	}
	open = &lap{leg: leg{From: time.UnixMicro(int64(math.Round(course.Crossings[i].At))).UTC()}, sectors: make([]leg, len(course.Gates))}
	for k, part := range parts[i:] {
		// The lap ends in the sector in which it began: that has another part to come.
		if k > 0 || course.Parts[0] != course.Parts[n-1] || n == 1 {
			open.sectors[course.Parts[k]] = part
		}
	}
	return list, open
}

// extend adds another part of the lap or sector.
func (s *leg) extend(part leg) {
	s.To, s.Seconds = part.To, s.Seconds+part.Seconds
	s.Distance, s.Energy, s.Silent, s.Paused, s.Coast = s.Distance+part.Distance, s.Energy+part.Energy, s.Silent+part.Silent, s.Paused+part.Paused, s.Coast+part.Coast
	s.Top, s.Peak, s.Error = highest(s.Top, part.Top), highest(s.Peak, part.Peak), math.Hypot(s.Error, part.Error)
}

// legs are the figures between two crossings each, of gates that lie within gate m of
// where they are said to.
func (r *run) legs(crossings []crossing, gate float64) []leg {
	var list []leg
	k := 0
	var before bin
	for i, c := range crossings {
		if i == 0 { // what was before is of no leg
			k = sort.Search(len(r.Bins), func(k int) bool { return float64(r.Bins[k].At) > c.At })
		}
		top, peak := math.NaN(), math.NaN()
		for ; k < len(r.Bins) && float64(r.Bins[k].At) <= c.At; k++ {
			top, peak = highest(top, r.Bins[k].Top), highest(peak, r.Bins[k].Peak)
		}
		at := r.at(k, c.At)
		if i > 0 {
			s := leg{
				From: time.UnixMicro(before.At).UTC(), To: time.UnixMicro(at.At).UTC(), FromWay: before.Way,
				Distance: at.Way - before.Way, Energy: at.Energy - before.Energy, Silent: at.Silent - before.Silent, Paused: at.Paused - before.Paused,
				Coast: at.Coast - before.Coast, Top: top, Peak: peak, Error: math.Hypot(crossings[i-1].off(gate), c.off(gate)),
			}
			s.Seconds = s.To.Sub(s.From).Seconds()
			list = append(list, s)
		}
		before = at
	}
	return list
}

// off is the deviation of the moment at which the run was at the gate itself, s.
func (c *crossing) off(gate float64) float64 {
	if c.Speed == 0 {
		return c.Error
	}
	return math.Hypot(c.Error, gate/c.Speed)
}

// at is a run at a moment, of which bin k is the first behind it.
func (r *run) at(k int, micros float64) bin {
	a, b := bin{At: r.First}, r.Bins[min(k, len(r.Bins)-1)]
	if k > 0 {
		a = r.Bins[k-1]
	}
	f := 0.0
	if b.At > a.At {
		f = (micros - float64(a.At)) / float64(b.At-a.At)
	}
	between := func(x, y float64) float64 { return x + f*(y-x) }
	now := bin{At: int64(math.Round(micros)), Way: between(a.Way, b.Way), Energy: between(a.Energy, b.Energy),
		Silent: between(a.Silent, b.Silent), Paused: between(a.Paused, b.Paused), Coast: between(a.Coast, b.Coast)}
	if k > 1 && k < len(r.Bins)-1 && f > 0 && f < 1 {
		var list [4]*bin
		for i := range list {
			list[i] = &r.Bins[k-2+i]
		}
		now.Way -= f * (1 - f) * bent(list, func(b *bin) float64 { return b.Way })
		now.Energy -= f * (1 - f) * bent(list, func(b *bin) float64 { return b.Energy })
	}
	return now
}

// bent is by how much a sum bends over the middle of three steps: speed and power go
// from what they were in the step before to what they are in the one behind, and never
// beyond. A car under power uses a kilowatt: in a drop-out of a second, or at the
// edge of half of one, that it did so evenly would be off by some joules.
func bent(list [4]*bin, sum func(*bin) float64) float64 {
	var took, rate [3]float64
	for i := range took {
		if took[i] = float64(list[i+1].At - list[i].At); took[i] <= 0 {
			return 0
		}
		rate[i] = (sum(list[i+1]) - sum(list[i])) / took[i]
	}
	before, behind := rate[1]-rate[0], rate[2]-rate[1]
	if before*behind <= 0 {
		return 0
	}
	into, out := 2*before/(max(took[0], took[1])+took[1]), 2*behind/(took[1]+max(took[1], took[2]))
	over := 2 * (before + behind) / (took[0] + 2*took[1] + took[2])
	slope := math.Copysign(min(2*math.Abs(into), 2*math.Abs(out), math.Abs(over)), before)
	return slope * took[1] * took[1] / 2
}
