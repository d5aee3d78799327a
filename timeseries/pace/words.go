package pace

import (
	"fmt"
	"math"
	"strings"
	"time"
)

// InWords is what a terminal shows of it: names and texts.
func (o *Outlook) InWords() (lines [][2]string) {
	add := func(name string, parts ...string) {
		var said []string
		for _, part := range parts {
			if part != "" {
				said = append(said, part)
			}
		}
		if said != nil {
			lines = append(lines, [2]string{name, strings.Join(said, ", ")})
		}
	}
	add("plan", o.Plan.InWords())
	if p := o.Pace; p != nil {
		of := fmt.Sprintf("of the last %d %s", p.N, p.Of)
		if p.N == 1 {
			of = "of the last " + strings.TrimSuffix(p.Of, "s")
		}
		add("pace", about(p.Seconds, "s a lap", 1), about(p.Energy, "Wh a lap", 2), about(p.PerKM, "Wh/km", 2), about(p.Speed, "km/h", 1), of)
	}
	if l := o.Left; l != nil {
		add("left", rest(l.Energy, wattHours), rest(l.Laps, func(v *float64) string { return figures(v, nil, "laps", 2) }), rest(l.Distance, kilometres), rest(l.Seconds, func(v *float64) string { return span(v, nil) }))
	}
	if l := o.Lap; l != nil && l.EndsAt != nil {
		add(fmt.Sprint("lap ", l.Lap), "over"+moment(l.EndsAt), "in "+foreseen(l.Seconds, l.Error))
	}
	if a := o.Over; a != nil {
		switch {
		case a.Spent:
			add("allowance", "was over"+moment(a.At), figures(a.Laps, nil, "laps", 2), kilometres(a.Distance))
		case a.Error == nil:
			add("allowance", "over in "+foreseen(a.Seconds, nil))
		case a.At == nil && o.State == "paused":
			add("allowance", "over after "+span(a.Seconds, a.Error)+" of driving", figures(a.Laps, a.LapsError, "laps", 2), kilometres(a.Distance))
		default:
			add("allowance", "over"+moment(a.At), "in "+span(a.Seconds, a.Error), figures(a.Laps, a.LapsError, "laps", 2), kilometres(a.Distance))
		}
	}
	if g := o.Goal; g != nil {
		o.goalInWords(g, add)
	}
	if n := o.Needed; n != nil {
		add("needed", figures(n.EnergyPerLap, nil, "Wh a lap", 2), figures(n.EnergyPerKM, nil, "Wh/km", 2), figures(n.Efficiency, nil, "km/kWh", 1), within("at least ", n.Speed, "km/h"), within("at most ", n.LapSeconds, "s a lap"))
	}
	return lines
}

func (o *Outlook) goalInWords(g *Goal, add func(name string, parts ...string)) {
	said, when := map[string]string{"yes": " suffices", "no": " does not suffice", "unsure": " may or may not suffice"}, "expected"
	took, energy := foreseen(g.Seconds, g.SecondsError), figures(g.Energy, g.EnergyError, "Wh", 1)
	if g.Reached || o.State == "ended" {
		said, when, took = map[string]string{"yes": " sufficed", "no": " did not suffice"}, "not reached", span(g.Seconds, nil)
		if g.Reached {
			when = "reached" + moment(g.At)
		}
	} else {
		if g.SecondsError != nil {
			when += moment(g.At)
		}
		if g.Energy != nil && g.EnergyError == nil {
			energy = "about " + figures(g.Energy, nil, "Wh", 0)
		}
	}
	verdict := func(of string, verdict *string, off *float64) string {
		switch {
		case verdict == nil:
			return ""
		case *verdict == "unsure" && off == nil:
			return "too early to say whether the " + of + " suffices"
		}
		return of + said[*verdict]
	}
	add("goal", when, took, energy, kilometres(g.Distance), verdict("energy", g.EnergySuffices, g.EnergyError), verdict("time", g.TimeSuffices, g.SecondsError))
}

// rest is what is left, or what there is over the plan.
func rest(v *float64, text func(*float64) string) string {
	if v == nil || *v >= 0 {
		return text(v)
	}
	over := -*v
	return text(&over) + " over the plan"
}

func within(bound string, v *float64, unit string) string {
	if v == nil {
		return ""
	}
	return bound + figures(v, nil, unit, 1)
}

func wattHours(v *float64) string { return figures(v, nil, "Wh", 1) }

func figures(v, off *float64, unit string, digits int) string {
	switch {
	case v == nil:
		return ""
	case off == nil:
		return fmt.Sprintf("%.*f %s", digits, *v, unit)
	}
	return fmt.Sprintf("%.*f ± %.*f %s", digits, *v, digits, *off, unit)
}

func about(f *Figure, unit string, digits int) string {
	if f == nil {
		return ""
	}
	return figures(&f.Mean, f.Spread, unit, digits)
}

func kilometres(m *float64) string {
	if m == nil {
		return ""
	}
	return fmt.Sprintf("%.2f km", *m/1000)
}

// foreseen is a span of time that is yet to come: to the minute where nobody knows its error.
func foreseen(s, off *float64) string {
	if s == nil || off != nil || *s > farthest {
		return span(s, off)
	}
	step := 60.0
	if *s < 120 {
		step = 1
	}
	about := math.Round(*s/step) * step
	return "about " + span(&about, nil)
}

func span(s, off *float64) string {
	switch {
	case s == nil:
		return ""
	case *s > farthest:
		return "more than 400 days"
	}
	text := time.Duration(math.Round(*s) * 1e9).String()
	switch {
	case off == nil || *off == 0: // of a time that is planned there is none
	case *off < 99.5:
		text += fmt.Sprintf(" ± %.0f s", *off)
	default:
		text += " ± " + span(off, nil)
	}
	return text
}

// moment is a time of day, "" where there is none.
func moment(t *time.Time) string {
	if t == nil {
		return ""
	}
	return " at " + t.Format("15:04:05") + " UTC"
}
