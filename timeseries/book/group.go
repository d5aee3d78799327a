package book

import (
	"cmp"
	"math"
	"slices"
	"strings"
)

// Point is one run of a season: what the book says of it, and a figure.
type Point struct {
	Entry
	Day   string // of the run's start, where whoever asks is
	Place int    // of the run, in the list that it comes from
	Value float64
}

// Group is the runs that have something in common: how many, and how their figures
// lie. Spread is the sample's standard deviation, nil of a single run.
type Group struct {
	Value  *string // nil: the book says nothing
	Mean   float64
	Spread *float64
	Low    float64
	Median float64
	High   float64
	Points []Point
}

// Grouped sorts runs by a factor: day, driver, car, setup, tyres, weather, tag, or a
// field of people's own as field:NAME. A run with several tags is in several groups.
// ok is false for a factor that there is not.
func Grouped(by string, points []Point) (groups []Group, ok bool) {
	of, ok := factor(by)
	if !ok {
		return nil, false
	}
	places := map[string]int{}
	for _, p := range points {
		values := of(&p)
		if len(values) == 0 {
			values = []string{""}
		}
		for _, value := range values {
			place, known := places[value]
			if !known {
				place = len(groups)
				places[value] = place
				g := Group{}
				if value != "" {
					g.Value = &value
				}
				groups = append(groups, g)
			}
			groups[place].Points = append(groups[place].Points, p)
		}
	}
	for i := range groups {
		groups[i].measure()
	}
	slices.SortFunc(groups, func(a, b Group) int {
		switch {
		case a.Value == nil || b.Value == nil:
			return cmp.Compare(boolToInt(a.Value == nil), boolToInt(b.Value == nil))
		case by == "day":
			return strings.Compare(*b.Value, *a.Value)
		}
		return strings.Compare(*a.Value, *b.Value)
	})
	return groups, true
}

func boolToInt(b bool) int {
	if b {
		return 1
	}
	return 0
}

// factor returns what tells the values of a factor of a run.
func factor(by string) (of func(*Point) []string, ok bool) {
	switch by {
	case "day":
		return func(p *Point) []string { return []string{p.Day} }, true
	case "tag":
		return func(p *Point) []string { return p.Tags }, true
	}
	var no Change
	for i, t := range no.texts(&Entry{}) {
		if t.name == by {
			return func(p *Point) []string {
				if value := *no.texts(&p.Entry)[i].to; value != nil {
					return []string{*value}
				}
				return nil
			}, true
		}
	}
	name, ok := strings.CutPrefix(by, "field:")
	return func(p *Point) []string {
		if value := p.Fields[name]; value != "" {
			return []string{value}
		}
		return nil
	}, ok && name != ""
}

func (g *Group) measure() {
	sorted := make([]float64, len(g.Points))
	for i, p := range g.Points {
		sorted[i] = p.Value
		g.Mean += p.Value / float64(len(g.Points))
	}
	slices.Sort(sorted)
	n := len(sorted)
	g.Low, g.High, g.Median = sorted[0], sorted[n-1], (sorted[(n-1)/2]+sorted[n/2])/2
	if n > 1 {
		sum := 0.0
		for _, v := range sorted {
			sum += (v - g.Mean) * (v - g.Mean)
		}
		spread := math.Sqrt(sum / float64(n-1))
		g.Spread = &spread
	}
}
