package check

import (
	_ "embed"
	"slices"
	"strings"
	"sync"
)

// commonText has the passwords that most people have, of those that are long
// enough here, in lower case, a line each. See common.LICENSE.
//
//go:embed common.txt
var commonText string

var common = sync.OnceValue(func() map[string]struct{} {
	all := map[string]struct{}{}
	for line := range strings.Lines(commonText) {
		all[strings.TrimSpace(line)] = struct{}{}
	}
	return all
})

// contextWords are those that everybody thinks of here. The account's e-mail adds
// its own.
var contextWords = []string{"telemetryd", "telemetry", "ecovolt", "password"}

// leastOwn is how many characters a password has beside words of the context.
const leastOwn = 6

// Guessable reports whether a password is a common one, or has little beside words
// of the context, whatever their case.
func Guessable(password, email string) bool {
	password = strings.ToLower(password)
	if _, there := common()[password]; there {
		return true
	}
	words := slices.Clone(contextWords)
	for word := range strings.FieldsFuncSeq(email, func(r rune) bool { return strings.ContainsRune("@.-_+", r) }) {
		if len(word) > 3 {
			words = append(words, word)
		}
	}
	slices.SortFunc(words, func(a, b string) int { return len(b) - len(a) })
	for _, word := range words {
		password = strings.ReplaceAll(password, word, "")
	}
	return UTF16Length(password) < leastOwn
}
