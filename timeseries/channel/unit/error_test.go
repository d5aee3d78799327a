package unit_test

import (
	"math"
	"strconv"
	"testing"

	"github.com/ecovolt/telemetryd/timeseries/channel/unit"
)

// A figure has as many digits as its error tells.
func TestWithError(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		value, off float64
		want       string
	}{
		{38.728, 2.168, "38.7 ± 2.2"},
		{0.0870782, 0.000482, "0.0871 ± 0.0005"},
		{-0.0003, 0.062, "0.00 ± 0.06"},
		{-1.25, 0.0996, "-1.25 ± 0.10"},
		{5.31, 9.96, "5 ± 10"},
		{139421.9, 7806.1, "139000 ± 8000"},
		{-20, 7806.1, "0 ± 8000"},
		{0.0414, 0, "0.04"},
		{-0.001, math.NaN(), "0.00"},
	} {
		if got := unit.WithError(c.value, c.off, func(v float64, digits int) string { return strconv.FormatFloat(v, 'f', digits, 64) }); got != c.want {
			t.Errorf("%v ± %v is %q, want %q", c.value, c.off, got, c.want)
		}
	}
}
