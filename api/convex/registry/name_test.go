package registry

import (
	"strings"
	"testing"
)

func TestParseName(t *testing.T) {
	t.Parallel()
	for _, test := range []struct{ in, want string }{
		{"sessions:listSessions", "sessions:listSessions"},
		{"sessions.js:listSessions", "sessions:listSessions"},
		{"sessions", "sessions:default"},
		{"sessions.js", "sessions:default"},
		{"admin/users:list", "admin/users:list"},
		{"admin/users.js:list", "admin/users:list"},
		{"a_b:_c1", "a_b:_c1"},
		{"", ""},
		{":f", ""},
		{"m:", ""},
		{"m:1f", ""},
		{"m:f-g", ""},
		{"m:" + strings.Repeat("f", 64), "m:" + strings.Repeat("f", 64)},
		{"m:" + strings.Repeat("f", 65), ""},
		{"/m:f", ""},
		{"m//n:f", ""},
		{"../m:f", ""},
		{"m.ts:f", ""},
		{"m n:f", ""},
		{"a:b:c", ""},
		{"mé:f", ""},
	} {
		got, err := ParseName(test.in)
		if got != test.want || (err == nil) != (test.want != "") {
			t.Errorf("ParseName(%q) = %q, %v; want %q", test.in, got, err, test.want)
		}
	}
}

func FuzzParseName(f *testing.F) {
	f.Add("sessions.js:listSessions")
	f.Add("a/b:c")
	f.Add("x.js.js:y")
	f.Fuzz(func(t *testing.T, in string) {
		name, err := ParseName(in)
		if err != nil {
			return
		}
		if again, err := ParseName(name); err != nil || again != name {
			t.Errorf("ParseName(%q) = %q, which parses to %q, %v", in, name, again, err)
		}
	})
}
