package check

import (
	"strings"
	"unicode"
	"unicode/utf8"
)

// MaxLabel is how many characters a label may have.
const MaxLabel = 80

// Label trims the name of a key or password, which must then be 1 to MaxLabel
// printable characters.
func Label(text string) (label string, ok bool) {
	label = strings.TrimSpace(text)
	n := utf8.RuneCountInString(label)
	return label, n > 0 && n <= MaxLabel && !strings.ContainsFunc(label, func(r rune) bool { return !unicode.IsPrint(r) })
}
