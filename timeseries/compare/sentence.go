package compare

import (
	"fmt"
	"math"
	"strconv"
	"strings"

	"github.com/ecovolt/telemetryd/timeseries/channel/unit"
)

// sentences sum up what a lap took more or less than the first one, and in which sectors, of
// the figures that the answer has; "" of a lap that is the first one once more.
func (a *Comparison) sentences(l, first *ComparedLap, units unit.System) string {
	if l.Run == first.Run && l.Lap == first.Lap {
		return ""
	}
	later, sure := l.Seconds-first.Seconds, 0.0
	if l.Error != nil && first.Error != nil {
		sure = 2 * math.Hypot(*l.Error, *first.Error)
	}
	var said, shares []string
	speed := ""
	switch {
	case math.Abs(later) <= max(sure, 0.005):
		said = append(said, "neither longer nor less, within what the times are off by,")
	default:
		said = append(said, fmt.Sprintf("%.2f s (%.1f %%) %s", math.Abs(later), 100*math.Abs(later)/first.Seconds, either(later, "longer", "less")))
		shares = append(shares, a.share(either(later, "time lost", "time gained"), later, l, first, func(s *LapSector) *float64 { return &s.Seconds }))
	}
	if l.Energy != nil && first.Energy != nil && *first.Energy > 0 {
		more := *l.Energy - *first.Energy
		said = append(said, fmt.Sprintf("%.1f %% %s energy", 100*math.Abs(more) / *first.Energy, either(more, "more", "less")))
		shares = append(shares, a.share(either(more, "energy lost", "energy saved"), more, l, first, func(s *LapSector) *float64 { return s.Energy }))
		speed = carried(l, first, units)
	}
	text := "Took " + strings.Join(said, " and ") + " than the first lap." + speed
	for _, s := range shares {
		if s != "" {
			text += " " + s
		}
	}
	return text
}

const (
	// quicker is from which difference on of what two laps gained in speed it is told, m/s: below it, it may be
	// what the means of noisy sensors are off by, 0.4 m/s each.
	quicker = 0.8
	// rolling is about what slows a car down that rolls, m/s²: by it the energy per mass that a lap of a length
	// takes is guessed, since the mass is not known.
	rolling = 0.1
	// telling is from which part on of the difference of energies it is told what the speed has of it.
	telling = 0.1
)

// carried says by how much quicker two laps ended than they began, where that has something to do with the
// difference of their energies; "" elsewhere.
func carried(l, first *ComparedLap, units unit.System) string {
	if l.From == nil || l.To == nil || first.From == nil || first.To == nil {
		return ""
	}
	gained := func(c *ComparedLap) float64 { return *c.To - *c.From }
	kinetic := func(c *ComparedLap) float64 { return (*c.To**c.To - *c.From**c.From) / 2 } // J/kg
	more, apart := *l.Energy-*first.Energy, kinetic(l)-kinetic(first)
	if math.Abs(gained(l)-gained(first)) < quicker {
		return ""
	}
	if first.Distance != nil && math.Abs(apart) < telling*math.Abs(more) / *first.Energy * rolling * *first.Distance {
		return ""
	}
	than := func(c *ComparedLap) string {
		v, name, digits := gained(c), "m/s", 1
		if u, ok := units.Shown(name); ok {
			v, name, digits = u.Of(v), u.Unit, 0
		}
		size := strconv.FormatFloat(math.Abs(v), 'f', digits, 64)
		if strings.Trim(size, "0.") == "" {
			return "as quick as"
		}
		return size + " " + name + " " + either(v, "quicker than", "slower than")
	}
	what := "part of that energy, if not all of it, is in the speed"
	if apart*more < 0 {
		what = "at the same speeds the energies would differ by more"
	}
	return fmt.Sprintf(" It ended %s it began, the first one %s: %s.", than(l), strings.TrimSuffix(than(first), " than"), what)
}

func either(v float64, more, less string) string {
	if v > 0 {
		return more
	}
	return less
}

// share says which sector has the most of what was lost, or gained, of a figure, and how much of it: of all
// the sectors in which it was, so that what others made up for does not count.
func (a *Comparison) share(what string, sign float64, l, first *ComparedLap, of func(*LapSector) *float64) string {
	var names []string
	more := map[string]float64{}
	for i := range a.Sectors {
		x, y := of(&l.Sectors[i]), of(&first.Sectors[i])
		if x == nil || y == nil {
			return ""
		}
		// A sector in which the axis begins comes first and last.
		name := a.Sectors[i].Name
		if _, known := more[name]; !known {
			names = append(names, name)
		}
		more[name] += (*x - *y) * math.Copysign(1, sign)
	}
	all, most := 0.0, ""
	for _, name := range names {
		all += max(0, more[name])
		if most == "" || more[name] > more[most] {
			most = name
		}
	}
	if len(names) < 2 || !(all > 0) {
		return ""
	}
	return fmt.Sprintf("%s has %.0f %% of the %s.", most, 100*more[most]/all, what)
}
