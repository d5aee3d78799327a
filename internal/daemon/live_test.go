package daemon_test

import (
	"bufio"
	"fmt"
	"net/http"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/gorilla/websocket"

	"github.com/ecovolt/telemetryd/internal/await"
	"github.com/ecovolt/telemetryd/internal/daemon"
	"github.com/ecovolt/telemetryd/internal/daemon/daemontest"
	"github.com/ecovolt/telemetryd/internal/request"
	"github.com/ecovolt/telemetryd/realtime/live/protocol"
)

// What a bridge posts is on the screens of those who may watch, and nobody
// else's; a stopping daemon does not wait for screens.
func TestLiveStream(t *testing.T) {
	t.Parallel()
	d := daemontest.Start(t, daemon.Config{DeployKey: "team:key"})
	post := func(session string, at time.Time) {
		t.Helper()
		body := fmt.Sprintf(`{"session_id":%q,"timestamp":%q,"speed_ms":7.5}`, session, at.UTC().Format(time.RFC3339Nano))
		if status, _, text := request.Send(t, "POST", d.URL()+"/api/v1/telemetry", body, "Content-Type", "application/x-ndjson", "Authorization", "Bearer team:key"); status/100 != 2 {
			t.Fatalf("ingest: %d %s", status, text)
		}
	}
	post("now", time.Now())
	post("then", time.Now().Add(-time.Hour))

	follow, _ := http.NewRequestWithContext(t.Context(), http.MethodGet, d.URL()+"/api/v1/live?session=now", nil)
	follow.Header.Set("Accept", "text/event-stream")
	events, err := http.DefaultClient.Do(follow)
	if err != nil {
		t.Fatal(err)
	}
	defer events.Body.Close()
	lines := bufio.NewScanner(events.Body)

	conn, _, err := websocket.DefaultDialer.Dial("ws"+strings.TrimPrefix(d.URL(), "http")+"/api/v1/live?session=now&session=then", nil)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	expect := func(kind, session string) protocol.ServerMessage {
		t.Helper()
		_ = conn.SetReadDeadline(time.Now().Add(await.Patience))
		for {
			var m protocol.ServerMessage
			if err := conn.ReadJSON(&m); err != nil {
				t.Fatalf("waiting for %s of %s: %v", kind, session, err)
			}
			if m.Type == kind && m.Session == session {
				return m
			}
			if m.Session == "then" && m.Type != "error" {
				t.Errorf("a guest got %+v", m)
			}
		}
	}
	expect("snapshot", "now")
	posted := time.Now()
	post("now", posted)
	if m := expect("records", "now"); len(m.Records) != 1 {
		t.Errorf("records: %+v", m)
	}
	if err := conn.WriteJSON(protocol.ClientMessage{Type: "subscribe", Session: "then"}); err != nil {
		t.Fatal(err)
	}
	if m := expect("error", "then"); m.Code != "UNAUTHENTICATED" {
		t.Errorf("a guest and an old session: %+v", m)
	}
	for seen := ""; !strings.Contains(seen, "event: records"); seen += lines.Text() + "\n" {
		if !lines.Scan() {
			t.Fatalf("events ended after:\n%s", seen)
		}
	}
	lag := regexp.MustCompile(`telemetryd_hub_lag_seconds_sum (\S+)\ntelemetryd_hub_lag_seconds_count 1\n`)
	await.Until(t, "the metrics show one lag", func() bool {
		_, _, metrics := request.Send(t, "GET", d.URL()+"/metrics", "")
		m := lag.FindStringSubmatch(metrics)
		if m == nil {
			return false
		}
		if sum, err := strconv.ParseFloat(m[1], 64); err != nil || sum <= 0 || sum > time.Since(posted).Seconds() {
			t.Errorf("a record waited %s s, error %v", m[1], err)
		}
		return true
	})

	if err := d.Stop(t.Context()); err != nil {
		t.Errorf("stop: %v", err)
	}
	for {
		_, _, err := conn.ReadMessage()
		if err == nil {
			continue
		}
		if !websocket.IsCloseError(err, websocket.CloseGoingAway) {
			t.Errorf("the socket ended with %v, want going away", err)
		}
		break
	}
}

// A page of the server's own may connect, whatever other origins are allowed.
func TestLiveOrigins(t *testing.T) {
	t.Parallel()
	d := daemontest.Start(t, daemon.Config{AllowOrigins: []string{"https://dash-*.example.org"}})
	for origin, may := range map[string]bool{"": true, d.URL(): true, "https://dash-1.example.org": true, "https://evil.example": false} {
		header := http.Header{}
		if origin != "" {
			header.Set("Origin", origin)
		}
		conn, _, err := websocket.DefaultDialer.Dial("ws"+strings.TrimPrefix(d.URL(), "http")+"/api/v1/live", header)
		if err == nil {
			conn.Close()
		}
		if (err == nil) != may {
			t.Errorf("origin %q: %v, want allowed %v", origin, err, may)
		}
	}
}
