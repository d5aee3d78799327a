package foreign

import (
	"bytes"
	"fmt"
	"io"
	"math/rand/v2"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/ecovolt/telemetryd/timeseries/channel"
)

// A file as the bridge has it is told by its first records. A quote in one of them
// has the whole head looked at, and may change nothing.
func TestOwnHead(t *testing.T) {
	t.Cleanup(func() { clear(plans.by) })
	read := func(file string) (all []string, r *Reader) {
		t.Helper()
		r, err := NewReader(strings.NewReader(file), Options{})
		if err != nil {
			t.Fatalf("%v in\n%.300s", err, file)
		}
		for {
			cells, err := r.Read()
			if err == io.EOF {
				return all, r
			}
			all = append(all, fmt.Sprintf("%d %q %v", r.Line(), cells, err))
		}
	}
	odd := []func(cells []string) string{
		func(c []string) string { c[1] = "2026/06/03 10:00:00.5"; return strings.Join(c, ",") }, // another form of a time
		func(c []string) string { c[1] = ""; return strings.Join(c, ",") },
		func(c []string) string { c[2] = "n/a"; return strings.Join(c, ",") },
		func(c []string) string { c[0] = "\"a \"\"b\"\", c\""; return strings.Join(c, ",") },
		func(c []string) string { c[0] = "caf\xe9"; return strings.Join(c, ",") },
		func(c []string) string { return strings.Join(c[:3], ",") },
		func([]string) string { return "session_id,timestamp,speed_ms,message_id,altitude" },
		func([]string) string { return "# a remark" },
		func([]string) string { return "" },
		func([]string) string { return ",,,," },
	}
	for seed := range uint64(40) {
		rng := rand.New(rand.NewPCG(seed, 0))
		var lines []string
		for i := range 60 + rng.IntN(1500) {
			at := time.UnixMicro(1774129270272851 + int64(i)*20000).UTC().Format("2006-01-02T15:04:05.000000Z07:00")
			cells := []string{"s-1", at, fmt.Sprint(rng.Float32() * 20), fmt.Sprint(i), "99.3"}
			if i > ownRecords && rng.IntN(20) == 0 {
				lines = append(lines, odd[rng.IntN(len(odd))](cells))
			} else {
				lines = append(lines, strings.Join(cells, ","))
			}
		}
		end := []string{"\n", "\r\n"}[seed%2]
		header, body := "session_id,timestamp,speed_ms,message_id,altitude"+end, strings.Join(lines, end)+end
		if own := []byte(header + strings.Join(lines[:ownRecords+1], end)); ownHead(own) == len(own) {
			t.Fatalf("%.300s", own)
		}
		clear(plans.by)
		first, _ := read(header + body)
		got, r := read(header + body)
		if !reflect.DeepEqual(first, got) {
			t.Fatalf("seed %d: the second time it is read otherwise", seed)
		}
		want, whole := read(header + `"s-1"` + strings.TrimPrefix(body, "s-1"))
		if !reflect.DeepEqual(got, want) || !reflect.DeepEqual(r.Columns(), whole.Columns()) {
			for i := range min(len(got), len(want)) {
				if got[i] != want[i] {
					t.Errorf("seed %d: got %s, want %s", seed, got[i], want[i])
					break
				}
			}
			t.Fatalf("seed %d: %d records, want %d, or other columns", seed, len(got), len(want))
		}
	}
	// What is kept of a header changes nothing, whatever its next records are.
	header := "session_id,timestamp,speed_ms,message_id,altitude,latitude\n"
	tidy := header + strings.Repeat("s-1,2026-06-03T10:00:00Z,1.5,7,99.3,48.1\n", 20)
	outcome := func(file string) (string, *Reader) {
		r, err := NewReader(strings.NewReader(file), Options{})
		if err != nil {
			return err.Error(), nil
		}
		all := ""
		for _, c := range r.Columns() {
			all += fmt.Sprintln(c.Label, c.Name, c.Text, c.Known)
		}
		for {
			cells, err := r.Read()
			if err == io.EOF {
				return fmt.Sprintf("%s %+v", all, r.Table()), r
			}
			all += fmt.Sprintf("%d %q %v\n", r.Line(), cells, err)
		}
	}
	cells := [][]string{
		{"", "s-2", "caf\xe9", "#", "caf\u00e9"},
		{"", "2026-06-03 10:00:00", "2026-06-03T10:00:00", "2026-06-03T10:00:00+02:00", "1780000000", "10:00:00", "x", "03.06.2026 10:00"},
		{"", "-", "1'234", "1.234", "1.234.567", "1e3", "nan", "n/a", "-2", ".5", "0x1F"},
		{"", "7.0", "007", "a"},
		{"", "99.3 m", "1 000"},
		{"", "48.1 N", "4807.038S", "-48.1", "N"},
	}
	for seed := range uint64(400) {
		rng := rand.New(rand.NewPCG(seed, 1))
		file := header
		odd, share := rng.IntN(len(cells)), 1+rng.IntN(3)
		values := []string{cells[odd][rng.IntN(len(cells[odd]))], cells[odd][rng.IntN(len(cells[odd]))]}
		for range 12 + rng.IntN(60) {
			line := []string{"s-1", "2026-06-03T10:00:00Z", "1.5", "7", "99.3", "48.1"}
			if rng.IntN(share) == 0 {
				line[odd] = values[rng.IntN(2)]
			}
			file += strings.Join(line, ",") + "\n"
		}
		clear(plans.by)
		want, _ := outcome(file)
		clear(plans.by)
		if _, r := outcome(tidy); len(plans.by) != 1 || r == nil {
			t.Fatal("the plan of a tidy file was not kept")
		}
		if got, _ := outcome(file); got != want {
			t.Fatalf("seed %d:\n%s\nwith a plan that was kept:\n%s\nwithout:\n%s", seed, file, got, want)
		}
	}
	// What has to be looked at.
	for _, header := range []string{"timestamp,speed_ms,tyre", "timestamp,speed_km_h", "timestamp;speed_ms", "speed_ms,power_w", "time,speed_ms", "timestamp,speed_ms,extra", "session,timestamp"} {
		head := []byte(header + "\n" + strings.Repeat("2026-06-03T10:00:00Z"+strings.Repeat(",1", strings.Count(header, ","))+"\n", 100))
		if ownHead(head) != len(head) {
			t.Error(header)
		}
	}
	for i := range 3 * keptPlans { // any client may make up headers
		_, _ = outcome("timestamp," + channel.All[i].Name + strings.Repeat("\n2026-06-03T10:00:00Z,1", 20) + "\n")
		if n := len(plans.by); n == 0 || n > keptPlans {
			t.Fatalf("%d plans are kept", n)
		}
	}
	for _, line := range []string{"1.5,2026-06-03T10:00:00Z", "2026-06-03T10:00:00Z", `2026-06-03T10:00:00Z,"1,5"`, "03.06.2026 10:00:00,1", ""} {
		head := []byte("timestamp,speed_ms\n" + strings.Repeat(line+"\n", 100))
		if ownHead(head) != len(head) {
			t.Error(line)
		}
	}
	if head := bytes.Repeat([]byte("timestamp,speed_ms\n"), 3); ownHead(head) != len(head) {
		t.Error("too short")
	}
}
