package record

import (
	"math"
	"strconv"
)

// Number is a number of a record with all of its digits, or a boolean: what the column
// numbers has of a member. The lowest five bits say how many digits stand behind the
// point, and the others are the digits. The database's channel_number and record_members
// read it, too.
//
// A float would not do: 12.50 and 12.5 are the same to it, and records come back as they
// were sent.
type Number int64

const (
	scaleBits = 5
	truth     = 1<<scaleBits - 1 // in place of digits behind the point: a boolean, 0 or 1
	mostScale = truth - 1
	mostParts = 1 << 58 // a number of 17 digits, as floats have them, fits
)

// ParseNumber reads a JSON number or boolean. It reports false for other values, and
// for numbers with too many digits.
func ParseNumber(text []byte) (n Number, ok bool) {
	i, negative := 0, text[0] == '-'
	if negative {
		i = 1
	}
	parts, point, digits := int64(0), -1, i
	for ; i < len(text); i++ {
		switch c := text[i]; {
		case c-'0' <= 9:
			if parts = parts*10 + int64(c-'0'); parts >= mostParts {
				return 0, false
			}
		case c == '.' && point < 0:
			point = i
		default:
			return parseOther(text, digits)
		}
	}
	scale := 0
	if point >= 0 {
		scale = len(text) - 1 - point
	}
	return pack(parts, scale, negative)
}

func pack(parts int64, scale int, negative bool) (Number, bool) {
	if scale > mostScale {
		return 0, false
	}
	if negative {
		parts = -parts
	}
	return Number(parts<<scaleBits | int64(scale)), true
}

// parseOther reads true, false, and numbers with an exponent, as the database keeps
// them: 1.50e1 is 15.0 and 1e-2 is 0.01.
func parseOther(text []byte, digits int) (Number, bool) {
	switch string(text) {
	case "true":
		return 1<<scaleBits | truth, true
	case "false":
		return truth, true
	}
	for i := digits + 1; i < len(text)-1; i++ {
		if text[i]|0x20 != 'e' {
			continue
		}
		exponent, err := strconv.Atoi(string(text[i+1:]))
		n, ok := ParseNumber(text[:i])
		if err != nil || !ok {
			return 0, false
		}
		parts, scale := n.parts(), n.scale()-exponent
		for ; scale < 0; scale++ {
			if parts *= 10; parts >= mostParts || parts <= -mostParts {
				return 0, false
			} else if parts == 0 {
				scale = -1
			}
		}
		return pack(parts, scale, false)
	}
	return 0, false
}

func (n Number) parts() int64 { return int64(n) >> scaleBits }

func (n Number) scale() int { return int(n & truth) }

// Append writes it as JSON.
func (n Number) Append(dst []byte) []byte {
	parts, scale := n.parts(), n.scale()
	if scale == truth {
		return strconv.AppendBool(dst, parts != 0)
	}
	if parts < 0 {
		dst, parts = append(dst, '-'), -parts
	}
	var digits [mostScale + 20]byte
	at := len(digits)
	for k := 0; parts > 0 || k <= scale; k++ {
		if k == scale && scale > 0 {
			at--
			digits[at] = '.'
		}
		at--
		digits[at] = byte('0' + parts%10)
		parts /= 10
	}
	return append(dst, digits[at:]...)
}

// exact are the powers of ten that a float holds.
var exact = [...]float64{1, 1e1, 1e2, 1e3, 1e4, 1e5, 1e6, 1e7, 1e8, 1e9, 1e10, 1e11, 1e12, 1e13, 1e14, 1e15, 1e16, 1e17, 1e18, 1e19, 1e20, 1e21, 1e22}

// Float is the float nearest to it; true is 1, false 0.
func (n Number) Float() float64 {
	parts, scale := n.parts(), n.scale()
	switch {
	case scale == truth:
		return float64(parts)
	case parts < 1<<53 && parts > -1<<53 && scale < len(exact): // both are exact, so that one division rounds as it should
		return float64(parts) / exact[scale]
	}
	v, err := strconv.ParseFloat(string(n.Append(nil)), 64)
	if err != nil {
		return math.NaN() // not reached: it is a decimal number of less than 40 digits
	}
	return v
}
