package check

import (
	"strings"
	"unicode"

	"golang.org/x/text/unicode/norm"
)

const maxName = 80 // UTF-16 units

// Name brings a display name to one form: NFKC, trimmed, runs of
// spaces as one. A blank name is "". It reports whether the contract takes it.
func Name(text string) (name string, ok bool) {
	if len(text) > 4096 { // not worth normalising
		return "", false
	}
	name = strings.Join(strings.Fields(norm.NFKC.String(text)), " ")
	if UTF16Length(name) > maxName {
		return "", false
	}
	for _, r := range name {
		switch {
		case unicode.IsLetter(r), unicode.IsMark(r), unicode.IsDigit(r),
			r == ' ', r == '.', r == '\'', r == '-':
		default:
			return "", false
		}
	}
	return name, true
}

// UTF16Length counts as the browser does.
func UTF16Length(text string) int {
	n := 0
	for _, r := range text {
		if r >= 0x10000 {
			n++
		}
		n++
	}
	return n
}
