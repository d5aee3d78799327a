package daemon_test

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/ecovolt/telemetryd/internal/await"
	"github.com/ecovolt/telemetryd/internal/daemon"
	"github.com/ecovolt/telemetryd/internal/daemon/daemontest"
	"github.com/ecovolt/telemetryd/internal/dbtest"
	"github.com/ecovolt/telemetryd/internal/request"
)

// With a key for it, what the bridge reports goes to the dashboards' channel.
func TestRelaysWhenItHasAKey(t *testing.T) {
	t.Parallel()
	dbtest.NeedsBackends(t, "needs several connections")
	published := make(chan string, 100)
	ably := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		published <- r.URL.Path
		w.WriteHeader(http.StatusCreated)
	}))
	defer ably.Close()
	config := daemon.Config{
		Listen: "127.0.0.1:0", DeployKey: "team:key", DatabaseURL: dbtest.URL(t), Tick: 20 * time.Millisecond,
		AblyRelayKey: "no key", AblyURL: ably.URL, AblyChannel: "dash",
	}
	if _, err := daemon.Start(t.Context(), config); err == nil || strings.Contains(err.Error(), "no key") {
		t.Errorf("a key that is none: %v", err)
	}
	config.AblyRelayKey = "app.key:secret"
	d := daemontest.Start(t, config)
	body := `{"path":"sessions:reportLiveSessionState","args":{"status":"active","session_id":"a","started_at":"2026-03-21T21:41:10+00:00","record_count":0},"format":"json"}`
	if status, _, text := request.Send(t, "POST", d.URL()+"/api/mutation", body, "Content-Type", "application/json", "Authorization", "Convex team:key"); status != http.StatusOK {
		t.Fatalf("report: %d %s", status, text)
	}
	select {
	case path := <-published:
		if path != "/channels/dash/messages" {
			t.Errorf("published to %s", path)
		}
	case <-time.After(await.Patience):
		t.Error("nothing was published")
	}
}
