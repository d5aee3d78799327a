package analysis

import (
	"math"
	"os"
	"regexp"
	"strconv"
	"strings"
	"testing"
)

// A factor is the explanation only where the counter and the sum differ by one
// all along the run.
func TestWhyCountersDiffer(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct {
		name    string
		counted func(i int, power float64) float64 // J in the second
		factor  bool
		by      string
	}{
		{"counts 0.2 s for 0.214 s", func(_ int, power float64) float64 { return power * 0.934 }, true, "-6.6 %"},
		{"counts what it leaves out of its power", func(_ int, power float64) float64 { return power + 30 }, false, "+9.6 %"},
		{"counts double in one part", func(i int, power float64) float64 {
			if i < 60 {
				return 2 * power
			}
			return power
		}, false, " %"},
		{"counts no regeneration", func(_ int, power float64) float64 { return max(power, 100) }, false, " %"},
	} {
		var r reducer
		for _, s := range r.samplings() {
			s.Gap = 2e6
		}
		energy := 0.0
		for i := range 600 {
			power := 300 - 250*math.Cos(float64(i)/25)
			r.Add(sample{At: 1e15 + int64(i)*1e6, Lat: math.NaN(), Lon: math.NaN(), Speed: math.NaN(), Power: power, DistanceCount: math.NaN(), EnergyCount: energy})
			energy += tc.counted(i, power)
		}
		f := r.figures()
		if f.SentWhy == nil || strings.Contains(*f.SentWhy, "factor") != tc.factor || !strings.Contains(*f.SentWhy, tc.by) {
			t.Errorf("%s: %v", tc.name, f.SentWhy)
		}
	}
}

// The SQL of analysts measures with the same earth.
func TestSQLHasTheSameDegree(t *testing.T) {
	t.Parallel()
	text, err := os.ReadFile("../../sql/repeatable/analytics.sql")
	if err != nil {
		t.Fatal(err)
	}
	found := regexp.MustCompile(`\b111[_ ]?\d{3}\b`).FindAllString(string(text), -1)
	if len(found) != 1 || found[0] != strconv.Itoa(MetresPerDegree) {
		t.Errorf("degrees of %v m, want one of %d m", found, MetresPerDegree)
	}
}
