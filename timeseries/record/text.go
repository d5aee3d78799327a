package record

import (
	"math"
	"strconv"
	"unicode/utf8"
)

// TextProblem says why PostgreSQL cannot hold the text, or "".
func TextProblem(text []byte) string {
	ascii := true
	for _, c := range text {
		if c == 0 {
			return "holds a NUL character, which cannot be stored"
		}
		ascii = ascii && c < utf8.RuneSelf
	}
	if !ascii && !utf8.Valid(text) {
		return "is not valid UTF-8"
	}
	return ""
}

const hexDigits = "0123456789abcdef"

// AppendJSONString writes text, which must be valid UTF-8, as a JSON string.
func AppendJSONString(dst, text []byte) []byte {
	dst = append(dst, '"')
	start := 0
	for i, c := range text {
		if c >= 0x20 && c != '"' && c != '\\' {
			continue
		}
		dst = append(dst, text[start:i]...)
		switch c {
		case '"', '\\':
			dst = append(dst, '\\', c)
		case '\n':
			dst = append(dst, '\\', 'n')
		case '\r':
			dst = append(dst, '\\', 'r')
		case '\t':
			dst = append(dst, '\\', 't')
		default:
			dst = append(dst, '\\', 'u', '0', '0', hexDigits[c>>4], hexDigits[c&15])
		}
		start = i + 1
	}
	dst = append(dst, text[start:]...)
	return append(dst, '"')
}

// AppendJSONFloat writes v in the shortest form that reads back as v, as
// JavaScript writes numbers. v must be finite.
func AppendJSONFloat(dst []byte, v float64) []byte {
	format := byte('f')
	if a := math.Abs(v); a != 0 && (a < 1e-6 || a >= 1e21) {
		format = 'e'
	}
	return strconv.AppendFloat(dst, v, format, -1, 64)
}
