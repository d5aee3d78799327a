package fault

import (
	"fmt"
	"unicode/utf8"
)

// Clip shortens a text that comes from the input for use in an error.
func Clip(s string) string {
	const most = 80
	if !utf8.ValidString(s) {
		s = fmt.Sprintf("%q", s)
	}
	if len(s) <= most {
		return s
	}
	cut := most
	for !utf8.RuneStart(s[cut]) {
		cut--
	}
	return s[:cut] + "..."
}
