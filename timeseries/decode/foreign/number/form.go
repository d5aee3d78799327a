package number

import (
	"bytes"
	"strings"
)

// Signs are what numbers may have between their digits.
const Signs = ",."

// Form is what a cell tells of the signs in it.
type Form int

// The forms of numbers.
const (
	None     Form = iota // no number
	Short                // up to three digits, no sign
	Long                 // more digits, no sign: thousands are not parted
	Decimal              // the sign can only be a decimal one, as in 0,123 and 48.25
	OneGroup             // 1,234: a decimal sign, or one that parts thousands
	Grouped              // 1,234,567 and 1,234.5: the sign can only part thousands
)

// FormOf returns the form of a cell, and the index in Signs of its (first) sign.
func FormOf(cell []byte) (f Form, sign int) {
	cell = Trim(cell)
	for len(cell) > 0 && (cell[0] == '+' || cell[0] == '-') {
		cell = cell[1:]
	}
	first := 0
	for first < len(cell) && cell[first] != Signs[0] && cell[first] != Signs[1] {
		first++
	}
	if first == len(cell) {
		switch {
		case !isDigits(cell) || len(cell) > 1 && cell[0] == '0':
			return None, 0
		case len(cell) > 3:
			return Long, 0
		}
		return Short, 0
	}
	sign = strings.IndexByte(Signs, cell[first])
	if other := bytes.IndexByte(cell[first:], Signs[1-sign]); other >= 0 {
		if isDigits(cell[first+other+1:]) && groups(cell[:first+other], Signs[sign]) > 1 {
			return Grouped, sign
		}
		return None, 0
	}
	switch groups(cell, Signs[sign]) {
	case 0, 1:
		if _, ok := Parse(cell, sign == 0, true); ok {
			return Decimal, sign
		}
		return None, 0
	case 2:
		return OneGroup, sign
	}
	return Grouped, sign
}

func isDigits(text []byte) bool {
	for _, c := range text {
		if c-'0' > 9 {
			return false
		}
	}
	return len(text) > 0
}

// groups is how many groups the sign parts the digits of a cell into; 0 where
// not each but the first, which begins with no zero, has three of them.
func groups(cell []byte, sign byte) (n int) {
	for begin := 0; ; n++ {
		end := begin
		for end < len(cell) && cell[end]-'0' <= 9 {
			end++
		}
		length := end - begin
		if n == 0 && (length == 0 || length > 3 || cell[0] == '0') || n > 0 && length != 3 {
			return 0
		}
		if end == len(cell) {
			return n + 1
		}
		if cell[end] != sign {
			return 0
		}
		begin = end + 1
	}
}
