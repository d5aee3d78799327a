package number

import (
	"bytes"
	"math"
	"slices"
	"strconv"
	"strings"
)

// Trim drops the blanks around a cell.
func Trim(cell []byte) []byte {
	if n := len(cell); n > 0 && cell[0] > ' ' && cell[n-1] > ' ' && cell[n-1] < 0x80 {
		return cell // the usual case
	}
	return bytes.TrimSpace(cell)
}

// IsMissing reports whether a cell of a column of numbers or times says that
// there is no value.
func IsMissing(cell []byte) bool {
	cell = Trim(cell)
	switch len(cell) {
	case 0:
		return true
	case 1:
		return cell[0] == '-'
	case 2, 3, 4, 5, 6, 7, 8, 9:
		if c := cell[0]; c-'0' <= 9 && cell[len(cell)/2] != '#' && cell[len(cell)/3] != '#' {
			return false
		}
		switch strings.ToLower(string(cell)) {
		case "nan", "n/a", "na", "--", "---", "null", "none", "#n/a", "#nv", "nil", "-nan", `\n`, "(null)", "nan(ind)", "-nan(ind)", "1.#qnan", "1.#ind", "-1.#ind",
			"#div/0!", "#value!", "#ref!", "#name?", "#num!", "#wert!", "#bezug!":
			return true
		}
	}
	return false
}

// Is reports whether a cell is meant as a number: decimal, finite, and
// neither with a leading zero nor like a hexadecimal id. 18E5 is an id, 1.8e+6
// a number.
func Is(cell []byte) bool {
	_, ok := Parse(cell, false, false)
	return ok
}

// IsLoose reports whether a cell is a number where its column holds nothing else.
func IsLoose(cell []byte) bool {
	_, ok := Parse(cell, false, true)
	return ok
}

// Parse returns a number as JSON writes it: the cell itself where that is the
// same. comma says that it has a decimal comma; loose takes what Is does
// not, for columns that hold nothing but numbers.
func Parse(cell []byte, comma, loose bool) ([]byte, bool) {
	cell = Trim(cell)
	digits, whole, point, exponent, plain := 0, 0, -1, -1, true
	i := 0
	if i < len(cell) && (cell[i] == '-' || cell[i] == '+') {
		plain = cell[i] == '-'
		i++
	}
	first := i
	for ; i < len(cell); i++ {
		switch c := cell[i]; {
		case c-'0' <= 9:
			digits++
			if point < 0 {
				whole++
			}
			continue
		case (c == '.' && !comma || c == ',' && comma) && point < 0:
			point = i
			plain = plain && c == '.' && whole > 0
			continue
		case (c == 'e' || c == 'E') && digits > 0:
			exponent = i
		}
		break
	}
	if digits == 0 {
		return nil, false
	}
	if whole > 1 && cell[first] == '0' {
		if !loose {
			return nil, false
		}
		for plain = false; whole > 1 && cell[first] == '0'; whole-- {
			first++
			digits--
		}
	}
	if point >= 0 && digits == whole { // 5.
		plain = false
	}
	if exponent >= 0 {
		i++
		signed := i < len(cell) && (cell[i] == '-' || cell[i] == '+')
		if signed {
			i++
		}
		if !signed && point < 0 && !loose || i == len(cell) || len(cell)-i > 3 {
			return nil, false
		}
		for ; i < len(cell) && cell[i]-'0' <= 9; i++ {
		}
	}
	if i < len(cell) || len(cell) > 400 {
		return nil, false
	}
	if exponent >= 0 || digits > 300 {
		if v, err := strconv.ParseFloat(strings.Replace(string(cell), ",", ".", 1), 64); err != nil || math.IsInf(v, 0) {
			return nil, false
		}
	}
	if plain {
		return cell, true
	}
	out := make([]byte, 0, len(cell)+2)
	if cell[0] == '-' {
		out = append(out, '-')
	}
	for k, c := range cell[first:] {
		at := first + k
		switch {
		case at == point:
			if whole == 0 {
				out = append(out, '0')
			}
			if digits > whole {
				out = append(out, '.')
			}
		default:
			out = append(out, c)
		}
	}
	return out, true
}

// IsHex reports whether a cell reads as a hexadecimal id: digits and letters,
// or capital letters in pairs.
func IsHex(cell []byte) bool {
	cell = Trim(cell)
	digits, capitals := 0, 0
	for _, c := range cell {
		switch {
		case c-'0' <= 9:
			digits++
		case c >= 'A' && c <= 'F':
			capitals++
		case c >= 'a' && c <= 'f':
		default:
			return false
		}
	}
	return digits > 0 && digits < len(cell) || capitals == len(cell) && capitals > 0 && capitals%2 == 0
}

// HasLeadingZero reports whether a cell is digits with a zero before them.
func HasLeadingZero(cell []byte) bool {
	cell = bytes.TrimLeft(Trim(cell), "-+")
	return len(cell) > 1 && cell[0] == '0' && cell[1]-'0' <= 9
}

// HasComma reports whether a cell is a number with a decimal comma.
func HasComma(cell []byte) bool {
	if bytes.IndexByte(cell, ',') < 0 {
		return false
	}
	_, ok := Parse(cell, true, true)
	return ok
}

// SplitLetter parts a position such as N48.1173 or 48.1173 N from its letter, nil
// where it has none.
func SplitLetter(cell []byte) (position, letter []byte) {
	cell = Trim(cell)
	for _, at := range [...]int{0, len(cell) - 1} {
		if len(cell) > 1 && cell[at]|0x20 >= 'a' && cell[at]|0x20 <= 'z' {
			rest := slices.Concat(cell[:at], cell[at+1:])
			return Trim(rest), cell[at : at+1]
		}
	}
	return cell, nil
}

// UsualStep is the median of the steps between numbers that differ.
func UsualStep(numbers []float64) float64 {
	var steps []float64
	for i := 1; i < len(numbers); i++ {
		if numbers[i] != numbers[i-1] {
			steps = append(steps, math.Abs(numbers[i]-numbers[i-1]))
		}
	}
	if slices.Sort(steps); len(steps) == 0 {
		return 0
	}
	return steps[len(steps)/2]
}

// Plain reports whether a cell is a number as JSON has it, without an exponent.
func Plain(cell []byte) bool { return PlainForm(cell) != None }

// PlainForm is the form of such a number, whose sign is a point; None for other cells.
func PlainForm(cell []byte) Form {
	digits := func(i int) int {
		for i < len(cell) && cell[i]-'0' <= 9 {
			i++
		}
		return i
	}
	begin := 0
	if len(cell) > 0 && cell[0] == '-' {
		begin = 1
	}
	end := digits(begin)
	whole := end - begin
	if whole == 0 || whole > 1 && cell[begin] == '0' || len(cell) > 100 {
		return None
	}
	if end < len(cell) && cell[end] == '.' {
		point := end
		switch end = digits(point + 1); {
		case end == point+1 || end < len(cell):
			return None
		case end-point-1 == 3 && whole <= 3 && cell[begin] != '0':
			return OneGroup
		}
		return Decimal
	}
	switch {
	case end < len(cell):
		return None
	case whole > 3:
		return Long
	}
	return Short
}
