package auth_test

import (
	"regexp"
	"strings"
	"testing"

	"github.com/ecovolt/telemetryd/auth"
	"github.com/ecovolt/telemetryd/auth/secret"
)

var tokenForm = regexp.MustCompile(`^[A-Za-z0-9_-]{43}$`)

func FuzzWellFormedToken(f *testing.F) {
	for _, seed := range []string{"", strings.Repeat("a", 43), strings.Repeat("a", 42) + "\n", strings.Repeat("_", 43), strings.Repeat("=", 43), strings.Repeat("é", 43)} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		// The regular expression's $ stands before no line end here, as in JavaScript.
		if got := auth.WellFormedToken(text); got != tokenForm.MatchString(text) {
			t.Errorf("WellFormedToken(%q) = %v", text, got)
		}
	})
}

// A stored hash is text that came from elsewhere: reading one, and checking a
// password against it, must not panic, take all memory or let everybody in.
func FuzzValidHash(f *testing.F) {
	for _, seed := range []string{
		"", scryptText(f, password, ""), legacyText(password), argonText(f, "p0", password), argonText(f, "pdeadbeef", password),
		"p0$argon2id$v=19$m=64,t=1,p=1$$", "p0$argon2id$v=19$m=8,t=1,p=1$AAAA$AAAAAAAAAAAAAAAAAAAAAA",
	} {
		f.Add(seed)
	}
	keeper := secret.New(secret.Params{MemoryKiB: 64, Iterations: 1}, "grains", nil, "")
	f.Fuzz(func(t *testing.T, text string) {
		if !secret.Valid(text) || strings.HasPrefix(text, "scrypt") {
			return
		}
		if match, _ := keeper.Verify(text, "some password that was not hashed"); match {
			t.Errorf("%q lets a wrong password in", text)
		}
	})
}
