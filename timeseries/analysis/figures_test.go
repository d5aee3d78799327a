package analysis

import (
	"math"
	"os"
	"regexp"
	"strconv"
	"strings"
	"testing"

	"github.com/ecovolt/telemetryd/timeseries/fix"
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
			r.Add(sample{At: 1e15 + int64(i)*1e6, Lat: math.NaN(), Lon: math.NaN(), Speed: math.NaN(), Power: power, DistanceCount: math.NaN(), EnergyCount: energy, Lap: math.NaN()})
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
	if len(found) != 1 || found[0] != strconv.Itoa(fix.MetresPerDegree) {
		t.Errorf("degrees of %v m, want one of %d m", found, fix.MetresPerDegree)
	}
}

// A car coasts while it rolls and its motor takes next to nothing; not while it
// stands, brakes by its motor, or is silent.
func TestCoasting(t *testing.T) {
	t.Parallel()
	var r reducer
	for _, sampling := range r.samplings() {
		sampling.Gap = 2e6
	}
	nan := math.NaN()
	at := int64(1e15)
	for _, part := range []struct {
		records      int
		speed, power float64
	}{{51, 8, 300}, {51, 8, 6}, {51, 8, -200}, {51, 0, 5}, {1, 8, 300}, {51, nan, 20}} {
		for range part.records {
			at += 200_000
			r.Add(sample{at, nan, nan, part.speed, part.power, nan, nan, nan, nan, nil})
		}
	}
	at += 60e6 // a gap
	r.Add(sample{at, nan, nan, 8, 6, nan, nan, nan, nan, nil})
	// Two stretches of 50 steps.
	if math.Abs(r.Coast.Sum-20) > 1e-9 {
		t.Errorf("coasted for %v s", r.Coast.Sum)
	}
	if last := r.Bins[len(r.Bins)-1]; last.Coast != r.Coast.Sum || last.Peak != 6 || !math.IsNaN(last.Alt) {
		t.Errorf("%+v", last)
	}
}

// A car that stands on the line until its counter has counted has no lap that ends
// before it begins.
func TestNoLapBeforeItMoves(t *testing.T) {
	t.Parallel()
	r := &run{Moved: &moment{At: 70e6}, Counted: []counted{{0, 0, 1}, {60e6, 60e6, 2}, {120e6, 120e6, 3}}}
	for at := range int64(130) {
		r.Bins = append(r.Bins, bin{At: at * 1e6})
	}
	laps := r.countedLaps()
	if len(laps) != 1 || laps[0].Seconds != 60 {
		t.Errorf("%+v", laps)
	}
}

// Within a step a rate goes from what it was before to what it is behind: a power that
// rises by 100 W a second is known exactly, one that jumps is not taken to have fallen before.
func TestWithinAStep(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct {
		sums [4]float64
		want float64 // half way through the middle step
	}{{[4]float64{0, 50, 200, 450}, 112.5}, {[4]float64{0, 0, 0, 900}, 0}, {[4]float64{0, 100, 200, 300}, 150}, {[4]float64{0, -50, -200, -450}, -112.5}} {
		var r run
		for i, sum := range tc.sums {
			r.Bins = append(r.Bins, bin{At: int64(i) * 1e6, Way: sum, Energy: 2 * sum})
		}
		if b := r.at(2, 1.5e6); math.Abs(b.Way-tc.want) > 1e-9 || math.Abs(b.Energy-2*tc.want) > 1e-9 {
			t.Errorf("%v: %v m, %v J, want %v", tc.sums, b.Way, b.Energy, tc.want)
		}
	}
	// A car that stands, is silent for 10 s and then drives: it did not go back.
	silent := run{Bins: []bin{{At: 0}, {At: 1e6}, {At: 11e6, Way: 10}, {At: 12e6, Way: 14}}}
	if b := silent.at(2, 3.5e6); math.Abs(b.Way-0.625) > 1e-9 {
		t.Errorf("in silence it drove %v m", b.Way)
	}
}
