package e2e

import (
	"strings"
	"testing"
)

// Who notes something is told what was noted on what, or why it was not.
func TestNoteIsConfirmed(t *testing.T) {
	t.Parallel()
	c := newCLI(t)
	c.imports(100, 0, "", "--session-id", "monday", c.file("monday.csv", []byte(drive(100))))
	for _, tc := range []struct {
		args      []string
		out, errs string
	}{
		{nil, "noted on the whole run: slipped\n", ""},
		{[]string{"--at", "2026-03-21T11:00:00+01:00"}, "noted on 2026-03-21 10:00:00.000 UTC: slipped\n", ""},
		{[]string{"--at", "2026-03-21T10:00:00Z", "--to", "2026-03-21T10:00:01.5Z"}, "noted on 2026-03-21 10:00:00.000 UTC to 2026-03-21 10:00:01.500 UTC: slipped\n", ""},
		{[]string{"--at", "2027-03-21T10:00:00Z"}, "", "field --at: is more than a day from the run, whose records are of 2026-03-21T10:00:00Z to 2026-03-21T10:01:39Z"},
		{[]string{"--at", "2026-03-21T10:00:00Z", "--to", "2026-03-23T10:00:00Z"}, "", "field to: is more than a day from the run"},
	} {
		out, errs, code := c.run("", append([]string{"run", "note", "monday", "slipped"}, tc.args...)...)
		if out != tc.out || (code != 0) != (tc.errs != "") || !strings.Contains(errs, tc.errs) {
			t.Errorf("%q: exit code %d, %q, %q", tc.args, code, out, errs)
		}
	}
}
