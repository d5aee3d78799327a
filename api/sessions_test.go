package api_test

import (
	"io"
	"net/http"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/ecovolt/telemetryd/api"
)

// A page of records that are large ends at a bound of bytes, and its cursor leads
// to the rest, whatever the form.
func TestPagesOfRecordsEndByBytes(t *testing.T) {
	t.Parallel()
	s := open(t, api.Config{})
	s.store.PageBytes = 1 << 20
	const n, size = 14, 100_000
	records := make([]object, n)
	for i := range records {
		records[i] = object{"session_id": "large", "timestamp": "2026-03-21T12:00:00Z", "message_id": i, "note": []string{strings.Repeat("x", size)}}
	}
	if got := s.call(t, "POST", "/api/v1/telemetry", "Bearer ingest|key:1", records); got.status != http.StatusOK {
		t.Fatalf("%+v", got)
	}
	var ids []float64
	var pages []int
	for cursor := ""; ; {
		got := s.call(t, "GET", "/api/v1/sessions/large/records?limit=1000&cursor="+cursor, "Bearer admin|key:1", nil)
		if got.status != http.StatusOK {
			t.Fatalf("%d", got.status)
		}
		list := got.body["records"].([]any)
		for _, r := range list {
			ids = append(ids, r.(object)["message_id"].(float64))
		}
		pages = append(pages, len(list))
		next, more := got.body["next_cursor"].(string)
		if next != got.header.Get("X-Next-Cursor") {
			t.Errorf("cursors %q and %q", next, got.header.Get("X-Next-Cursor"))
		}
		if !more {
			break
		}
		cursor = next
	}
	if len(pages) != 2 || pages[0] > s.store.PageBytes/size+1 || len(ids) != n || !slices.IsSorted(ids) {
		t.Errorf("pages of %d records, ids %v", pages, ids)
	}
	// The connections that were given up are replaced.
	if got := s.call(t, "GET", "/api/v1/sessions/large/records?limit=1&fields=message_id", "Bearer admin|key:1", nil); got.status != http.StatusOK {
		t.Errorf("%+v", got)
	}
}

// A run whose car's clock is ahead can be followed while it sends, and not until
// the server's clock has caught up.
func TestRunOfAClockAheadIsLiveWhileItSends(t *testing.T) {
	t.Parallel()
	s := open(t, api.Config{})
	s.call(t, "POST", "/api/v1/telemetry", "Bearer ingest|key:1", []object{{"session_id": "a", "timestamp": time.Now().Add(5 * time.Hour).UTC().Format(time.RFC3339)}})
	for _, live := range []bool{true, false} {
		got := s.call(t, "GET", "/api/v1/sessions/a", "Bearer admin|key:1", nil)
		listed := s.call(t, "GET", "/api/v1/live/sessions", "", nil).body["sessions"].([]any)
		if got.body["live"] != live || len(listed) > 0 != live {
			t.Errorf("live is %v, and %d runs are listed as live, want %v", got.body["live"], len(listed), live)
		}
		if _, err := s.pool.Exec(t.Context(), "UPDATE sessions SET updated_at = clock_timestamp() - interval '6 minutes'"); err != nil {
			t.Fatal(err)
		}
	}
}

// What is wrong with a repair names the member of the body.
func TestRepairNamesTheMember(t *testing.T) {
	t.Parallel()
	s := open(t, api.Config{})
	s.call(t, "POST", "/api/v1/telemetry", "Bearer ingest|key:1", []object{{"session_id": "a", "timestamp": "1980-01-06T00:00:00Z"}})
	for body, field := range map[string]string{
		`{"at":"noon"}`: "at", `{"at":5}`: "at", `{"shift":5}`: "shift", `{"shift":"soon"}`: "shift", `{"shift":"1d-5h"}`: "shift", `{"first":"x","drop":true}`: "first",
		`{}`: "shift", `{"dropp":true}`: "dropp", `{"drop":true,"all":true}`: "all", `{"shift":"1h"}`: "shift", `{"at":"1990-01-01T00:00:00Z"}`: "at",
	} {
		got := s.call(t, "POST", "/api/v1/sessions/a/repair", "Bearer admin|key:1", body)
		problems, _ := got.body["problems"].([]any)
		if got.status != http.StatusBadRequest || len(problems) != 1 || problems[0].(object)["field"] != field {
			t.Errorf("%s: %d %v, want one problem of %s", body, got.status, got.body, field)
		}
	}
}

// What no record carries is null, not 0.
func TestSummaryOfAbsentChannels(t *testing.T) {
	t.Parallel()
	s := open(t, api.Config{})
	s.call(t, "POST", "/api/v1/telemetry", "Bearer ingest|key:1", []object{{"session_id": "a", "timestamp": "2026-03-21T12:00:00Z", "power_w": 0, "motor_temp_c": 30}})
	got := s.call(t, "GET", "/api/v1/sessions/a/summary", "Bearer admin|key:1", nil)
	for name, want := range map[string]any{"avg_power_w": 0.0, "max_power_w": 0.0, "avg_speed_kmh": nil, "max_speed_kmh": nil, "avg_voltage_v": nil, "max_g": nil, "elevation_gain_m": nil, "optimal_speed_kmh": nil} {
		if v, ok := got.body[name]; !ok || v != want {
			t.Errorf("%s is %v, want %v", name, v, want)
		}
	}
}

// The description is found where people look for it, and none of its headings
// has another's id.
func TestDescriptionIsFound(t *testing.T) {
	t.Parallel()
	s := open(t, api.Config{})
	for _, path := range []string{"/docs", "/api", "/api/", "/api/v1", "/api/v1/docs"} {
		answer, err := http.Get(s.url + path)
		if err != nil {
			t.Fatal(err)
		}
		text, err := io.ReadAll(answer.Body)
		answer.Body.Close()
		if err != nil || answer.StatusCode != http.StatusOK || answer.Request.URL.Path != "/api/v1/docs" {
			t.Fatalf("%s leads to %s, %d, %v", path, answer.Request.URL.Path, answer.StatusCode, err)
		}
		seen := map[string]bool{}
		for _, id := range regexp.MustCompile(` id="([^"]*)"`).FindAllStringSubmatch(string(text), -1) {
			if seen[id[1]] {
				t.Errorf("two elements have the id %s", id[1])
			}
			seen[id[1]] = true
		}
	}
}
