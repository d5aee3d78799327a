package record

import (
	"bytes"
	"strconv"
)

const (
	// longJSON is from which length on a stored value may hold a number worth
	// writing shorter, and longNumber which numbers are.
	longJSON   = 300
	longNumber = 32
)

// compact writes the numbers of a stored JSON value with an exponent where they
// are mostly zeros: 1e308 takes the database 309 digits. The value is the same.
func compact(raw []byte) []byte {
	if len(raw) < longJSON {
		return raw
	}
	var out []byte
	kept := 0 // up to where raw is in out
	for i := 0; i < len(raw); {
		switch c := raw[i]; {
		case c == '"':
			for i++; i < len(raw) && raw[i] != '"'; i++ {
				if raw[i] == '\\' {
					i++
				}
			}
			i++
		case c-'0' <= 9:
			end := i
			for end < len(raw) && (raw[end]-'0' <= 9 || raw[end] == '.') {
				end++
			}
			if end-i > longNumber {
				out = append(out, raw[kept:i]...)
				out = appendExponent(out, raw[i:end])
				kept = end
			}
			i = end
		default:
			i++
		}
	}
	if kept == 0 {
		return raw
	}
	return append(out, raw[kept:]...)
}

// appendExponent writes a number without a sign or an exponent.
func appendExponent(dst, number []byte) []byte {
	exponent := 0
	digits := number
	switch point := bytes.IndexByte(number, '.'); {
	case point < 0:
		digits = bytes.TrimRight(number, "0")
		exponent = len(number) - len(digits)
	case point == 1 && number[0] == '0':
		digits = bytes.TrimLeft(number[2:], "0")
		exponent = point + 1 - len(number)
	}
	if len(digits) == 0 || len(digits)+len("e-999") > len(number) {
		return append(dst, number...)
	}
	return strconv.AppendInt(append(append(dst, digits...), 'e'), int64(exponent), 10)
}
