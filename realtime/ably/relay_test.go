package ably_test

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/ecovolt/telemetryd/internal/await"
	"github.com/ecovolt/telemetryd/internal/dbtest"
	"github.com/ecovolt/telemetryd/realtime/ably"
	"github.com/ecovolt/telemetryd/realtime/hub"
	"github.com/ecovolt/telemetryd/timeseries"
	"github.com/ecovolt/telemetryd/timeseries/decode"
	"github.com/ecovolt/telemetryd/timeseries/delta"
	"github.com/ecovolt/telemetryd/timeseries/ingest"
	"github.com/ecovolt/telemetryd/timeseries/record"
)

// service is what the relay publishes to.
type service struct {
	mu       sync.Mutex
	requests []request
	fail     int // this many requests
}

type request struct {
	path, user, secret string
	size               int
	messages           []message
}

type message struct{ Name, Data, Encoding string }

func (a *service) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	body, _ := io.ReadAll(r.Body)
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.fail > 0 {
		a.fail--
		http.Error(w, `{"error":{"code":50003}}`, http.StatusServiceUnavailable)
		return
	}
	received := request{path: r.Method + " " + r.URL.EscapedPath(), size: len(body)}
	received.user, received.secret, _ = r.BasicAuth()
	if err := json.Unmarshal(body, &received.messages); err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	a.requests = append(a.requests, received)
	w.WriteHeader(http.StatusCreated)
}

// published returns the data of all messages of one name, and checks every
// request.
func (a *service) published(t *testing.T, name string) (data []map[string]any) {
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

// instance is a store and a hub that is told of its commits.
type instance struct {
	pool  *pgxpool.Pool
	store *timeseries.Store
	hub   *hub.Hub
}

func start(t *testing.T) *instance {
	t.Helper()
	in := &instance{pool: dbtest.New(t)}
	in.hub = hub.New(delta.New(in.pool), hub.Options{Tick: 20 * time.Millisecond})
	in.store = timeseries.New(in.pool, timeseries.Options{OnCommit: in.hub.WakeSessions})
	ctx, stop := context.WithCancel(context.Background())
	stopped := make(chan struct{})
	go func() { in.hub.Run(ctx); close(stopped) }()
	t.Cleanup(func() { stop(); <-stopped })
	return in
}

// base is when the records of tests begin.
var base = time.Date(2026, 3, 21, 21, 41, 10, 0, time.UTC)

// ingest stores count records of the session in one batch: message_id counts
// from first, at 50 Hz.
func (in *instance) ingest(t *testing.T, session string, first, count int) {
	t.Helper()
	var text []string
	for i := first; i < first+count; i++ {
		text = append(text, fmt.Sprintf(`{"session_id":%q,"session_name":"M 233","timestamp":%q,"message_id":%d,"speed_ms":%d.5,"voltage_v":48.25,"tyre":%d}`,
			session, record.FormatTime(base.Add(time.Duration(i)*20*time.Millisecond)), i, i%20, i))
	}
	in.insert(t, "["+strings.Join(text, ",")+"]")
}

func (in *instance) insert(t *testing.T, text string) {
	t.Helper()
	batch := decode.NewBatch()
	defer batch.Release()
	if err := decode.Records([]byte(text), batch, base.Add(time.Hour)); err != nil {
		t.Fatal(err)
	}
	if _, err := in.store.Writer.Ingest(t.Context(), batch, ingest.Options{Source: "test"}); err != nil {
		t.Fatal(err)
	}
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
	in := start(t)
	server := &service{}
	web := httptest.NewServer(server)
	t.Cleanup(web.Close)
	in.ingest(t, "a", 1, 5) // before the relay starts: Ably's history, not its work
	in.report(t, timeseries.LiveActive, "a")
	relay, err := ably.New(in.hub, in.store.Deltas, in.store.LiveState,
		ably.Options{Key: "app.key:secret", Channel: "telemetry dashboard", BaseURL: web.URL + "/"})
	if err != nil {
		t.Fatal(err)
	}
	stopped := make(chan error, 1)
	go func() { stopped <- relay.Run(t.Context()) }()
	await.Until(t, "the state is published", func() bool { return len(server.published(t, "session_state")) == 1 })

	in.ingest(t, "a", 6, 40)
	in.ingest(t, "other", 1, 3)
	await.Until(t, "40 records", func() bool { return len(server.published(t, "telemetry_update")) == 40 })
	first := server.published(t, "telemetry_update")[0]
	want := map[string]any{
		"session_id": "a", "session_name": "M 233", "timestamp": "2026-03-21T21:41:10.120000+00:00",
		"message_id": 6.0, "speed_ms": 6.5, "voltage_v": 48.25, "tyre": 6.0,
	}
	if diff := cmp.Diff(want, first); diff != "" {
		t.Errorf("record (-want +got):\n%s", diff)
	}

	// Ably is away for a while: nothing is lost, nothing out of order.
	server.mu.Lock()
	server.fail = 2
	server.mu.Unlock()
	in.ingest(t, "a", 46, 20)
	in.report(t, timeseries.LiveEnded, "a")
	await.Until(t, "20 more", func() bool { return len(server.published(t, "telemetry_update")) >= 60 })
	for i, r := range server.published(t, "telemetry_update") {
		if r["message_id"] != float64(i+6) {
			t.Errorf("record %d is number %v", i, r["message_id"])
		}
	}
	await.Until(t, "the end is published", func() bool {
		states := server.published(t, "session_state")
		return states[len(states)-1]["status"] == "ended"
	})
	state := server.published(t, "session_state")[1]
	if state["ended_at"] != "2026-03-21T22:00:00+00:00" || state["updated_at"] == nil || state["session_name"] != "M 233" {
		t.Errorf("state %v", state)
	}

	// The next run is relayed from its first record, large records a few at a time.
	in.report(t, timeseries.LiveActive, "b")
	text := "["
	for i := range 8 {
		text += fmt.Sprintf(`,{"session_id":"b","timestamp":"2026-03-21T21:41:1%d+00:00","note":%q}`, i, strings.Repeat(`"`, 10_000))
	}
	in.insert(t, "["+text[2:]+"]")
	await.Until(t, "8 records of the next run", func() bool { return len(server.published(t, "telemetry_update")) == 68 })
	select {
	case err := <-stopped:
		t.Errorf("the relay ended: %v", err)
	default:
	}
}

func TestAblyKey(t *testing.T) {
	t.Parallel()
	for _, key := range []string{"", "k1", ":k2", "k3:", "k4 k:k", "k:k5:k"} {
		if _, err := ably.New(nil, nil, nil, ably.Options{Key: key}); err == nil {
			t.Errorf("key %q was taken", key)
		} else if key != "" && strings.Contains(err.Error(), key) {
			t.Errorf("the error tells the key: %v", err)
		}
	}
}
