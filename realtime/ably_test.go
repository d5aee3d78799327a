package realtime_test

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/ecovolt/telemetryd/realtime"
	"github.com/ecovolt/telemetryd/timeseries"
	"github.com/ecovolt/telemetryd/timeseries/decode"
)

// ably is what the relay publishes to.
type ably struct {
	mu       sync.Mutex
	requests []ablyRequest
	fail     int // this many requests
}

type ablyRequest struct {
	path, user, secret string
	size               int
	messages           []ablyMessage
}

type ablyMessage struct{ Name, Data, Encoding string }

func (a *ably) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	body, _ := io.ReadAll(r.Body)
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.fail > 0 {
		a.fail--
		http.Error(w, `{"error":{"code":50003}}`, http.StatusServiceUnavailable)
		return
	}
	request := ablyRequest{path: r.Method + " " + r.URL.EscapedPath(), size: len(body)}
	request.user, request.secret, _ = r.BasicAuth()
	if err := json.Unmarshal(body, &request.messages); err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	a.requests = append(a.requests, request)
	w.WriteHeader(http.StatusCreated)
}

// published gives the data of all messages of one name, and checks every
// request.
func (a *ably) published(t *testing.T, name string) (data []map[string]any) {
	t.Helper()
	a.mu.Lock()
	defer a.mu.Unlock()
	for _, r := range a.requests {
		if r.path != "POST /channels/telemetry%20dashboard/messages" || r.user != "app.key" || r.secret != "secret" {
			t.Fatalf("request %s by %q", r.path, r.user)
		}
		if len(r.messages) > 12 || r.size > 56<<10 {
			t.Errorf("a request of %d messages, %d bytes", len(r.messages), r.size)
		}
		for _, m := range r.messages {
			var members map[string]any
			if err := json.Unmarshal([]byte(m.Data), &members); err != nil || m.Encoding != "json" {
				t.Fatalf("data %q, encoding %q: %v", m.Data, m.Encoding, err)
			}
			if m.Name == name {
				data = append(data, members)
			}
		}
	}
	return data
}

func (in *instance) report(t *testing.T, status, session string) {
	t.Helper()
	name, end := "M 233", "2026-03-21T22:00:00+00:00"
	r := timeseries.LiveReport{Status: status, SessionID: session, SessionName: &name, StartedAt: "2026-03-21T21:41:10+00:00"}
	if status == timeseries.LiveEnded {
		r.EndedAt = &end
	}
	if _, err := in.store.ReportLive(t.Context(), r); err != nil {
		t.Fatal(err)
	}
}

func TestAblyRelay(t *testing.T) {
	t.Parallel()
	in := one(t, setup{})
	server := &ably{}
	web := httptest.NewServer(server)
	t.Cleanup(web.Close)
	in.ingest(t, "a", 1, 5) // before the relay starts: Ably's history, not its work
	in.report(t, timeseries.LiveActive, "a")
	relay, err := realtime.NewAblyRelay(in.hub, timeseries.NewDeltas(in.pool), in.store.LiveState,
		realtime.AblyOptions{Key: "app.key:secret", Channel: "telemetry dashboard", BaseURL: web.URL + "/"})
	if err != nil {
		t.Fatal(err)
	}
	stopped := make(chan error, 1)
	go func() { stopped <- relay.Run(t.Context()) }()
	eventually(t, "the state is published", func() bool { return len(server.published(t, "session_state")) == 1 })

	in.ingest(t, "a", 6, 40)
	in.ingest(t, "other", 1, 3)
	eventually(t, "40 records", func() bool { return len(server.published(t, "telemetry_update")) == 40 })
	record := server.published(t, "telemetry_update")[0]
	want := map[string]any{
		"session_id": "a", "session_name": "M 233", "timestamp": "2026-03-21T21:41:10.120000+00:00",
		"message_id": 6.0, "speed_ms": 6.5, "voltage_v": 48.25, "tyre": 6.0,
	}
	if diff := cmp.Diff(want, record); diff != "" {
		t.Errorf("record (-want +got):\n%s", diff)
	}

	// Ably is away for a while: nothing is lost, nothing out of order.
	server.mu.Lock()
	server.fail = 2
	server.mu.Unlock()
	in.ingest(t, "a", 46, 20)
	in.report(t, timeseries.LiveEnded, "a")
	eventually(t, "20 more", func() bool { return len(server.published(t, "telemetry_update")) >= 60 })
	for i, r := range server.published(t, "telemetry_update") {
		if r["message_id"] != float64(i+6) {
			t.Errorf("record %d is number %v", i, r["message_id"])
		}
	}
	eventually(t, "the end is published", func() bool {
		states := server.published(t, "session_state")
		return states[len(states)-1]["status"] == "ended"
	})
	state := server.published(t, "session_state")[1]
	if state["ended_at"] != "2026-03-21T22:00:00+00:00" || state["updated_at"] == nil || state["session_name"] != "M 233" {
		t.Errorf("state %v", state)
	}

	// The next run is relayed from its first record, large records a few at a time.
	in.report(t, timeseries.LiveActive, "b")
	batch := decode.NewBatch()
	defer batch.Release()
	text := "["
	for i := range 8 {
		text += fmt.Sprintf(`,{"session_id":"b","timestamp":"2026-03-21T21:41:1%d+00:00","note":%q}`, i, strings.Repeat(`"`, 10_000))
	}
	if err := decode.Records([]byte("["+text[2:]+"]"), batch, base); err != nil {
		t.Fatal(err)
	}
	if _, err := in.store.Ingest(t.Context(), batch, timeseries.IngestOptions{Source: "test"}); err != nil {
		t.Fatal(err)
	}
	eventually(t, "8 records of the next run", func() bool { return len(server.published(t, "telemetry_update")) == 68 })
	select {
	case err := <-stopped:
		t.Errorf("the relay ended: %v", err)
	default:
	}
}

func TestAblyKey(t *testing.T) {
	t.Parallel()
	for _, key := range []string{"", "k1", ":k2", "k3:", "k4 k:k", "k:k5:k"} {
		if _, err := realtime.NewAblyRelay(nil, nil, nil, realtime.AblyOptions{Key: key}); err == nil {
			t.Errorf("key %q was taken", key)
		} else if key != "" && strings.Contains(err.Error(), key) {
			t.Errorf("the error tells the key: %v", err)
		}
	}
}
