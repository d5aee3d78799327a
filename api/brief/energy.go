package brief

import (
	"fmt"
	"strings"

	"github.com/ecovolt/telemetryd/timeseries/energy"
)

// taking is what driving took, by the model of package energy.
type taking struct {
	Why   string // there is no model, or no score
	About string // the model
	Score *figure
	Of    string // what the score is of
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
		t.Score = &figure{Name: "score", Value: fmt.Sprint(s.Percent), Text: number(s.Percent, 1) + " ± " + number(s.Error, 1)}
		t.Of = laps(s.Laps)
	}
	add := func(name string, wh, off float64) {
		row := part{Name: name, Energy: p.figure("taken_wh", &wh, "Wh", 1), Share: share(&wh, b.Run.Energy)}
		if off > 0 {
			row.Energy.Text += " ± " + p.figure("", &off, "Wh", 1).Text
		}
		t.Rows = append(t.Rows, row)
	}
	for _, term := range b.Run.Terms {
		name := energy.InWords(term.Term)
		add(strings.ToUpper(name[:1])+name[1:], term.Energy, term.Error)
	}
	add("Standing", b.Run.Standing, 0)
	add("Brakes, and the rest", b.Run.Rest, b.Run.Error)
	for i := range b.Advice[:min(mostAdvice, len(b.Advice))] {
		a := &b.Advice[i]
		one := advice{Name: clip(a.Name), Link: p.view(a.From, a.To, 0), Like: fmt.Sprintf("lap %d", a.Lap), Saving: p.figure("saving_wh", &a.Saving, "Wh", 2), Laps: a.Laps}
		one.Saving.Text += " ± " + p.figure("", &a.Error, "Wh", 2).Text
		if a.Kind == "even_speed" {
			one.Like = "an even speed"
		}
		t.Advice = append(t.Advice, one)
	}
}
