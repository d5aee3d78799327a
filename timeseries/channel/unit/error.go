package unit

import (
	"math"
	"strconv"
	"strings"
)

// WithError writes a value and its standard error with as many digits as the error has two of, or one from 3.6 on,
// by what writes a number with so many digits behind the point: 38.7 ± 2.2, 0.0004 ± 0.0012, 139000 ± 8000. What
// rounds to nothing has no sign. Without an error above nothing it has two digits behind the point.
func WithError(value, off float64, write func(v float64, digits int) string) string {
	if !(off > 0) || math.IsInf(off, 0) {
		return write(math.Round(value*100)/100+0, 2)
	}
	mantissa, exponent, _ := strings.Cut(strconv.FormatFloat(off, 'e', 1, 64), "e")
	size, _ := strconv.Atoi(exponent)
	digits := min(9, 1-size)
	if mantissa >= "3.6" { // both have two digits
		digits--
	}
	rounded := func(v float64) string {
		scale := math.Pow10(digits)
		return write(math.Round(v*scale)/scale+0, max(0, digits)) // -0 + 0 is 0
	}
	return rounded(value) + " ± " + rounded(off)
}
