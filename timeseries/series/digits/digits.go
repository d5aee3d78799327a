// Package digits writes the numbers of answers as JSON, with the digits that stand
// for something. It holds no state and is safe for concurrent use.
package digits

import (
	"math"
	"strconv"
)

// AppendList writes numbers as an array, each by number.
func AppendList(dst []byte, values []float64, number func([]byte, float64) []byte) []byte {
	dst = append(dst, '[')
	for i, v := range values {
		if i > 0 {
			dst = append(dst, ',')
		}
		dst = number(dst, v)
	}
	return append(dst, ']')
}

// Append writes a number as JavaScript reads it back, or null.
func Append(dst []byte, v float64) []byte {
	if dst, ok := appendDecimal(dst, v); ok {
		return dst
	}
	return strconv.AppendFloat(dst, v, 'g', -1, 64)
}

// AppendMean writes a mean to twelve digits: the rest is rounding, and half of
// the answer's length.
func AppendMean(dst []byte, v float64) []byte {
	if dst, ok := appendDecimal(dst, v); ok {
		return dst
	}
	return strconv.AppendFloat(dst, v, 'g', 12, 64)
}

// appendDecimal writes null, or a number of at most three digits behind the
// point, as measurements mostly are: several times as fast as finding the
// shortest text for any number. The text reads back as the very same number,
// since dividing two whole numbers rounds as reading their decimal does.
func appendDecimal(dst []byte, v float64) ([]byte, bool) {
	if math.IsNaN(v) || math.IsInf(v, 0) {
		return append(dst, "null"...), true
	}
	if math.Abs(v) >= 1e12 {
		return dst, false
	}
	scaled := math.Round(v * 1000)
	if scaled/1000 != v {
		return dst, false
	}
	n := int64(scaled)
	if n < 0 {
		dst, n = append(dst, '-'), -n
	}
	dst = strconv.AppendInt(dst, n/1000, 10)
	if rest := n % 1000; rest != 0 {
		dst = append(dst, '.', byte('0'+rest/100))
		if rest%100 != 0 {
			dst = append(dst, byte('0'+rest/10%10))
		}
		if rest%10 != 0 {
			dst = append(dst, byte('0'+rest%10))
		}
	}
	return dst, true
}

// AppendMillis writes milliseconds since 1970 with as many digits as the
// microseconds that they stand for.
func AppendMillis(dst []byte, v float64) []byte {
	if math.IsNaN(v) {
		return append(dst, "null"...)
	}
	micro := int64(math.Round(v * 1e3))
	if micro%1000 == 0 {
		return strconv.AppendInt(dst, micro/1000, 10)
	}
	if micro < 0 {
		return strconv.AppendFloat(dst, v, 'f', -1, 64)
	}
	dst = strconv.AppendInt(dst, micro/1000, 10)
	rest := micro % 1000
	dst = append(dst, '.', byte('0'+rest/100))
	if rest%100 != 0 {
		dst = append(dst, byte('0'+rest/10%10))
	}
	if rest%10 != 0 {
		dst = append(dst, byte('0'+rest%10))
	}
	return dst
}
