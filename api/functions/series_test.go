package functions_test

import (
	"net/http"
	"testing"
	"time"

	"github.com/ecovolt/telemetryd/internal/await"
)

func TestGetSeries(t *testing.T) {
	h := newServer(t)
	start := time.Now().UTC().Add(-2 * time.Hour).Truncate(time.Second)
	var records []any
	for i := range 600 {
		records = append(records, map[string]any{
			"session_id": "race", "timestamp": start.Add(time.Duration(i) * time.Second).Format("2006-01-02T15:04:05.000000+00:00"), "speed_ms": float64(i % 7),
		})
	}
	h.mutate("telemetry:insertTelemetryBatch", args{"records": records}, deployKey)
	token := h.account("ana", "internal")
	ask := args{"sessionId": "race", "metrics": []string{"speed_ms"}, "points": 60, "token": token}

	value, _ := h.query("telemetry:getSeries", ask).(map[string]any)
	sessions, _ := value["sessions"].([]any)
	if len(sessions) != 1 {
		t.Fatalf("getSeries = %v", value)
	}
	one := sessions[0].(map[string]any)
	speed := one["metrics"].(map[string]any)["speed_ms"].(map[string]any)
	total := 0.0
	for _, n := range speed["count"].([]any) {
		total += n.(float64)
	}
	if total != 600 || len(one["t"].([]any)) > 60 || speed["max"].([]any)[3] != 6.0 {
		t.Errorf("series = %v", one)
	}
	// The session is not live, so a guest reads nothing of it.
	if got := h.query("telemetry:getSeries", args{"sessionId": "race", "metrics": []string{"speed_ms"}}); got != nil {
		t.Errorf("for a guest: %v", got)
	}
	for _, wrong := range []args{{"metrics": []string{"nothing"}}, {"metrics": []string{}}, {"from": "yesterday"}} {
		a := args{}
		for k, v := range ask {
			a[k] = v
		}
		for k, v := range wrong {
			a[k] = v
		}
		if got := h.call("query", "telemetry:getSeries", a, ""); got.OK || got.Status == http.StatusInternalServerError {
			t.Errorf("%v: %+v", wrong, got)
		}
	}
	// The list of sessions shows the figures soon.
	await.Until(t, "the list has figures", func() bool {
		list := h.query("sessions:listSessions", args{"token": token}).(map[string]any)["sessions"].([]any)
		item := list[0].(map[string]any)
		speed, ok := item["avg_speed_kmh"].(float64)
		if ok && (speed < 12 || speed > 13 || item["distance_km"].(float64) < 1.7 || item["quality_score"] != nil) {
			t.Errorf("figures: %v", item)
		}
		return ok
	})
}
