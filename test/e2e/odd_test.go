package e2e

import (
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/ecovolt/telemetryd/internal/dbtest"
)

// Each refused batch leaves one line in the log and counts, whatever was wrong
// with it and wherever that was noticed.
func TestRefusedBatchesLeaveATrace(t *testing.T) {
	t.Parallel()
	daemon := serve(t, "--database-url", dbtest.URL(t))
	p := &probe{t, daemon.url}
	p.store("a", 0, 3)
	count := func(source string) float64 {
		return p.metrics()[fmt.Sprintf(`telemetryd_ingest_records_total{outcome="rejected",source=%q}`, source)]
	}
	for i, records := range []string{
		`[{"session_id":"a","speed_ms":1}]`, `[{"session_id":"a","timestamp":null}]`, `[{"session_id":"a","timestamp":7}]`, `[7]`,
		`[` + strings.Repeat(`{"session_id":"a","timestamp":"2026-03-21T21:41:10Z"},`, 20_000) + `{"session_id":"a","timestamp":"2026-03-21T21:41:10Z"}]`,
	} {
		before, lines := count("function"), strings.Count(daemon.log.String(), "level=WARN")
		p.send(call("mutation", "telemetry:insertTelemetryBatch", []byte(`{"records":`+records+`}`), nil))
		if got := count("function"); got <= before {
			t.Errorf("batch %d: %v rejected records, %v before", i, got, before)
		}
		if got := strings.Count(daemon.log.String(), "level=WARN"); got != lines+1 {
			t.Errorf("batch %d: %d lines, %d before\n%s", i, got, lines, daemon.log)
		}
	}
}

// What is set aside is counted where the bridge and the importer count, and
// beside what is stored everywhere else.
func TestCountsOfRecordsSetAside(t *testing.T) {
	t.Parallel()
	h := newServer(t, nil)
	value := func(kind, name, args string) map[string]any {
		t.Helper()
		v, err := h.call(kind, name, []byte(args), nil).value()
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		return v.(map[string]any)
	}
	now := time.Now().UTC()
	records := []rec{{"session_id": "odd", "timestamp": "1980-01-06T00:00:03+00:00", "speed_ms": 0, "message_id": 1}}
	for i := range 3 {
		records = append(records, rec{"session_id": "odd", "timestamp": now.Add(time.Duration(i) * time.Second).Format(time.RFC3339Nano), "speed_ms": 5, "message_id": 2 + i})
	}
	for range 2 {
		if got := value("mutation", "telemetry:insertTelemetryBatch", string(marshal(rec{"records": records})))["inserted"]; got != 4.0 {
			t.Errorf("inserted %v, want 4", got)
		}
	}
	value("mutation", "telemetry:insertTelemetryBatch", `{"records":[{"session_id":"only","timestamp":"soon"}]}`)
	for _, tc := range []struct {
		function, args, member string
		want                   float64
	}{
		{"telemetry:getLatestSessionTimestamp", `{"sessionId":"odd"}`, "recordCount", 4},
		{"telemetry:getSessionPreviewTail", `{"sessionId":"odd"}`, "totalRecords", 4},
		{"archives:getSessionArchiveStatus", `{"sessionId":"odd"}`, "recordCount", 3},
	} {
		if got := value("query", tc.function, tc.args)[tc.member]; got != tc.want {
			t.Errorf("%s says %v, want %v", tc.function, got, tc.want)
		}
	}
	admin := map[string]string{"Authorization": "Bearer " + deployKey}
	for path, want := range map[string]string{
		"/api/v1/sessions/odd":         `"record_count":3,"set_aside":1`,
		"/api/v1/sessions/odd/summary": `"set_aside":1`,
		"/api/v1/sessions/only":        `"start_time":null,"end_time":null`,
		"/api/v1/sessions":             `"session_id":"only"`,
	} {
		if a := h.send(request{method: http.MethodGet, path: path, header: admin}); !strings.Contains(string(a.body), want) {
			t.Errorf("%s: %v has no %s", path, a, want)
		}
	}
	list := value("query", "sessions:listSessions", `{}`)
	if text := string(marshal(list)); strings.Contains(text, `"only"`) || !strings.Contains(text, `"record_count":4`) {
		t.Errorf("listSessions: %s", text)
	}
	// An administrator puts it back, once; a bridge's key may not.
	repair := request{path: "/api/v1/sessions/odd/repair", body: fmt.Appendf(nil, `{"at":%q}`, now.Add(-time.Second).Format(time.RFC3339)), header: admin}
	if a := h.send(repair); a.status != http.StatusOK || !strings.Contains(string(a.body), `"put_back":1,"dropped":0,"shifted":0,"set_aside":0`) {
		t.Errorf("repair: %v", a)
	}
	if a := h.send(request{method: http.MethodGet, path: "/api/v1/audit?event=session_repaired", header: admin}); !strings.Contains(string(a.body), `"session":"odd"`) {
		t.Errorf("audit: %v", a)
	}
	if got := value("mutation", "telemetry:insertTelemetryBatch", string(marshal(rec{"records": records})))["inserted"]; got != 4.0 {
		t.Errorf("sent again: %v", got)
	}
	if a := h.send(request{method: http.MethodGet, path: "/api/v1/sessions/odd", header: admin}); !strings.Contains(string(a.body), `"record_count":4,"set_aside":0`) {
		t.Errorf("after the repair: %v", a)
	}
	if a := h.send(request{method: http.MethodDelete, path: "/api/v1/sessions/only", header: admin}); !strings.Contains(string(a.body), `"deleted":1`) {
		t.Errorf("delete: %v", a)
	}
}
