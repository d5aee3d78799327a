package foreign

import (
	"bytes"
	"strings"
	"testing"
)

// heads are the largest that are looked at. Those that look least like a table cost
// the most, since each line of them might be the header.
func heads() map[string][]byte {
	fill := func(header, line string) []byte {
		return append([]byte(header), bytes.Repeat([]byte(line+"\n"), headBytes/(len(line)+1))...)
	}
	return map[string][]byte{
		"usual": fill("timestamp,speed_ms,voltage_v,current_a,power_w,energy_j,distance_m\n", "2026-03-21T21:41:10.272851+00:00,14.43,46.04,9.87,454.38,90.88,2.89"),
		"words": fill("", "driver note;changed the front tyre, again, and the left one, too, since it was flat"),
		"wide":  fill("", strings.Repeat("tyre,", 2000)),
		"times": fill("", strings.Repeat("time,", 300)),
		"empty": fill("", "time"+strings.Repeat(",", 1500)),
		"short": fill("", "x,"),
	}
}

func BenchmarkHead(b *testing.B) {
	for name, head := range heads() {
		b.Run(name, func(b *testing.B) {
			b.SetBytes(int64(len(head)))
			for b.Loop() {
				findLayout(head, true, manyRecords)
			}
		})
	}
}

// What a head costs goes by its cells, however many rows might be its header: the
// names in each are looked up once, with some allocations each.
func TestCostOfAHead(t *testing.T) {
	for name, head := range heads() {
		lines := bytes.SplitN(head, []byte("\n"), preambleLines+1)
		cells := 0
		for _, line := range lines[:min(len(lines), preambleLines)] {
			for _, sep := range []string{",", ";", "\t", "|"} {
				cells += bytes.Count(line, []byte(sep)) + 1
			}
		}
		if n := testing.AllocsPerRun(1, func() { findLayout(head, true, manyRecords) }); n > float64(20*cells) {
			t.Errorf("%s: %.0f allocations for %d cells", name, n, cells)
		}
	}
}
