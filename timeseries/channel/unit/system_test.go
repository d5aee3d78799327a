package unit_test

import (
	"math"
	"math/rand/v2"
	"strconv"
	"testing"

	"github.com/ecovolt/telemetryd/timeseries/channel"
	"github.com/ecovolt/telemetryd/timeseries/channel/unit"
)

// What is shown in which unit; "" is as it is stored.
func TestShown(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		stored, metric, si string
		v, inMetric, inSI  float64
	}{
		{"m/s", "km/h", "", 20.1, 72.36, 20.1},
		{"km/h", "", "m/s", 36, 36, 10},
		{" [mph] ", "km/h", "m/s", 100, 160.9344, 44.704},
		{"J", "Wh", "", 1e6, 1e6 / 3600, 1e6},
		{"kWh", "Wh", "J", 1.5, 1500, 5.4e6},
		{"MWh", "Wh", "J", 1, 1e6, 3.6e9},
		{"mJ", "Wh", "J", 3.6e6, 1, 3600},
		{"degC", "", "K", 20.1, 20.1, 293.25},
		{"°C", "", "K", -40, -40, 233.15},
		{"degF", "degC", "K", 212, 100, 373.15},
		{"K", "degC", "", 0, -273.15, 0},
		{"psi", "kPa", "kPa", 0, 0, 0},
		{"ft", "m", "m", 1000, 304.8, 304.8},
		{"", "", "", 1, 1, 1},
		{"Nm", "", "", 1, 1, 1}, // no nautical miles
		{"nm", "", "", 1, 1, 1}, // nor these, which may be nanometres
		{"mg", "", "", 1, 1, 1},
		{"k", "", "", 1, 1, 1},
		{"°", "", "", 1, 1, 1},
		{"nmea", "", "", 4807.038, 4807.038, 4807.038},
		{"km/h, km/kWh", "", "", 1, 1, 1},
		{"furlong/fortnight", "", "", 1, 1, 1},
	} {
		for system, want := range map[unit.System]struct {
			unit string
			v    float64
		}{unit.Metric: {c.metric, c.inMetric}, unit.SI: {c.si, c.inSI}, "": {"", c.v}} {
			got, ok := system.Shown(c.stored)
			v := c.v
			if ok {
				v = got.Of(c.v)
			}
			if got.Unit != want.unit || ok != (want.unit != "") || v != want.v {
				t.Errorf("%v %q is %v %q in %q, want %v %q", c.v, c.stored, v, got.Unit, system, want.v, want.unit)
			}
		}
	}
}

// A value that is shown and read again, by the unit that it was shown in, is the value:
// whatever units there are. What is shown rises with what is stored.
func TestShownIsReadBack(t *testing.T) {
	t.Parallel()
	names := unit.Names()
	for _, c := range channel.All {
		names = append(names, c.Unit)
	}
	for _, name := range names {
		for _, system := range []unit.System{unit.Metric, unit.SI} {
			to, ok := system.Shown(name)
			if !ok {
				continue
			}
			if again, ok := system.Shown(to.Unit); ok {
				t.Errorf("%s becomes %s, and that %s", name, to.Unit, again.Unit)
			}
			back, _, ok := unit.Convert(to.Unit, name)
			factor, offset := to.Linear()
			if !ok || factor <= 0 {
				t.Fatalf("%s to %s: %v, factor %v", name, to.Unit, ok, factor)
			}
			for range 200 {
				v := (rand.Float64() - 0.5) * math.Pow(10, float64(rand.IntN(12)-4))
				shown := to.Of(v)
				text := string(to.AppendTo(nil, v))
				if read, err := strconv.ParseFloat(text, 64); err != nil || math.Abs(read-shown) > 1e-14*math.Abs(shown) {
					t.Fatalf("%v %s is %v and %q %s", v, name, shown, text, to.Unit)
				}
				if linear := v*factor + offset; math.Abs(linear-shown) > 1e-12*(math.Abs(shown)+math.Abs(offset)) {
					t.Fatalf("%v %s is %v %s, and by factor and offset %v", v, name, shown, to.Unit, linear)
				}
				read, _ := strconv.ParseFloat(string(back.AppendTo(nil, shown)), 64)
				if math.Abs(read-v) > 1e-12*(math.Abs(v)+math.Abs(offset)) {
					t.Fatalf("%v %s is shown as %v %s, which is read as %v", v, name, shown, to.Unit, read)
				}
				if to.Of(math.Nextafter(v, math.Inf(1))) < shown {
					t.Fatalf("more than %v %s is less than %v %s", v, name, shown, to.Unit)
				}
			}
		}
	}
}

func TestShownOfExtremes(t *testing.T) {
	t.Parallel()
	toKmh, _ := unit.Metric.Shown("m/s")
	toMs, _ := unit.SI.Shown("km/h")
	if v := toMs.Of(math.MaxFloat64); math.IsInf(v, 0) || v < 4e307 {
		t.Errorf("the largest number of km/h is %v m/s", v)
	}
	if v := toKmh.Of(math.MaxFloat64); !math.IsInf(v, 1) {
		t.Errorf("the largest number of m/s is %v km/h", v)
	}
	if v := toKmh.Of(math.NaN()); !math.IsNaN(v) {
		t.Errorf("no number of m/s is %v km/h", v)
	}
	toWh, _ := unit.Metric.Shown("J")
	for n, want := range map[int]int{0: 3, 2: 5, 14: 15} {
		if got := toWh.Decimals(n); got != want {
			t.Errorf("%d digits of J are %d of Wh, want %d", n, got, want)
		}
	}
	if got := toKmh.Decimals(2); got != 2 {
		t.Errorf("2 digits of m/s are %d of km/h", got)
	}
}
