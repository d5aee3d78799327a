package sync_test

import (
	"context"
	"crypto/sha256"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"os/exec"
	"sync"
	"testing"
	"time"

	"github.com/ecovolt/telemetryd/auth"
	"github.com/ecovolt/telemetryd/internal/daemon"
	"github.com/ecovolt/telemetryd/internal/dbtest"
)

// TestClientsOnDaemon runs what the team's pages and the bridge do, with the
// published npm clients, against the whole daemon.
func TestClientsOnDaemon(t *testing.T) {
	t.Parallel()
	for _, file := range []string{"telemetry.test.mjs", "accounts.test.mjs", "dashboards.test.mjs"} {
		for _, version := range []string{"1.17.0", "1.17.4", "newest"} {
			t.Run(file+" "+version, func(t *testing.T) {
				t.Parallel()
				runClient(t, file, version)
			})
		}
	}
}

func runClient(t *testing.T, file, version string) {
	d := startDaemon(t)
	control := httptest.NewServer(d)
	defer control.Close()
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Minute)
	defer cancel()
	node := exec.CommandContext(ctx, "node", "--test-reporter=spec", file)
	node.Dir = "../../../test/node"
	node.Env = append(os.Environ(), "CONVEX_VERSION="+version, "CONVEX_URL="+d.url, "CONVEX_CONTROL="+control.URL, "CONVEX_KEY="+d.config.DeployKey,
		"ADMIN_EMAIL="+d.config.AdminEmail, "ADMIN_PASSWORD="+d.config.AdminPassword)
	if dbtest.SingleBackend(t) {
		node.Env = append(node.Env, "CONVEX_SINGLE_BACKEND=1")
	}
	output, err := node.CombinedOutput()
	t.Logf("%s", output)
	if err != nil {
		t.Errorf("node %s (are the clients installed? npm ci --prefix test/node): %v", file, err)
	}
}

// restartable is a daemon that the tests can restart in place.
type restartable struct {
	t      *testing.T
	config daemon.Config
	url    string

	mu     sync.Mutex
	daemon *daemon.Daemon
}

func startDaemon(t *testing.T) *restartable {
	t.Helper()
	r := &restartable{t: t, config: daemon.Config{
		Listen: "127.0.0.1:0", DeployKey: "prod:car|secret", DatabaseURL: dbtest.URL(t), Tick: 100 * time.Millisecond,
		MaxUpload: 1 << 20, MaxIngests: 4, AdminEmail: "admin@example.org", AdminPassword: "the first administrator",
		HashMemory: 64, HashIterations: 1,
	}}
	var err error
	if r.daemon, err = daemon.Start(t.Context(), r.config); err != nil {
		t.Fatal(err)
	}
	r.url = r.daemon.URL()
	parsed, err := url.Parse(r.url)
	if err != nil {
		t.Fatal(err)
	}
	r.config.Listen = net.JoinHostPort(parsed.Hostname(), parsed.Port()) // for the next ones
	t.Cleanup(func() {
		if err := r.stop(); err != nil {
			t.Errorf("stop: %v", err)
		}
	})
	return r
}

func (r *restartable) stop() error {
	ctx, cancel := context.WithTimeout(context.Background(), 3*time.Minute)
	defer cancel()
	return r.daemon.Stop(ctx)
}

// ServeHTTP turns the knobs.
func (r *restartable) ServeHTTP(w http.ResponseWriter, request *http.Request) {
	r.mu.Lock()
	defer r.mu.Unlock()
	var err error
	switch request.URL.Path {
	case "/control/restart":
		if err = r.stop(); err == nil {
			r.daemon, err = daemon.Start(context.Background(), r.config)
		}
	case "/control/disconnect":
		_, err = dbtest.New(r.t).Exec(request.Context(),
			`SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid()`)
	case "/control/role":
		err = r.daemon.Auth.SetRole(request.Context(), auth.Operator("test"), request.FormValue("user"), auth.Role(request.FormValue("role")))
	case "/control/expire":
		sum := sha256.Sum256([]byte(request.FormValue("token")))
		_, err = dbtest.New(r.t).Exec(request.Context(),
			`UPDATE auth_sessions SET expires_at = clock_timestamp() + make_interval(secs => $2::int / 1000.0) WHERE token_hash = $1`,
			sum[:], request.FormValue("milliseconds"))
	}
	if err != nil {
		http.Error(w, err.Error(), http.StatusInternalServerError)
	}
}
