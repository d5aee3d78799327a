package compare

import (
	"strings"
	"testing"

	"github.com/ecovolt/telemetryd/timeseries/channel/unit"
)

// What laps differ by in energy may be in the speed that they ended with: it is said where it may be much of it.
func TestSpeedThatWasTakenAlong(t *testing.T) {
	t.Parallel()
	lap := func(n int64, energy, from, to, distance float64) *ComparedLap {
		return &ComparedLap{Run: "r", Lap: n, Seconds: 180 + float64(n), Energy: &energy, From: &from, To: &to, Distance: &distance}
	}
	unknown := lap(2, 26600, 6, 9, 1449)
	unknown.To = nil
	const same = " than the first lap."
	for name, c := range map[string]struct {
		first, other *ComparedLap
		units        unit.System
		want         string
	}{
		"pulse and glide":            {lap(1, 19160, 9.4, 6.3, 1449), lap(2, 26600, 6.2, 10.1, 1449), unit.Metric, same + " It ended 14 km/h quicker than it began, the first one 11 km/h slower: part of that energy, if not all of it, is in the speed."},
		"in m/s":                     {lap(1, 19160, 9.4, 6.3, 1449), lap(2, 26600, 6.2, 10.1, 1449), unit.SI, same + " It ended 3.9 m/s quicker than it began, the first one 3.1 m/s slower: part of that energy, if not all of it, is in the speed."},
		"as stored":                  {lap(1, 26600, 6.2, 10.1, 1449), lap(2, 19160, 9.4, 6.3, 1449), "", same + " It ended 3.1 m/s slower than it began, the first one 3.9 m/s quicker: part of that energy, if not all of it, is in the speed."},
		"a start":                    {lap(1, 26600, 0, 9, 1449), lap(2, 19160, 9, 9.01, 1449), unit.Metric, same + " It ended as quick as it began, the first one 32 km/h quicker: part of that energy, if not all of it, is in the speed."},
		"more, and slower":           {lap(1, 19160, 8, 10, 1449), lap(2, 20000, 10, 8, 1449), unit.Metric, same + " It ended 7 km/h slower than it began, the first one 7 km/h quicker: at the same speeds the energies would differ by more."},
		"noise":                      {lap(1, 19160, 8, 8.3, 1449), lap(2, 20000, 8.3, 8, 1449), unit.Metric, same},
		"little of what they took":   {lap(1, 190000, 8, 9, 20000), lap(2, 290000, 8, 10.5, 20000), unit.Metric, same},
		"much of what little differ": {lap(1, 190000, 8, 9, 20000), lap(2, 191000, 8, 10.5, 20000), unit.Metric, same + " It ended 9 km/h quicker than it began, the first one 4 km/h quicker: part of that energy, if not all of it, is in the speed."},
		"not measured":               {lap(1, 19160, 9.4, 6.3, 1449), unknown, unit.Metric, same},
	} {
		text := (&Comparison{}).sentences(c.other, c.first, c.units)
		if !strings.HasSuffix(text, c.want) {
			t.Errorf("%s: %q, want …%q", name, text, c.want)
		}
	}
}
