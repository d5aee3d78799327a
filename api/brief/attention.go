package brief

import (
	"fmt"
	"math"
	"slices"
	"time"

	"github.com/ecovolt/telemetryd/api/runbook"
	"github.com/ecovolt/telemetryd/timeseries/fix"
)

// item is something that deserves attention.
type item struct{ When, Kind, Text, Author, Link, Severity string }

// kinds are those of notes, as the page names them, and how many of each are listed.
var kinds = []struct {
	kind, name, plural string
	most               int
}{
	{"note", "Note", "notes", 12},
	{"outlier", "Outlier", "outliers", 4},
	{"gap", "Gap", "gaps", 4},
	{"stop", "Stop", "stops", 4},
	{"clock_step", "Clock", "steps of the clock", 3},
	{"set_aside", "Set aside", "times at which records were set aside", 3},
	{"notification", "To the driver", "messages to the driver", 3},
}

// mostApart is by which share a car's counter differs from what its records add up to
// before that deserves attention: sensors agree no better.
const mostApart = 0.03

// lengths tells where the track is longer or shorter by its positions than the laps are by
// speed or counter: then one of the two is none of this car's.
func (p *page) lengths(add func(kind, text string)) {
	c := p.run.Circuit
	if c == nil || len(c.Line) < 3 {
		return
	}
	var driven []float64
	for i := range p.run.Laps.Laps {
		if d := p.run.Laps.Laps[i].Distance; d != nil {
			driven = append(driven, *d)
		}
	}
	if len(driven) == 0 {
		return
	}
	slices.Sort(driven)
	usual, around := driven[len(driven)/2], 0.0
	for i, at := range c.Line {
		next := c.Line[(i+1)%len(c.Line)]
		north, east := next.Latitude-at.Latitude, (next.Longitude-at.Longitude)*math.Cos(at.Latitude*math.Pi/180)
		around += math.Hypot(north, east) * fix.MetresPerDegree
	}
	if p.Summary.DistanceFrom != nil && apart(&around, &usual, 0.1) {
		add("Lengths", fmt.Sprintf("the track is %s m long by its positions, and a lap is %s m by the car's %s: one of the two cannot be right", number(around, 0), number(usual, 0), *p.Summary.DistanceFrom))
	}
}

// apart reports whether two values that are known differ by more than a share of the second.
func apart(a, b *float64, share float64) bool {
	return a != nil && b != nil && math.Abs(*a-*b) > share*math.Abs(*b)
}

func (p *page) attention() {
	add := func(kind, text string) {
		p.Attention = append(p.Attention, item{When: "Run", Kind: kind, Text: text, Link: p.Link})
	}
	for _, said := range p.MadeUp {
		add("Made up", said+"; no car measured this")
	}
	if s := p.Summary; s != nil {
		if s.Sent != nil && (apart(s.Sent.Distance, s.Distance, mostApart) || apart(s.Sent.Energy, s.Energy, mostApart)) {
			add("Counters", clip(s.Sent.Why)+". Believe the figures of this page, which go by speed, power and the times of the records; only of gaps, which they leave out, the counter knows more")
		}
		if s.NoFix > 0 {
			add("Positions", records(s.NoFix)+" without a fix: no position, one at 0,0, or one that takes more than 100 m/s from those around it; laps and the map leave it out")
		}
		p.lengths(add)
		for _, group := range s.Strays[:min(3, len(s.Strays))] {
			add("Far away", fmt.Sprintf("%s of %s, far from the rest", records(group.Records), group.From.In(p.Zone).Format("2 January 2006")))
		}
	}
	if p.SetAside > 0 {
		add("Set aside", records(p.SetAside)+" set aside, since their time cannot be right: nothing counts them until somebody puts them back")
	}
	var timed []*runbook.NoteView
	for _, k := range kinds {
		var list []*runbook.NoteView
		for i := range p.Notes {
			if p.Notes[i].Kind == k.kind {
				list = append(list, &p.Notes[i])
			}
		}
		if k.kind != "note" {
			slices.SortStableFunc(list, worst)
		}
		if more := len(list) - k.most; more > 0 {
			add(k.name, fmt.Sprintf("%d further %s", more, k.plural))
			list = list[:k.most]
		}
		timed = append(timed, list...)
	}
	slices.SortStableFunc(timed, func(a, b *runbook.NoteView) int {
		switch {
		case a.From == nil || b.From == nil:
			return btoi(a.From != nil) - btoi(b.From != nil)
		default:
			return a.From.Compare(*b.From)
		}
	})
	for _, n := range timed {
		p.Attention = append(p.Attention, p.item(n))
	}
}

func btoi(b bool) int {
	if b {
		return 1
	}
	return 0
}

// around is how much of the run is shown about what is noted of it, at least, s.
const around = 10

// clock writes a time: with its date in a run of more than a day, and where it is
// neither within the run nor of the day on which that began.
func (p *page) clock(at time.Time) string {
	began, at := p.Session.Start.In(p.Zone), at.In(p.Zone)
	within := !at.Before(p.start) && !at.After(p.Session.End)
	switch {
	case at.Year() != began.Year() && !within:
		return at.Format("2 Jan 2006")
	case p.Session.End.Sub(p.start) > 24*time.Hour, !within && at.Format(time.DateOnly) != began.Format(time.DateOnly):
		return at.Format("2 Jan 15:04")
	}
	return at.Format("15:04:05")
}

func (p *page) item(n *runbook.NoteView) item {
	i := item{When: "Run", Text: clip(n.Text), Link: p.Link}
	for _, k := range kinds {
		if k.kind == n.Kind {
			i.Kind = k.name
		}
	}
	if n.Author != nil {
		i.Author = clip(*n.Author)
	}
	if n.Severity != nil && (*n.Severity == "warning" || *n.Severity == "critical") {
		i.Severity = *n.Severity
	}
	switch {
	case n.From != nil:
		to := *n.From
		if n.To != nil {
			to = *n.To
		}
		i.When = p.clock(*n.From)
		i.Link = p.view(*n.From, to, max(around, length(n).Seconds()/5))
	case n.Latitude != nil:
		i.When = "Place"
	}
	return i
}
