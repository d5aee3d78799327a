package timeseries_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/ecovolt/telemetryd/internal/dbtest"
	"github.com/ecovolt/telemetryd/timeseries/decode"
	"github.com/ecovolt/telemetryd/timeseries/ingest"
)

// A preview counts what would be set aside, strays too, and names lines.
func TestPreview(t *testing.T) {
	t.Parallel()
	dbtest.NeedsBackends(t, "the same on both editions: records are judged before they are stored")
	var csv, ndjson strings.Builder
	csv.WriteString("# a logger\nsession_id,timestamp,speed_ms\n")
	ndjson.WriteString("\n")
	row := func(at string) {
		fmt.Fprintf(&csv, "a,%s,1\n", at)
		fmt.Fprintf(&ndjson, `{"session_id":"a","timestamp":%q,"speed_ms":1}`+"\n", at)
	}
	row("1980-01-06T00:00:00Z")
	for i := range 2500 {
		row(raceStart.Add(time.Duration(i) * time.Second).Format(time.RFC3339))
		if i < 20 {
			row(raceStart.AddDate(-1, 0, 0).Add(time.Duration(i) * time.Second).Format(time.RFC3339))
		}
	}
	row("soon")
	for _, tc := range []struct {
		format decode.Format
		text   string
		lines  [2]int
	}{{decode.FormatCSV, csv.String(), [2]int{3, 2524}}, {decode.FormatJSON, ndjson.String(), [2]int{2, 2523}}} {
		got, err := ingest.Preview(t.Context(), decode.New(strings.NewReader(tc.text), decode.Options{Format: tc.format}), ingest.Options{File: true})
		if err != nil || got.Inserted != 2522 || got.SetAside != 22 || got.Rejected != 0 || len(got.Odd) != 3 {
			t.Fatalf("%+v, %v", got, err)
		}
		for i, line := range tc.lines {
			if p := got.Odd[i]; p.Line != line {
				t.Errorf("%v, want line %d", p, line)
			}
		}
		if p := got.Odd[2]; !strings.HasPrefix(p.Reason, "20 records from ") {
			t.Error(p)
		}
	}
}

func TestShiftsWithASignInThem(t *testing.T) {
	t.Parallel()
	dbtest.NeedsBackends(t, "the same on both editions: records are judged before they are stored")
	for _, text := range []string{"1d-5h", "-1d-5h", "1d+5h", "5h-1d"} {
		if d, err := ingest.ParseShift("shift", text); err == nil || !strings.Contains(err.Error(), "field shift") {
			t.Errorf("%s is %v, %v", text, d, err)
		}
	}
	for text, want := range map[string]time.Duration{"-1d5h": -29 * time.Hour, "1d": 24 * time.Hour, "-90s": -90 * time.Second, "1d5h": 29 * time.Hour} {
		if d, err := ingest.ParseShift("shift", text); err != nil || d != want {
			t.Errorf("%s is %v, %v", text, d, err)
		}
	}
}
