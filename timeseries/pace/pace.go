package pace

import (
	"math"
	"time"

	"github.com/ecovolt/telemetryd/timeseries/book"
)

// Of is what a run may still spend of a plan.
func Of(r *Run, plan book.Plan) *Outlook {
	a := &Outlook{State: "driving", Plan: plan, Why: map[string]string{}}
	if r.Ended {
		a.State = "ended"
	}
	if len(r.Sums) == 0 || r.Began == nil {
		for _, name := range []string{"so_far", "pace", "lap", "left", "allowance_over", "goal", "needed"} {
			a.Why[name] = "the run has no records that count"
		}
		return a
	}
	s := &sums{list: r.Sums, way: r.Distance}
	list, laps := r.stretches(s)
	f := &finder{Run: r, Outlook: a, plan: plan, now: r.Sums[len(r.Sums)-1], laps: laps != nil}
	at, from := f.now.At.UTC(), r.Began.At.UTC()
	a.At, a.From = &at, &from
	if a.State == "driving" && r.paused(s) {
		a.State = "paused"
	}
	if len(list) > 0 {
		f.ahead, f.placed = r.ahead(s, list, f.laps)
		f.pace(list, laps)
	} else {
		a.Why["pace"] = "the pace is known after a lap, or a minute, without a pause or a gap"
	}
	f.soFar()
	f.lap()
	f.left()
	f.over()
	f.goal()
	f.needed()
	return a
}

// finder works an answer out.
type finder struct {
	*Run
	*Outlook
	plan   book.Plan
	now    Sum
	laps   bool    // whether the pace is that of laps
	ahead  *ahead  // nil where there is no pace
	placed bool    // whether it is known how far the open lap has come
	aim    string  // what the goal counts: laps, distance, time, or "" without one
	end    float64 // where the goal is, in stretches; NaN where that is not known
}

// since is what the run came to from where the plan counts.
func (f *finder) since(s *Sum) (took float64, distance, energy *float64) {
	took = max(0, s.At.Sub(f.Began.At).Seconds())
	if f.Distance {
		distance = known(s.Way - f.Began.Way)
	}
	if f.Energy {
		energy = known((s.Energy - f.Began.Energy) / wattHour)
	}
	return took, distance, energy
}

// soFar is what counts against the plan: what the run came to until now, or until it
// reached its goal.
func (f *finder) soFar() {
	until, a := &f.now, &Amount{Laps: int32(len(f.Laps))}
	if f.Reached != nil {
		until = f.Reached
		for a.Laps > 0 && f.Laps[a.Laps-1].To.After(until.At) {
			a.Laps--
		}
		if laps := f.lapsAt(until.At); laps != nil {
			a.Share = known(*laps - float64(a.Laps))
		}
	} else if f.laps && !f.Open.IsZero() {
		a.Share = &f.ahead.share
	}
	a.Seconds, a.Distance, a.Energy = f.since(until)
	a.Silent = until.Silent - f.Began.Silent
	f.SoFar = a
}

func (f *finder) pace(list []stretch, laps []int32) {
	p := &Pace{Of: "minutes", N: int32(len(list)), Laps: []int32{}}
	if laps != nil {
		p.Of, p.Laps = "laps", laps
		p.Seconds = figure(list, 1, took, place)
		if f.Energy {
			p.Energy = figure(list, 1.0/wattHour, used, place)
		}
	}
	if f.Distance {
		p.Speed = figure(list, kmh, drove, took)
		if f.Energy {
			p.PerKM = figure(list, 1000.0/wattHour, used, drove)
			if p.PerKM != nil && p.PerKM.Mean > 0 {
				p.Efficiency = known(1000 / p.PerKM.Mean)
			}
		}
	}
	f.Pace = p
}

// moment is when something is that many seconds from now. A car that stands does not come
// nearer to it.
func (f *finder) moment(remaining float64) *time.Time {
	if f.State != "driving" || math.IsNaN(remaining) || remaining > farthest {
		return nil
	}
	t := f.now.At.Add(seconds(remaining)).UTC().Round(time.Millisecond)
	return &t
}

func (f *finder) lap() {
	switch {
	case f.Ended:
		f.Why["lap"] = "the run has ended"
	case f.Open.IsZero():
		f.Why["lap"] = "the run is in no lap that is known"
	default:
		l := &LapEnd{Lap: int32(len(f.Laps) + 1), From: f.Open.UTC()}
		f.Outlook.Lap = l
		switch {
		case f.ahead == nil || !f.laps:
			f.Why["lap.ends_at"] = "what a lap takes is known after one without a pause or a gap"
		case !f.placed:
			f.Why["lap.ends_at"] = "the car has gone farther than a lap without coming to the line"
		default:
			rest := f.ahead.mean(1, took)
			l.Seconds, l.Error, l.EndsAt = known(rest), known(f.ahead.doubt(1, took, true)), f.moment(rest)
			if l.EndsAt == nil {
				f.Why["lap.ends_at"] = "the car stands"
			}
		}
	}
}

func (f *finder) left() {
	p := &f.plan
	if p.Energy == nil && p.Laps == nil && p.Distance == nil && p.Time == nil {
		f.Why["left"] = "nothing is planned"
		return
	}
	l := &Left{}
	if p.Energy != nil && f.SoFar.Energy != nil {
		l.Energy = known(*p.Energy - *f.SoFar.Energy)
	}
	if p.Laps != nil {
		done := float64(f.SoFar.Laps)
		if f.SoFar.Share != nil {
			done += *f.SoFar.Share
		}
		l.Laps = known(float64(*p.Laps) - done)
	}
	if p.Distance != nil && f.SoFar.Distance != nil {
		l.Distance = known(*p.Distance*1000 - *f.SoFar.Distance)
	}
	if p.Time != nil {
		l.Seconds = known(*p.Time - f.SoFar.Seconds)
	}
	f.Left = l
}

// over finds when the allowance is used up.
func (f *finder) over() {
	why := func(text string) { f.Why["allowance_over"] = text }
	switch {
	case f.plan.Energy == nil:
		why("no energy is planned")
	case f.SoFar.Energy == nil:
		why("nothing measures the energy")
	case *f.Left.Energy <= 0:
		o := &Over{Spent: true}
		f.Over = o
		if f.Spent != nil {
			at := f.Spent.At.UTC()
			_, o.Distance, _ = f.since(f.Spent)
			o.At, o.Seconds, o.Laps = &at, known(f.Spent.At.Sub(f.now.At).Seconds()), f.lapsAt(f.Spent.At)
		}
	case f.Reached != nil:
		why("the goal was reached with some of it left")
	case f.Ended:
		why("the run has ended with some of it left")
	case f.ahead == nil:
		why(f.Why["pace"])
	case !(f.ahead.all(used) > 0):
		why("at this pace nothing is used")
	default:
		a, left := f.ahead, *f.Left.Energy*wattHour
		u := a.reach(left, used)
		rest := a.mean(u, took)
		o := &Over{Seconds: known(rest), At: f.moment(rest)}
		f.Over = o
		off := a.doubt(u, used, true)
		slope := func(of quantity) float64 {
			if off == 0 {
				return 0
			}
			return a.moves(u, left, off, of) / off
		}
		o.Error = known(a.doubt(u, less(took, slope(took), used), true))
		if f.Distance {
			o.Distance = known(*f.SoFar.Distance + a.mean(u, drove))
			o.DistanceError = known(a.doubt(u, less(drove, slope(drove), used), true))
		}
		if f.laps && !f.Open.IsZero() {
			o.Laps, o.LapsError = known(float64(len(f.Laps))+u), known(a.moves(u, left, off, place))
		}
	}
}

// lapsAt is how many laps were driven at a moment; nil without laps.
func (f *finder) lapsAt(t time.Time) *float64 {
	for i, l := range f.Laps {
		if t.Before(l.To) {
			return known(float64(i) + max(0, t.Sub(l.From).Seconds()/l.To.Sub(l.From).Seconds()))
		}
	}
	if len(f.Laps) == 0 || !f.laps || f.Open.IsZero() {
		return nil
	}
	return known(float64(len(f.Laps)) + min(1, max(0, t.Sub(f.Open).Seconds()/f.ahead.all(took))))
}

// aims is what the goal of a plan counts: laps where the run has some, else distance,
// else time.
func (r *Run) aims(plan book.Plan) string {
	switch {
	case plan.Laps != nil && (len(r.Laps) > 0 || plan.Distance == nil && plan.Time == nil):
		return "laps"
	case plan.Distance != nil && r.Distance:
		return "distance"
	case plan.Time != nil:
		return "time"
	}
	return ""
}

// goal is the run where it has driven what is planned.
func (f *finder) goal() {
	f.aim, f.end = f.aims(f.plan), math.NaN()
	if f.aim == "" {
		f.Why["goal"] = "no laps, distance or time are planned"
		if f.plan.Distance != nil {
			f.Why["goal"] = "nothing measures the distance"
		}
		return
	}
	g := &Goal{Of: f.aim}
	switch {
	case f.Reached != nil || f.Ended:
		at := f.now.At.UTC()
		if f.Reached != nil {
			g.Reached, at = true, f.Reached.At.UTC()
		}
		g.At, g.Seconds, g.Distance, g.Energy = &at, &f.SoFar.Seconds, f.SoFar.Distance, f.SoFar.Energy
	case f.ahead == nil:
		f.Why["goal"] = f.Why["pace"]
		return
	case f.aim == "laps" && (!f.laps || f.Open.IsZero()):
		f.Why["goal"] = "what a lap takes is known after one without a pause or a gap"
		return
	default:
		f.foresee(g)
		if math.IsNaN(f.end) {
			f.Why["goal"] = "at this pace it is never reached"
			return
		}
	}
	f.Goal = g
	judge := func(plan, value, off, left *float64) (margin *float64, verdict *string) {
		if plan == nil || value == nil {
			return nil, nil
		}
		margin = known(*plan - *value)
		said := "unsure"
		switch {
		case f.Reached == nil && f.Ended: // how the rest would have gone nobody knows
			if said = "no"; *margin >= 0 {
				return margin, nil
			}
		case f.Reached == nil && left != nil && *left <= 0 && *margin < 0: // used up already
			said = "no"
		case f.Reached != nil || off != nil && math.Abs(*margin) >= 2**off:
			if said = "yes"; *margin < 0 {
				said = "no"
			}
		}
		return margin, &said
	}
	g.EnergyMargin, g.EnergySuffices = judge(f.plan.Energy, g.Energy, g.EnergyError, f.Left.Energy)
	if f.aim != "time" {
		g.TimeMargin, g.TimeSuffices = judge(f.plan.Time, g.Seconds, g.SecondsError, f.Left.Seconds)
	}
}

// foresee is the goal at this pace.
func (f *finder) foresee(g *Goal) {
	a, given := f.ahead, quantity(nil)
	switch f.aim {
	case "laps":
		f.end = float64(*f.plan.Laps) - float64(len(f.Laps))
	case "distance":
		given = drove
		f.end = a.reach(*f.Left.Distance, drove)
	case "time":
		given = took
		f.end = a.reach(*f.Left.Seconds, took)
	}
	if math.IsNaN(f.end) {
		return
	}
	look := func(of quantity) (value, off float64) {
		if given == nil {
			return a.mean(f.end, of), a.doubt(f.end, of, true)
		}
		return a.mean(f.end, of), a.doubt(f.end, less(of, a.all(of)/a.all(given), given), false)
	}
	rest, off := look(took)
	if f.aim == "time" {
		off = 0
	}
	g.Remaining, g.At, g.Seconds, g.SecondsError = known(rest), f.moment(rest), known(f.SoFar.Seconds+rest), known(off)
	if f.Distance {
		way, off := look(drove)
		if f.aim == "distance" {
			off = 0
		}
		g.Distance, g.DistanceError = known(*f.SoFar.Distance+way), known(off)
	}
	if f.Energy {
		energy, off := look(used)
		g.Energy, g.EnergyError = known(*f.SoFar.Energy+energy/wattHour), known(off/wattHour)
	}
}

// needed is what the rest of the plan allows and asks for.
func (f *finder) needed() {
	why := func(text string) { f.Why["needed"] = text }
	switch {
	case f.aim == "":
		why(f.Why["goal"])
		return
	case f.Ended:
		why("the run has ended")
		return
	case f.Reached != nil:
		why("the goal is reached")
		return
	}
	n := &Needed{}
	metres, laps := math.NaN(), math.NaN()
	switch {
	case f.aim == "distance":
		metres = *f.Left.Distance
	case f.ahead != nil && f.Distance && !math.IsNaN(f.end):
		metres = f.ahead.mean(f.end, drove)
	}
	switch {
	case f.aim == "laps":
		laps = *f.Left.Laps
	case f.laps && f.placed && !f.Open.IsZero() && !math.IsNaN(f.end):
		laps = f.end - f.ahead.share
	}
	if left := f.Left.Energy; left != nil && *left > 0 {
		n.EnergyPerLap, n.EnergyPerKM = ratio(*left, laps), ratio(*left*1000, metres)
		n.Efficiency = ratio(metres, *left)
	}
	if left := f.Left.Seconds; left != nil && *left > 0 && f.aim != "time" {
		n.Speed, n.LapSeconds = ratio(metres*kmh, *left), ratio(*left, laps)
	}
	f.Needed = n
	switch {
	case f.plan.Energy != nil && f.Left.Energy != nil && *f.Left.Energy <= 0:
		why("the energy is used up")
	case f.Left.Seconds != nil && *f.Left.Seconds <= 0:
		why("the time is over")
	}
}
