package expression_test

import (
	"math"
	"strings"
	"testing"

	"github.com/ecovolt/telemetryd/timeseries/expression"
)

// A walk knows the newest earlier value of what a rate is of, whether or not the branch
// that the rate is in was taken then.
func TestWalk(t *testing.T) {
	t.Parallel()
	none := math.NaN()
	type step struct {
		at   float64 // s
		a, b float64 // NaN for none
		want float64
	}
	for text, steps := range map[string][]step{
		"rate(a)": {
			{0, 1, 0, none}, {0.5, 2, 0, 2}, {1, none, 0, none}, {2, 5, 0, 2}, {2, 6, 0, none}, {2.25, 6, 0, 0},
			{62.25, 66, 0, 1}, {122.250001, 0, 0, none}, {123.250001, 1, 0, 1},
			{124, 1e300, 0, (1e300 - 1) / 0.749999}, {125, -1.7e308, 0, -1.7e308 - 1e300}, {126, 1.7e308, 0, none}, {126.000001, 0, 0, none}, {127.000001, 0, 0, 0},
		},
		"if(b > 0, rate(a), -1)":       {{0, 1, 1, none}, {1, 3, 0, -1}, {2, 4, 1, 1}, {3, none, 1, none}, {4, 8, 1, 2}, {5, 9, none, none}},
		"coalesce(rate(a), rate(b)*2)": {{0, none, 1, none}, {1, none, 2, 2}, {2, 4, 3, 2}, {3, 5, 9, 1}},
		"rate(a * b) + 2 * slope":      {{0, 1, 1, none}, {1, 2, 3, 7}, {2, 3, none, none}, {3, 4, 3, 5}},
		"rate(moving)":                 {{0, 1, 0, none}, {0.5, 3, 0, 2}, {1, 4, 0, 0}},
		"rate(1)":                      {{0, 0, 0, none}, {1, 0, 0, 0}},
	} {
		e := parse(t, text)
		if !e.Neighbours() {
			t.Errorf("%s does not look at its neighbours", text)
		}
		walk := e.Walk()
		for i, s := range steps {
			if i > 0 && text == "rate(a)" && !walk.Primed() || i == 0 && walk.Primed() {
				t.Errorf("%s is primed before step %d: %v", text, i, walk.Primed())
			}
			got, ok := walk.Step(int64(math.Round(s.at*1e6)), func(i int) (float64, bool) {
				v := map[string]float64{"a": s.a, "b": s.b}[e.Channels()[i]]
				return v, !math.IsNaN(v)
			})
			if ok == math.IsNaN(s.want) || ok && math.Abs(got-s.want) > 1e-9*math.Abs(s.want) {
				t.Errorf("%s at %v s is %v, %v; want %v", text, s.at, got, ok, s.want)
			}
		}
	}
	for text, want := range map[string]string{
		"rate(rate(a))":   "character 6: a rate cannot be of another rate",
		"rate(slope + 1)": "in slope: character 1: a rate cannot be of another rate",
		"rate(a, b)":      "rate takes 1, not 2",
		"1 + rate":        "there is no channel rate",
	} {
		if _, err := expression.Parse("", text, lookup); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, want %s", text, err, want)
		}
	}
	if e := parse(t, "rate(a) + rate(b)"); e.String() != "(rate(a) + rate(b))" {
		t.Error(e)
	}
	if e := parse(t, "a * b"); e.Neighbours() || e.Walk() == nil || !e.Walk().Primed() {
		t.Error("what is of one record looks at its neighbours")
	}
}

// What a record tells alone costs no more by a walk's being there.
func BenchmarkEval(b *testing.B) {
	e := parse(b, "if(a < 2 && b > 2, a * b, sqrt(a^2 + b^2))")
	rate := parse(b, "rate(a * b)").Walk()
	value := func(i int) (float64, bool) { return float64(i) + 1, true }
	b.Run("alone", func(b *testing.B) {
		for b.Loop() {
			e.Eval(value)
		}
	})
	b.Run("rate", func(b *testing.B) {
		micros := int64(0)
		for b.Loop() {
			micros += 20_000
			rate.Step(micros, value)
		}
	})
}
