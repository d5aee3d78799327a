package api_test

import (
	"fmt"
	"net/http"
	"testing"
	"time"

	"github.com/ecovolt/telemetryd/api"
	"github.com/ecovolt/telemetryd/auth"
)

// Records as odd as real cars send them are a line over REST, at every zoom:
// whole-second timestamps, of which five share each, and a log in which each
// sensor has a rate of its own.
func TestOddRunsAreDrawn(t *testing.T) {
	t.Parallel()
	s := open(t, api.Config{})
	start := time.Date(2026, 6, 3, 10, 0, 0, 0, time.UTC)
	var seconds, sparse []object
	for i := range 600 {
		stamp := start.Add(time.Duration(i/5) * time.Second).Format("2006-01-02T15:04:05+00:00")
		seconds = append(seconds, object{"session_id": "seconds", "timestamp": stamp, "speed_ms": float64(i)})
		r := object{"session_id": "sparse", "timestamp": start.Add(time.Duration(i) * 100 * time.Millisecond).Format("2006-01-02T15:04:05.000000+00:00"), "voltage_v": 48 + float64(i)/100}
		if i%5 == 0 {
			r["speed_ms"] = float64(i)
		}
		if i%10 == 0 {
			r["motor_temp_c"] = float64(i)
		}
		sparse = append(sparse, r)
	}
	for _, records := range [][]object{seconds, sparse} {
		if got := s.call(t, http.MethodPost, "/api/v1/telemetry", "Bearer ingest|key:1", records); got.status != 200 && got.status != 201 {
			t.Fatalf("ingest: %+v", got)
		}
	}
	internal := s.as(t, auth.Internal)
	for _, c := range []struct {
		session, metric string
		samples         float64
	}{{"seconds", "speed_ms", 600}, {"sparse", "voltage_v", 600}, {"sparse", "speed_ms", 120}, {"sparse", "motor_temp_c", 60}} {
		for _, points := range []int{1, 30, 119, 120, 500, 1000, 5000} {
			got := s.call(t, http.MethodGet, fmt.Sprintf("/api/v1/sessions/%s/series?metrics=%s&points=%d", c.session, c.metric, points), internal, nil)
			if got.status != 200 {
				t.Fatalf("series: %+v", got)
			}
			one := got.body["sessions"].([]any)[0].(object)
			metric := one["metrics"].(object)[c.metric].(object)
			samples := 0.0
			for i, n := range metric["count"].([]any) {
				samples += n.(float64)
				if metric["max"].([]any)[i] == nil {
					t.Errorf("%s of %s at %d points: a hole at %v", c.metric, c.session, points, one["t"].([]any)[i])
				}
			}
			if samples != c.samples || len(metric["gaps"].([]any)) != 0 {
				t.Errorf("%s of %s at %d points: %v samples, gaps %v", c.metric, c.session, points, samples, metric["gaps"])
			}
		}
	}
	for session, want := range map[string]int{"seconds": 1, "sparse": 3} {
		got := s.call(t, http.MethodGet, "/api/v1/sessions/"+session+"/summary", internal, nil)
		if n := len(got.body["channels"].([]any)); n != want || len(got.body["gaps"].([]any)) != 0 || got.body["records"] != 600.0 {
			t.Errorf("%s: %d channels, gaps %v, %v records", session, n, got.body["gaps"], got.body["records"])
		}
	}
}
