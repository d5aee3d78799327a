package e2e

import (
	"encoding/json"
	"fmt"
	"io"
	"math"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/ecovolt/telemetryd/internal/dbtest"
)

// radioAndLogger are a run as the bridge stores it, and the file of the car's
// logger, whose clock is two hours and half a second behind.
func radioAndLogger() (radio, logger string) {
	var a, b strings.Builder
	a.WriteString("session_id,timestamp,speed_ms,current_a\n")
	b.WriteString("Time;Speed [km/h];current_a;Motor Temp\n")
	start := time.Date(2026, 6, 3, 10, 0, 0, 0, time.UTC)
	for i := range 3000 { // 10 Hz
		s := float64(i) / 10
		speed, current := 8+3*math.Sin(s/7)+2*math.Sin(s/3.1+s*s/900), 12+5*math.Cos(s/5+s*s/500)
		at := start.Add(time.Duration(i) * 100 * time.Millisecond)
		fmt.Fprintf(&b, "%s;%.3f;%.3f;%.1f\n", at.Add(-2*time.Hour-500*time.Millisecond).Format("2006-01-02 15:04:05.000"), speed*3.6, current, 40+s/20)
		if i%2 == 0 && (i < 1000 || i > 1200) {
			fmt.Fprintf(&a, "drive,%s,%.2f,%.2f\n", at.Format("2006-01-02T15:04:05.000000+00:00"), speed, current)
		}
	}
	return a.String(), b.String()
}

func TestMergeRadioAndLogger(t *testing.T) {
	t.Parallel()
	c := newCLI(t)
	radio, logger := radioAndLogger()
	file := c.file("logger.csv", []byte(logger))
	c.imports(1399, 0, radio, "-")
	export := func() string { return c.must("", "export", "drive") }
	before := export()
	says := func(out string, lines ...string) {
		t.Helper()
		for _, line := range lines {
			if !strings.Contains(out, line) {
				t.Errorf("%q is missing in\n%s", line, out)
			}
		}
	}
	says(c.must("", "merge", "--dry-run", "drive", file), "offset of the logger's clock: 2h0m0.5", "by speed_ms, current_a", "1399 of them in the run: 1399 of those filled, 1601 added", "the radio delivered 93.3 %", "nothing was changed")
	if export() != before {
		t.Fatal("a dry run changed the run")
	}
	says(c.must("", "merge", "drive", file), "got: motor_temp_c", "merged as batch 2")
	merged := export()
	says(c.must("", "merge", "drive", file), "merged before, as batch 2")
	if merged != export() || strings.Count(merged, "\n") != 3001 || strings.Count(merged, ",logger,") != 1601 {
		t.Errorf("%d lines, %d of the logger", strings.Count(merged, "\n"), strings.Count(merged, ",logger,"))
	}
	if _, errs, code := c.run("", "merge", "--undo", "drive", "1"); code != 1 || !strings.Contains(errs, "no merge") {
		t.Errorf("undoing an upload: %d %s", code, errs)
	}
	if _, errs, code := c.run("", "merge", "--offset", "1h", "drive", file); code != 1 || !strings.Contains(errs, "merged before, as batch 2, with an offset of 2h0m0.5") || !strings.Contains(errs, "undo that first") {
		t.Errorf("with another offset: %d %s", code, errs)
	}
	says(c.must("", "merge", "--undo", "drive"), "merge 2 is undone")
	broken := c.file("broken.csv", []byte(logger+"1980-01-06 00:00:00;1;2;3\nboot;1;2;3\n"))
	says(c.must("", "merge", "drive", broken), "1 records without a time, 1 whose time cannot be right; 2 set aside, 0 were before", "merged as batch 4")
	if out := c.must("", "export", "--set-aside", "drive"); !strings.Contains(out, "1980-01-06T00:00:00+00:00") || !strings.Contains(out, "boot") {
		t.Errorf("set aside:\n%s", out)
	}
	c.must("", "merge", "--undo", "drive")
	if export() != before {
		t.Error("undone, the run is not what it was")
	}
	var events string
	if err := c.pool.QueryRow(t.Context(), "SELECT string_agg(event, ' ' ORDER BY id) FROM auth_audit").Scan(&events); err != nil || events != "session_merged merge_undone session_merged merge_undone" {
		t.Errorf("audited: %q, %v", events, err)
	}
}

func TestMergeOverREST(t *testing.T) {
	t.Parallel()
	daemon := serve(t, "--database-url", dbtest.URL(t))
	radio, logger := radioAndLogger()
	call := func(method, path, body string, want int, into any) {
		t.Helper()
		r, err := http.NewRequestWithContext(t.Context(), method, daemon.url+path, strings.NewReader(body))
		if err != nil {
			t.Fatal(err)
		}
		r.Header.Set("Authorization", "Bearer "+deployKey)
		r.Header.Set("Content-Type", "text/csv")
		answer, err := http.DefaultClient.Do(r)
		if err != nil {
			t.Fatal(err)
		}
		defer answer.Body.Close()
		text, err := io.ReadAll(answer.Body)
		if err != nil || answer.StatusCode != want {
			t.Fatalf("%s %s: %d %s %v", method, path, answer.StatusCode, text, err)
		}
		if into != nil {
			if err := json.Unmarshal(text, into); err != nil {
				t.Fatal(err)
			}
		}
	}
	call("POST", "/api/v1/telemetry", radio, 200, nil)
	var merged struct {
		Already bool `json:"already_merged"`
		Merge   struct {
			Batch   int
			Offset  float64 `json:"offset_s"`
			Added   int
			Filled  int
			Percent float64 `json:"delivered_pct"`
		}
		Table struct{ Columns []any }
	}
	call("POST", "/api/v1/sessions/drive/merges?dry_run=true", logger, 200, &merged)
	if merged.Merge.Added != 1601 || math.Abs(merged.Merge.Offset-7200.5) > 0.01 || len(merged.Table.Columns) != 4 {
		t.Errorf("the preview: %+v", merged)
	}
	call("POST", "/api/v1/sessions/drive/merges?file_name=logger.csv", logger, 200, &merged)
	call("POST", "/api/v1/sessions/drive/merges?file_name=again.csv", logger, 200, &merged)
	if !merged.Already || merged.Merge.Batch != 2 {
		t.Errorf("again: %+v", merged)
	}
	var origins struct{ Records map[string][]int }
	call("GET", "/api/v1/sessions/drive/origins?points=3", "", 200, &origins)
	if got := fmt.Sprint(origins.Records); got != "map[filled:[500 399 500] merge:[500 601 500] rest:[500 399 500]]" {
		t.Errorf("where the records come from: %s", got)
	}
	call("POST", "/api/v1/sessions/none/merges", logger, 404, nil)
	call("POST", "/api/v1/sessions/drive/merges?offset=soon", logger, 400, nil)
	call("DELETE", "/api/v1/sessions/drive/merges/2", "", 200, nil)
	call("DELETE", "/api/v1/sessions/drive/merges/2", "", 404, nil)
	var list struct {
		Merges []struct {
			File     string
			UndoneBy *int `json:"undone_by"`
		}
	}
	call("GET", "/api/v1/sessions/drive/merges", "", 200, &list)
	if len(list.Merges) != 1 || list.Merges[0].File != "logger.csv" || list.Merges[0].UndoneBy == nil {
		t.Errorf("the list: %+v", list)
	}
}
