package functions_test

import (
	"compress/gzip"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"
)

// store ingests n records a second apart through the function that the bridge
// calls.
func (h *server) store(session string, start time.Time, n int) {
	h.t.Helper()
	var records []args
	for i := range n {
		records = append(records, args{
			"session_id": session, "session_name": "Run", "timestamp": start.Add(time.Duration(i) * time.Second).Format("2006-01-02T15:04:05+00:00"),
			"speed_ms": 5.0, "voltage_v": 24.0, "current_a": 2.0, "message_id": float64(i),
		})
	}
	h.mutate("telemetry:insertTelemetryBatch", args{"records": records}, deployKey)
}

// file fetches an archive file as a page of another origin does, and inflates
// it as the page does.
func (h *server) file(url string, into any) http.Header {
	h.t.Helper()
	r, err := http.NewRequestWithContext(h.t.Context(), http.MethodGet, url, nil)
	if err != nil {
		h.t.Fatal(err)
	}
	r.Header.Set("Origin", "https://elsewhere.example")
	r.Header.Set("Accept-Encoding", "gzip, br") // by hand: the transport must undo nothing
	response, err := http.DefaultTransport.RoundTrip(r)
	if err != nil {
		h.t.Fatal(err)
	}
	defer response.Body.Close()
	if response.StatusCode != http.StatusOK {
		body, _ := io.ReadAll(response.Body)
		h.t.Fatalf("%s: %d %s", url, response.StatusCode, body)
	}
	zip, err := gzip.NewReader(response.Body)
	if err != nil {
		h.t.Fatal(err)
	}
	if err := json.NewDecoder(zip).Decode(into); err != nil {
		h.t.Fatal(err)
	}
	return response.Header
}

func TestArchiveFunctions(t *testing.T) {
	h := newServer(t)
	token := h.account("ada", "internal")
	start := time.Now().UTC().Add(-time.Hour).Truncate(time.Second)
	h.store("run", start, 3100)
	run := args{"sessionId": "run", "token": token}

	same(t, "status", map[string]any{"complete": true, "status": "complete", "recordCount": 3100.0, "archivedRecordCount": 3100.0},
		h.query("archives:getSessionArchiveStatus", run))

	plan := h.query("archives:getSessionPreviewPlan", args{"sessionId": "run", "token": token, "limit": 200}).(map[string]any)
	url := plan["overviewUrl"].(string)
	stats := plan["stats"].(map[string]any)
	delete(plan, "overviewUrl")
	delete(plan, "stats")
	same(t, "plan", map[string]any{"complete": true, "status": "complete", "recordCount": 3100.0, "overviewPointCount": 1500.0,
		"previewParts": []any{}, "tailRecords": []any{}}, any(plan))
	for _, name := range strings.Fields("distance maxSpeed avgSpeed energyWh efficiency durationMin avgPower maxPower avgVoltage maxG optimalSpeed qualityScore elevationGain anomalyCount recordCount") {
		if _, ok := stats[name].(float64); !ok {
			t.Errorf("stats.%s is %v", name, stats[name])
		}
	}
	same(t, "figures", []any{18.0, 48.0, 3100.0}, []any{stats["maxSpeed"], stats["avgPower"], stats["recordCount"]})

	var overview struct {
		Version string
		Records []map[string]any
		Stats   map[string]any
	}
	header := h.file(url, &overview)
	same(t, "overview's stats", stats, overview.Stats)
	if overview.Version != "overview-v1" || len(overview.Records) != 1500 {
		t.Errorf("overview %s with %d records", overview.Version, len(overview.Records))
	}
	same(t, "first record", map[string]any{"session_id": "run", "session_name": "Run", "timestamp": start.Format("2006-01-02T15:04:05+00:00"),
		"speed_ms": 5.0, "voltage_v": 24.0, "current_a": 2.0, "message_id": 0.0}, overview.Records[0])
	for name, want := range map[string]string{
		"Content-Type": "application/gzip", "Content-Encoding": "", "Access-Control-Allow-Origin": "*", "Vary": "",
		"Cache-Control": "public, max-age=31536000, immutable",
	} {
		if got := strings.Join(header.Values(name), ", "); got != want {
			t.Errorf("%s: %q, want %q", name, got, want)
		}
	}

	fallback := h.query("archives:getSessionOverview", run)
	same(t, "overview", map[string]any{"available": true, "complete": true, "status": "complete", "recordCount": 3100.0,
		"pointCount": 1500.0, "url": url, "stats": stats}, fallback)

	manifest := h.query("archives:getSessionArchiveManifest", run).(map[string]any)
	parts := manifest["parts"].([]any)
	delete(manifest, "parts")
	same(t, "manifest", map[string]any{"available": true, "complete": true, "status": "complete", "recordCount": 3100.0, "archivedRecordCount": 3100.0}, any(manifest))
	place := 0
	for i, n := range []int{3000, 100} {
		part := parts[i].(map[string]any)
		var records, preview []map[string]any
		h.file(part["url"].(string), &records)
		h.file(part["previewUrl"].(string), &preview)
		if len(records) != n || len(preview) != min(n, 160) || records[0]["message_id"] != float64(place) {
			t.Errorf("part %d: %d records and %d of a preview, the first is %v", i, len(records), len(preview), records[0])
		}
		if part["compressedBytes"].(float64) <= 0 {
			t.Errorf("part %d: %v bytes", i, part["compressedBytes"])
		}
		delete(part, "url")
		delete(part, "previewUrl")
		delete(part, "compressedBytes")
		same(t, "part", map[string]any{"partNumber": float64(i), "recordCount": float64(n),
			"startTime": records[0]["timestamp"], "endTime": records[n-1]["timestamp"]}, any(part))
		place += n
	}

	// A file that was never named, and one that the browser has.
	for url, want := range map[string]int{url[:len(url)-1] + "_": http.StatusNotFound, url: http.StatusNotModified} {
		r, _ := http.NewRequestWithContext(t.Context(), http.MethodGet, url, nil)
		r.Header.Set("If-None-Match", header.Get("ETag"))
		response, err := http.DefaultTransport.RoundTrip(r)
		if err != nil {
			t.Fatal(err)
		}
		response.Body.Close()
		if response.StatusCode != want {
			t.Errorf("%s: %d, want %d", url, response.StatusCode, want)
		}
	}
}

func TestWhoMayOpenArchives(t *testing.T) {
	h := newServer(t)
	external, internal := h.account("e", "external"), h.account("i", "internal")
	now := time.Now().UTC().Truncate(time.Second)
	h.store("live", now.Add(-time.Minute), 10)
	h.store("old", now.Add(-8*24*time.Hour), 10)
	for _, test := range []struct{ session, token, want string }{
		{"live", "", "restricted"}, // no exception for the run on the road
		{"live", external, "complete"},
		{"live", internal, "complete"},
		{"old", "", "restricted"},
		{"old", external, "restricted"},
		{"old", internal, "complete"},
		{"none", "", "restricted"},
		{"none", external, "restricted"},
		{"none", internal, "missing"},
	} {
		a := args{"sessionId": test.session}
		if test.token != "" {
			a["token"] = test.token
		}
		for _, name := range []string{"Status", "Manifest"} {
			got := h.query("archives:getSessionArchive"+name, a).(map[string]any)["status"]
			want := test.want
			if name == "Status" && test.session == "live" && want == "complete" {
				want = "pending" // as long as it is on the road
			}
			same(t, fmt.Sprintf("%+v of %s", test, name), any(want), got)
		}
		if test.want == "complete" {
			continue
		}
		same(t, "plan", map[string]any{"complete": false, "status": test.want, "recordCount": 0.0, "overviewUrl": nil, "overviewPointCount": 0.0,
			"stats": nil, "previewParts": []any{}, "tailRecords": []any{}}, h.query("archives:getSessionPreviewPlan", a))
		same(t, "overview", map[string]any{"available": false, "complete": false, "status": test.want, "recordCount": 0.0,
			"pointCount": 0.0, "url": nil, "stats": nil}, h.query("archives:getSessionOverview", a))
		same(t, "manifest", map[string]any{"available": false, "complete": false, "status": test.want, "recordCount": 0.0,
			"archivedRecordCount": 0.0, "parts": []any{}}, h.query("archives:getSessionArchiveManifest", a))
	}
}

// A run that is driven is pending for the historical page, which shows whole
// parts and the newest records, and complete once it is silent; a logger's file
// is complete at once, and a run whose end was never reported stays pending
// while the live state says so.
func TestArchiveOfARunOnTheRoad(t *testing.T) {
	h := newServer(t)
	token := h.account("ada", "internal")
	now := time.Now().UTC().Truncate(time.Second)
	h.store("driven", now.Add(-3140*time.Second), 3141)
	h.store("logged", now.Add(-4*time.Hour), 100)
	h.mutate("sessions:reportLiveSessionState", args{"status": "active", "session_id": "silent", "started_at": "2026-03-21T12:00:00Z", "record_count": 1.0}, deployKey)
	h.store("silent", now.Add(-3*time.Hour), 10)
	for session, want := range map[string]string{"driven": "pending", "logged": "complete", "silent": "pending"} {
		a := args{"sessionId": session, "token": token}
		same(t, session, any(want), h.query("archives:getSessionArchiveStatus", a).(map[string]any)["status"])
		overview := h.query("archives:getSessionOverview", a).(map[string]any)
		same(t, session+"'s overview", any(want), overview["status"])
		same(t, session+"'s overview is there", any(want == "complete"), overview["available"])
		same(t, session+"'s manifest", any("complete"), h.query("archives:getSessionArchiveManifest", a).(map[string]any)["status"])
		listed := ""
		for _, one := range h.query("sessions:listSessions", args{"token": token}).(map[string]any)["sessions"].([]any) {
			if item := one.(map[string]any); item["session_id"] == session {
				listed = item["archive_status"].(string)
			}
		}
		same(t, session+" in the list", want, listed)
	}
	plan := h.query("archives:getSessionPreviewPlan", args{"sessionId": "driven", "token": token, "limit": 100}).(map[string]any)
	parts, tail := plan["previewParts"].([]any), plan["tailRecords"].([]any)
	delete(plan, "previewParts")
	delete(plan, "tailRecords")
	same(t, "plan", map[string]any{"complete": false, "status": "pending", "recordCount": 3141.0, "overviewUrl": nil, "overviewPointCount": 0.0, "stats": nil}, any(plan))
	if len(parts) != 1 || len(tail) != 100 {
		t.Fatalf("%d parts and a tail of %d, want the whole part and the 100 newest of 141", len(parts), len(tail))
	}
	same(t, "the tail's ends", []any{3041.0, 3140.0}, []any{tail[0].(map[string]any)["message_id"], tail[99].(map[string]any)["message_id"]})
	var preview []map[string]any
	h.file(parts[0].(map[string]any)["url"].(string), &preview)
	if len(preview) != 160 {
		t.Errorf("a preview of %d records", len(preview))
	}
}
