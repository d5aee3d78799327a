package book_test

import (
	"fmt"
	"math"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/ecovolt/telemetryd/internal/fault"
	"github.com/ecovolt/telemetryd/timeseries/book"
)

func text(s string) *string { return &s }

func TestWith(t *testing.T) {
	t.Parallel()
	e, err := book.Entry{}.With(book.Change{
		Driver: text("  Zoe\u0301 <b>O’Neil</b> 🏁 "), Setup: text("toe 1°\ncamber -2°"), Tags: &[]string{"rain", " Rain ", "", "qualifying"},
		Fields: map[string]string{"ballast_kg": "4", "empty": " "},
	})
	if err != nil {
		t.Fatal(err)
	}
	want := book.Entry{Driver: text("Zoé <b>O’Neil</b> 🏁"), Setup: text("toe 1°\ncamber -2°"), Tags: []string{"rain", "qualifying"}, Fields: map[string]string{"ballast_kg": "4"}}
	if diff := cmp.Diff(want, e); diff != "" {
		t.Error(diff)
	}
	// What is not named stays, an empty text goes.
	e, err = e.With(book.Change{Driver: text(""), Fields: map[string]string{"ballast_kg": "", "wing": "2"}})
	want.Driver, want.Fields = nil, map[string]string{"wing": "2"}
	if diff := cmp.Diff(want, e); diff != "" || err != nil {
		t.Error(err, diff)
	}
}

// A plan is changed member by member, 0 takes one out, and it is said as people say it.
func TestPlan(t *testing.T) {
	t.Parallel()
	wh, laps, km, s, none := 60.5, int32(11), 16.0, 2340.0, 0.0
	e, err := book.Entry{}.With(book.Change{PlanChange: book.PlanChange{Energy: &wh, Laps: &laps, Distance: &km, Time: &s}})
	if err != nil || e.InWords() != "60.5 Wh, 11 laps, 16 km, 39m0s" {
		t.Fatal(e.InWords(), err)
	}
	e, err = e.With(book.Change{PlanChange: book.PlanChange{Energy: &none, Laps: new(int32)}})
	if diff := cmp.Diff(book.Plan{Distance: &km, Time: &s}, e.Plan); diff != "" || err != nil {
		t.Error(err, diff)
	}
	if e, err = e.With(book.Change{Driver: text("Ann")}); err != nil || e.Distance == nil {
		t.Error("a plan that nobody named has changed", err)
	}
	if names := (&book.Change{PlanChange: book.PlanChange{Time: &none, Laps: &laps}}).Names(); fmt.Sprint(names) != "[plan_laps plan_time_s]" {
		t.Error(names)
	}
	less, many, endless, crumb := -1.0, int32(100_001), math.Inf(1), 1e-6
	for want, list := range map[string][]book.PlanChange{
		"plan_energy_wh: must be from 0.1 to 1000000 Wh, or 0, which takes it out":   {{Energy: &less}, {Energy: &crumb}},
		"plan_laps: must be from 1 to 100000, or 0, which takes it out":              {{Laps: &many}},
		"plan_distance_km: must be from 0.01 to 100000 km, or 0, which takes it out": {{Distance: &endless}, {Distance: &crumb}},
		"plan_time_s: must be from 1 second to 366 days, or 0, which takes it out":   {{Time: &less}, {Time: &crumb}},
	} {
		for _, c := range list {
			_, err := book.Entry{}.With(book.Change{PlanChange: c})
			if f := fault.As(err); f == nil || f.Kind != fault.Invalid || f.Problems[0].Field+": "+f.Problems[0].Reason != want {
				t.Errorf("%v, want %s", err, want)
			}
		}
	}
}

func TestBounds(t *testing.T) {
	t.Parallel()
	many := map[string]string{}
	tags := []string{}
	for i := range 31 {
		many[fmt.Sprint(i)] = "x"
		tags = append(tags, fmt.Sprint(i))
	}
	for name, c := range map[string]book.Change{
		"driver":  {Driver: text(strings.Repeat("é", 201))},
		"car":     {Car: text("two\nlines")},
		"tyres":   {Tyres: text("nul\x00")},
		"weather": {Weather: text("\xff")},
		"setup":   {Setup: text(strings.Repeat("x", 2001))},
		"tags":    {Tags: &tags},
		"fields":  {Fields: many},
	} {
		_, err := book.Entry{}.With(c)
		if f := fault.As(err); f == nil || f.Kind != fault.Invalid || f.Problems[0].Field != name {
			t.Errorf("%s: %v", name, err)
		}
	}
	for _, c := range []book.Change{
		{Tags: &[]string{"a,b"}}, {Tags: &[]string{strings.Repeat("x", 51)}},
		{Fields: map[string]string{"": "x"}}, {Fields: map[string]string{"a=b": "x"}}, {Fields: map[string]string{"a": strings.Repeat("x", 501)}},
	} {
		if _, err := (book.Entry{}).With(c); fault.As(err) == nil {
			t.Errorf("%+v: %v", c, err)
		}
	}
	if _, err := (book.Entry{}).With(book.Change{Driver: text(strings.Repeat("é", 200))}); err != nil {
		t.Error(err)
	}
}

func TestGrouped(t *testing.T) {
	t.Parallel()
	points := []book.Point{
		{Entry: book.Entry{Driver: text("Ann"), Tags: []string{"rain", "wind"}}, Day: "2026-03-21", Value: 100},
		{Entry: book.Entry{Driver: text("Ben"), Fields: map[string]string{"wing": "2"}}, Day: "2026-03-22", Value: 90},
		{Entry: book.Entry{Driver: text("Ann"), Tags: []string{"rain"}}, Day: "2026-03-22", Value: 130},
		{Day: "2026-03-22", Value: 10},
	}
	told := func(by string) (list []string) {
		groups, ok := book.Grouped(by, points)
		if !ok {
			return []string{"none"}
		}
		for _, g := range groups {
			value, spread := "-", "-"
			if g.Value != nil {
				value = *g.Value
			}
			if g.Spread != nil {
				spread = fmt.Sprintf("%.2f", *g.Spread)
			}
			list = append(list, fmt.Sprintf("%s n=%d %.1f±%s %g %g %g", value, len(g.Points), g.Mean, spread, g.Low, g.Median, g.High))
		}
		return list
	}
	for by, want := range map[string][]string{
		"driver":     {"Ann n=2 115.0±21.21 100 115 130", "Ben n=1 90.0±- 90 90 90", "- n=1 10.0±- 10 10 10"},
		"day":        {"2026-03-22 n=3 76.7±61.10 10 90 130", "2026-03-21 n=1 100.0±- 100 100 100"},
		"tag":        {"rain n=2 115.0±21.21 100 115 130", "wind n=1 100.0±- 100 100 100", "- n=2 50.0±56.57 10 50 90"},
		"field:wing": {"2 n=1 90.0±- 90 90 90", "- n=3 80.0±62.45 10 100 130"},
		"field:":     {"none"},
		"luck":       {"none"},
	} {
		if diff := cmp.Diff(want, told(by)); diff != "" {
			t.Errorf("%s: %s", by, diff)
		}
	}
}

func TestDay(t *testing.T) {
	t.Parallel()
	zone := func(name string) *time.Location {
		z, err := time.LoadLocation(name)
		if err != nil {
			t.Fatal(err)
		}
		return z
	}
	now := time.Date(2026, 3, 29, 22, 30, 0, 0, time.UTC) // 00:30 of the 30th in Berlin, where clocks went forward on the 29th
	for _, test := range []struct{ day, zone, from, to string }{
		{"yesterday", "Europe/Berlin", "2026-03-28T23:00:00Z", "2026-03-29T22:00:00Z"}, // 23 h
		{"today", "Europe/Berlin", "2026-03-29T22:00:00Z", "2026-03-30T22:00:00Z"},
		{"yesterday", "UTC", "2026-03-28T00:00:00Z", "2026-03-29T00:00:00Z"},
		{"2026-10-25", "Europe/Berlin", "2026-10-24T22:00:00Z", "2026-10-25T23:00:00Z"},     // 25 h
		{"2018-11-04", "America/Sao_Paulo", "2018-11-04T03:00:00Z", "2018-11-05T02:00:00Z"}, // no midnight
		{"2018-11-03", "America/Sao_Paulo", "2018-11-03T03:00:00Z", "2018-11-04T03:00:00Z"},
	} {
		from, to, err := book.Day(test.day, now, zone(test.zone))
		if err != nil || from.UTC().Format(time.RFC3339) != test.from || to.UTC().Format(time.RFC3339) != test.to {
			t.Errorf("%s in %s: %v to %v, %v", test.day, test.zone, from.UTC(), to.UTC(), err)
		}
	}
	if _, _, err := book.Day("tomorrow", now, time.UTC); !fault.Is(err, fault.Invalid) {
		t.Error(err)
	}
}
