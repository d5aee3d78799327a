package live_test

import (
	"fmt"
	"strings"
	"testing"
)

// A rate is against the record measured before, whether that was sent or not: before
// somebody came, left out for a bounded rate, or late.
func TestRates(t *testing.T) {
	t.Parallel()
	in := one(t, setup{})
	in.insert(t, "s", 0, map[string]any{"voltage_v": 40})
	in.insert(t, "s", 1, map[string]any{"voltage_v": 41})
	in.math(t, "slope", "rate(voltage_v)")
	expect := func(c *screen, want ...string) {
		t.Helper()
		got := c.records()
		if fmt.Sprint(got) != fmt.Sprint(want) {
			t.Errorf("the records have %q, want %q", got, want)
		}
	}
	all, _ := in.follow(t, "session=s&fields=slope")
	expect(all, `"slope":10`) // the snapshot's one record
	in.insert(t, "s", 2, map[string]any{"voltage_v": 43}, map[string]any{"current_a": 1}, map[string]any{"voltage_v": 44})
	expect(all, `"slope":20`, ``, `"slope":5`)
	in.insert(t, "s", 8, map[string]any{"voltage_v": 48})
	expect(all, `"slope":10`)
	in.insert(t, "s", 6, map[string]any{"voltage_v": 50})
	expect(all, `"slope":30`) // late
	in.insert(t, "s", 9, map[string]any{"voltage_v": 50})
	expect(all, `"slope":20`)
	some, _ := in.follow(t, "session=s&fields=slope&max_rate=1")
	expect(some, `"slope":20`)
	var many []map[string]any
	for i := range 40 { // the 4 s up to 5 s after the start
		many = append(many, map[string]any{"voltage_v": 50 + 0.5*float64((i+1)*(i+1))})
	}
	in.insert(t, "s", 10, many...)
	for n := 0; n < 4; { // 2 (i + 1) - 1 a tenth of a second, halved
		for _, r := range some.records() {
			at := len(many) - 1
			for at >= 0 && !strings.HasSuffix(r, fmt.Sprintf(`"slope":%d`, 10*at+5)) {
				at--
			}
			if at < 9 || at%10 != 9 {
				t.Errorf("a record of those that are sent has %q", r)
			}
			n++
		}
	}
}
