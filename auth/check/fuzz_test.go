package check_test

import (
	"regexp"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/ecovolt/telemetryd/auth/check"
)

// The contract's rule for addresses, written down a second time.
var (
	localForm  = regexp.MustCompile("^[a-z0-9!#$%&'*+/=?^_{|}~`-]+(\\.[a-z0-9!#$%&'*+/=?^_{|}~`-]+)*$")
	domainForm = regexp.MustCompile(`^([a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?\.)+[a-z]{2,63}$`)
)

func wantEmail(text string) bool {
	email := strings.ToLower(strings.TrimSpace(text))
	local, domain, found := strings.Cut(email, "@")
	return found && len(email) <= 254 && len(local) <= 64 && len(domain) <= 189 &&
		localForm.MatchString(local) && domainForm.MatchString(domain)
}

func FuzzEmail(f *testing.F) {
	for _, seed := range []string{
		"a@b.co", " A.B+c@X-1.Example ", "a@b", "@b.co", "a@", "a@@b.co", "a@b.c", "a@b.c0", "a..b@c.de", ".a@b.co", "a.@b.co",
		"a@-b.co", "a@b-.co", "a@.co", "a@b.co.", "\x00@b.co", "é@b.co", "a@é.co", "a@b.co\n", "`{|}~@b.co", "\u212a@b.co",
		strings.Repeat("a", 64) + "@b.co", strings.Repeat("a", 65) + "@b.co",
		"a@" + strings.Repeat("b", 63) + ".co", "a@" + strings.Repeat("b", 64) + ".co",
		"a@" + strings.Repeat("bcdefg.", 26) + "example", "a@" + strings.Repeat("bcdefg.", 27) + "example",
	} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		email, ok := check.Email(text)
		if ok != wantEmail(text) {
			t.Errorf("Email(%q) = %q, %v", text, email, ok)
		}
		if again, fine := check.Email(email); ok && (!fine || again != email) {
			t.Errorf("Email(%q) = %q, which becomes %q, %v", text, email, again, fine)
		}
	})
}

func FuzzName(f *testing.F) {
	for _, seed := range []string{"", " Ana  López ", "O'Neil-Smith Jr.", "李小龙", "a<b", "\u00a0x\u00a0", "\uFF21", "\x00", "\xff", strings.Repeat("\U00020000", 41), "e\u0301"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		name, ok := check.Name(text)
		if !ok {
			return
		}
		if !utf8.ValidString(name) || strings.ContainsAny(name, "<>&\"\\/;\x00\n\t") || strings.Contains(name, "  ") || strings.TrimSpace(name) != name {
			t.Errorf("Name(%q) = %q", text, name)
		}
		if again, fine := check.Name(name); !fine || again != name {
			t.Errorf("Name(%q) = %q, which becomes %q, %v", text, name, again, fine)
		}
	})
}
