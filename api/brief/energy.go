package brief

import (
	"fmt"
	"slices"
	"strings"

	"github.com/ecovolt/telemetryd/timeseries/channel/unit"
	"github.com/ecovolt/telemetryd/timeseries/energy"
)

// taking is what driving took, by the model of package energy.
type taking struct {
	Why   string // there is no model, or no score
	About string // the model
	Score *figure
	Of    string // what the score is of
	Level string // which laps are the most and the least efficient at the same speed over the line
	Rows  []part
	// Advice is what would save the most.
	Advice []advice
}

type advice struct {
	Name, Link, Like string
	Saving           figure
	Laps             int
}

// mostAdvice bounds what is advised.
const mostAdvice = 4

// taken fills in what driving took.
func (p *page) taken() {
	b := p.run.Energy
	t := &taking{Why: b.Why}
	p.Taking = t
	if b.Model == nil {
		return
	}
	t.About = fmt.Sprintf("R² %s of %s intervals of some 15 s", number(b.Model.R2, 3), number(float64(b.Model.Intervals), 0))
	var out []string
	for _, l := range b.Model.LeftOut {
		out = append(out, energy.InWords(l.Term))
	}
	if len(out) > 0 {
		t.About += "; the data do not tell " + strings.Join(out, " and ")
	}
	if s := b.Score; s != nil {
		t.Score = &figure{Name: "score", Value: fmt.Sprint(s.Percent), Text: unit.WithError(s.Percent, s.Error, number)}
		t.Of = laps(s.Laps)
	}
	t.Level = p.level()
	add := func(name string, wh, off float64) {
		t.Rows = append(t.Rows, part{Name: name, Energy: p.within("taken_wh", wh, off, "Wh"), Share: share(&wh, b.Run.Energy)})
	}
	for _, term := range b.Run.Terms {
		name := energy.InWords(term.Term)
		add(strings.ToUpper(name[:1])+name[1:], term.Energy, term.Error)
	}
	add("Standing", b.Run.Standing, 0)
	add("Brakes, and the rest", b.Run.Rest, b.Run.Error)
	for i := range b.Advice[:min(mostAdvice, len(b.Advice))] {
		a := &b.Advice[i]
		one := advice{Name: clip(a.Name), Link: p.view(a.From, a.To, 0), Like: fmt.Sprintf("lap %d", a.Lap), Saving: p.within("saving_wh", a.Saving, a.Error, "Wh"), Laps: a.Laps}
		if a.Kind == "even_speed" {
			one.Like = "an even speed"
		}
		t.Advice = append(t.Advice, one)
	}
}

// within is a figure with its standard error, without one if that is 0.
func (p *page) within(name string, v, off float64, stored string) figure {
	f := p.figure(name, &v, stored, 1)
	if off > 0 {
		if u, ok := p.Units.Shown(stored); ok {
			factor, _ := u.Linear()
			v, off = u.Of(v), factor*off
		}
		f.Text = unit.WithError(v, off, number)
	}
	return f
}

// level names the laps that were the most and the least efficient but for the speed that they took along
// over the line: one that ends quicker than it began has put energy into that, which the next one has.
func (p *page) level() string {
	var best, worst int64
	var high, low, highOff, lowOff float64
	n := 0
	for i := range p.run.Laps.Laps {
		l := &p.run.Laps.Laps[i]
		k := slices.IndexFunc(p.run.Energy.Laps, func(s energy.SpentLap) bool { return s.Lap == l.Lap })
		if l.EfficiencyRank == nil || l.Distance == nil || k < 0 {
			continue
		}
		s := &p.run.Energy.Laps[k]
		at := slices.IndexFunc(s.Terms, func(t energy.Took) bool { return t.Term == "speeding_up" })
		if at < 0 || !(s.Energy-s.Terms[at].Energy > 0) {
			continue
		}
		took := s.Energy - s.Terms[at].Energy
		efficiency := *l.Distance / took // m/Wh, which is km/kWh
		off := efficiency * s.Error / took
		if n++; n == 1 || efficiency > high {
			best, high, highOff = l.Lap, efficiency, off
		}
		if n == 1 || efficiency < low {
			worst, low, lowOff = l.Lap, efficiency, off
		}
	}
	if n < 2 || best == worst {
		return ""
	}
	return fmt.Sprintf("Without the speed that was taken along over the line, lap %d is the most efficient, %s km/kWh, and lap %d the least, %s.", best, unit.WithError(high, highOff, number), worst, unit.WithError(low, lowOff, number))
}
