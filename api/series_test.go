package api_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/ecovolt/telemetryd/api"
	"github.com/ecovolt/telemetryd/auth"
)

// drive stores n records at 5 Hz of a session that began at start.
func (s site) drive(t *testing.T, id string, start time.Time, n int) {
	t.Helper()
	var records []object
	for i := range n {
		records = append(records, object{
			"session_id": id, "timestamp": start.Add(time.Duration(i) * 200 * time.Millisecond).UTC().Format("2006-01-02T15:04:05.000000+00:00"),
			"speed_ms": float64(i % 50), "power_w": 100, "driver_mode": "eco", "distance_m": float64(i) * 2, "latitude": 52 + float64(i)/1e5, "longitude": 4,
		})
	}
	if got := s.call(t, "POST", "/api/v1/telemetry", "Bearer ingest|key:1", records); got.status != 200 && got.status != 201 {
		t.Fatalf("ingest: %+v", got)
	}
}

func TestSeriesOverREST(t *testing.T) {
	t.Parallel()
	s := open(t, api.Config{})
	start := time.Date(2026, 3, 21, 12, 0, 0, 0, time.UTC)
	s.drive(t, "race", start, 3000)
	s.drive(t, "older", start.AddDate(0, 0, -1), 3000)
	internal := s.as(t, auth.Internal)
	external, admin := s.as(t, auth.External), s.as(t, auth.Admin)

	got := s.call(t, "GET", "/api/v1/sessions/race/series?metrics=speed_ms,power_w&points=100", internal, nil)
	if got.status != 200 {
		t.Fatalf("series: %+v", got)
	}
	one := got.body["sessions"].([]any)[0].(object)
	speed := one["metrics"].(object)["speed_ms"].(object)
	if n := len(one["t"].([]any)); n > 100 || n < 50 || n != len(speed["max"].([]any)) || speed["unit"] != "m/s" || one["records"] != false {
		t.Errorf("series of 600 s at 100 points: %d points, %v", n, one["level"])
	}
	total := 0.0
	for _, n := range speed["count"].([]any) {
		total += n.(float64)
	}
	if total != 3000 {
		t.Errorf("%v records are counted", total)
	}

	for _, metrics := range []string{"driver_mode", "speed_ms,driver_mode"} {
		got := s.call(t, "GET", "/api/v1/sessions/race/series?points=10&metrics="+metrics, internal, nil)
		if got.status != 200 {
			t.Fatalf("series of %s: %+v", metrics, got)
		}
		one := got.body["sessions"].([]any)[0].(object)
		modes := one["metrics"].(object)["driver_mode"].(object)["last"].([]any)
		if len(modes) != len(one["t"].([]any)) || len(modes) == 0 || modes[0] != "eco" {
			t.Errorf("series of %s: %v", metrics, modes)
		}
	}

	older := s.call(t, "GET", "/api/v1/sessions/older/series?metrics=speed_ms", internal, nil)
	again := s.call(t, "GET", "/api/v1/sessions/race/series?metrics=speed_ms,power_w&points=100", internal, nil, "If-None-Match", got.header.Get("ETag"))
	if again.status != http.StatusNotModified {
		t.Errorf("asking again: %d", again.status)
	}
	if cache := got.header.Get("Cache-Control"); !strings.HasPrefix(cache, "private") || strings.Contains(cache, "immutable") {
		t.Errorf("Cache-Control %q", cache)
	}
	pinned := s.call(t, "GET", "/api/v1/sessions/race/series?metrics=speed_ms&version="+one["version"].(string), internal, nil)
	if cache := pinned.header.Get("Cache-Control"); !strings.Contains(cache, "immutable") {
		t.Errorf("Cache-Control of a named version %q", cache)
	}

	if got := s.call(t, "PUT", "/api/v1/channels/double", admin, object{"expression": "speed_ms * 2"}); got.status != 200 {
		t.Fatalf("%+v", got)
	}
	formula := s.call(t, "GET", "/api/v1/sessions/race/series?metrics=speed_ms,double&version="+one["version"].(string), internal, nil)
	if cache := formula.header.Get("Cache-Control"); formula.status != 200 || cache != "private, no-cache" {
		t.Errorf("%d, Cache-Control %q of what has another formula tomorrow", formula.status, cache)
	}
	// A run of the same id is another one.
	if got := s.call(t, "DELETE", "/api/v1/sessions/older", admin, nil); got.status != 200 {
		t.Fatalf("%+v", got)
	}
	was := older.body["sessions"].([]any)[0].(object)["version"]
	s.drive(t, "older", start.AddDate(0, 0, -1), 3000)
	if is := s.call(t, "GET", "/api/v1/sessions/older/series?metrics=speed_ms", internal, nil).body["sessions"].([]any)[0].(object)["version"]; is == was {
		t.Errorf("version %v of two runs", is)
	}

	compared := s.call(t, "GET", "/api/v1/sessions/race/series?metrics=speed_ms&compare=older&align=elapsed&end=60", internal, nil)
	if compared.status != 200 || len(compared.body["sessions"].([]any)) != 2 {
		t.Fatalf("comparison: %+v", compared)
	}
	a, b := compared.body["sessions"].([]any)[0].(object), compared.body["sessions"].([]any)[1].(object)
	if fmt.Sprint(a["t"]) != fmt.Sprint(b["t"]) || fmt.Sprint(a["metrics"]) != fmt.Sprint(b["metrics"]) {
		t.Error("two equal runs differ by elapsed time")
	}
	s.drive(t, "100%, wet", start.AddDate(0, 0, -3), 100)
	if got := s.call(t, "GET", "/api/v1/sessions/race/series?metrics=speed_ms&compare=older,100%2525%252C%20wet&align=elapsed&end=60", internal, nil); got.status != 200 || len(got.body["sessions"].([]any)) != 3 {
		t.Errorf("a run with a comma: %+v", got)
	}

	for path, want := range map[string]int{
		"/api/v1/sessions/race/series":                                        400,
		"/api/v1/sessions/race/series?metrics=nothing":                        400,
		"/api/v1/sessions/race/series?metrics=speed_ms&points=0":              400,
		"/api/v1/sessions/race/series?metrics=speed_ms&points=1000000":        400,
		"/api/v1/sessions/race/series?metrics=speed_ms&points=many":           400,
		"/api/v1/sessions/race/series?metrics=speed_ms&from=yesterday":        400,
		"/api/v1/sessions/race/series?metrics=speed_ms&from=2000&to=1000":     400,
		"/api/v1/sessions/race/series?metrics=speed_ms&fill=zero":             400,
		"/api/v1/sessions/race/series?metrics=speed_ms&align=date":            400,
		"/api/v1/sessions/race/series?metrics=speed_ms&mode=lttb":             400,
		"/api/v1/sessions/race/series?metrics=speed_ms&compare=nobody":        404,
		"/api/v1/sessions/nobody/series?metrics=speed_ms":                     404,
		"/api/v1/sessions/race/laps":                                          200,
		"/api/v1/sessions/race/laps?latitude=1":                               400,
		"/api/v1/sessions/race/laps?radius=0":                                 400,
		"/api/v1/sessions/race/track":                                         200,
		"/api/v1/sessions/race/track?tolerance=-1":                            400,
		"/api/v1/sessions/race/summary":                                       200,
		"/api/v1/sessions/nobody/summary":                                     404,
		"/api/v1/sessions/race/series?metrics=speed_ms&mode=m4&points=20":     200,
		"/api/v1/sessions/race/series?metrics=speed_ms&align=distance":        200,
		"/api/v1/sessions/race/series?metrics=speed_ms&fill=locf&points=5000": 200,
	} {
		if got := s.call(t, "GET", path, internal, nil); got.status != want {
			t.Errorf("%s: %d, want %d: %v", path, got.status, want, got.body)
		}
	}
	// Both runs are older than the week that external users may look back.
	for _, who := range []string{"", external} {
		got := s.call(t, "GET", "/api/v1/sessions/race/series?metrics=speed_ms", who, nil)
		if got.status != 401 && got.status != 403 {
			t.Errorf("series for %q: %d", who, got.status)
		}
	}
	now := time.Now().UTC().Add(-time.Minute)
	s.drive(t, "live", now, 10)
	if got := s.call(t, "GET", "/api/v1/sessions/live/series?metrics=speed_ms&compare=race", external, nil); got.status != 403 {
		t.Errorf("comparing with a session out of reach: %d", got.status)
	}
	if got := s.call(t, "GET", "/api/v1/sessions/live/series?metrics=speed_ms", "", nil); got.status != 200 {
		t.Errorf("the live session for a guest: %d", got.status)
	}
}

func TestSummaryOverREST(t *testing.T) {
	t.Parallel()
	s := open(t, api.Config{})
	s.drive(t, "race", time.Date(2026, 3, 21, 12, 0, 0, 0, time.UTC), 301)
	got := s.call(t, "GET", "/api/v1/sessions/race/summary", s.as(t, auth.Internal), nil)
	text, _ := json.Marshal(got.body)
	if got.status != 200 || got.body["records"] != 301.0 || got.body["duration_min"] != 1.0 || got.body["max_speed_kmh"] != 49*3.6 || got.body["avg_power_w"] != 100.0 {
		t.Errorf("%d: %s", got.status, text)
	}
}
