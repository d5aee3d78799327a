package fix_test

import (
	"encoding/json"
	"os"
	"slices"
	"testing"

	"github.com/ecovolt/telemetryd/timeseries/fix"
)

// Positions are taken for fixes as testdata/fixes.json says, with which the page's
// own rule is tested too.
func TestCases(t *testing.T) {
	t.Parallel()
	text, err := os.ReadFile("testdata/fixes.json")
	if err != nil {
		t.Fatal(err)
	}
	var cases []struct {
		Name      string
		Positions [][3]float64 // s, deg, deg
		Known     [][]int      // which positions each makes known
	}
	if err := json.Unmarshal(text, &cases); err != nil {
		t.Fatal(err)
	}
	for _, tc := range cases {
		t.Run(tc.Name, func(t *testing.T) {
			var fixes fix.Fixes
			for i, p := range tc.Positions {
				var got []int
				for _, one := range fixes.Add(nil, fix.Fix{At: int64(p[0] * 1e6), Lat: p[1], Lon: p[2], Way: float64(i)}) {
					got = append(got, int(one.Way))
				}
				if !slices.Equal(got, tc.Known[i]) {
					t.Errorf("position %d makes %v known, want %v", i, got, tc.Known[i])
				}
			}
		})
	}
}
