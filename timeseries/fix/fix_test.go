package fix

import (
	"math"
	"testing"
)

// A fix is a fix, wherever garbage lies.
func TestFixes(t *testing.T) {
	t.Parallel()
	good := func(i int) Fix { return Fix{At: int64(i) * 200_000, Lat: 48.1 + float64(i)*1e-5, Lon: 11.5} }
	at := func(i int, lat, lon float64) Fix { return Fix{At: int64(i) * 200_000, Lat: lat, Lon: lon} }
	for _, tc := range []struct {
		name string
		bad  map[int]Fix // of 40
		want int         // fixes
	}{
		{"none", nil, 40},
		{"the first is 0,0", map[int]Fix{0: at(0, 0.0001, 0.0002)}, 39},
		{"the first is elsewhere", map[int]Fix{0: at(0, 47, 11)}, 39},
		{"999", map[int]Fix{7: at(7, 999, 999), 8: at(8, 91, 11.5), 9: at(9, 48.1, 181)}, 37},
		{"no numbers", map[int]Fix{7: at(7, math.NaN(), 11.5), 8: at(8, 48.1, math.Inf(1))}, 38},
		{"four that agree", map[int]Fix{7: at(7, 49, 11), 8: at(8, 49, 11), 9: at(9, 49, 11), 10: at(10, 49, 11)}, 36},
		{"five that agree", map[int]Fix{7: at(7, 49, 11), 8: at(8, 49, 11), 9: at(9, 49, 11), 10: at(10, 49, 11), 11: at(11, 49, 11)}, 40},
		{"the last is far", map[int]Fix{39: at(39, 48.11, 11.6)}, 39},
		{"the first two disagree", map[int]Fix{0: at(0, 10, 10), 1: at(1, -10, 10)}, 38},
	} {
		var fixes Fixes
		var got []Fix
		for i := range 40 {
			fix := good(i)
			if bad, ok := tc.bad[i]; ok {
				fix = bad
			}
			got = fixes.Add(got, fix)
		}
		if got = fixes.End(got); len(got) != tc.want {
			t.Errorf("%s: %d fixes, want %d", tc.name, len(got), tc.want)
		}
	}
	// A run that ends before five agree has the fixes that do.
	var fixes Fixes
	got := fixes.Add(nil, good(0))
	got = fixes.Add(got, good(1))
	if got = fixes.End(got); len(got) != 2 {
		t.Errorf("%d fixes of two", len(got))
	}
}
