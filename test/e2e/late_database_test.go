package e2e

import (
	"io"
	"net"
	"net/http"
	"net/url"
	"os/exec"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"github.com/ecovolt/telemetryd/internal/await"
	"github.com/ecovolt/telemetryd/internal/dbtest"
)

// TestDatabaseComesLater starts a daemon before its database: it says that it is
// not ready, tries again, says so once, and then serves. One that is stopped
// meanwhile ends well.
func TestDatabaseComesLater(t *testing.T) {
	t.Parallel()
	target := dbtest.URL(t)
	config, err := pgx.ParseConfig(target)
	if err != nil {
		t.Fatal(err)
	}
	network, host := pgconn.NetworkAddress(config.Host, config.Port)
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer listener.Close()
	var tried atomic.Int32
	var there atomic.Bool
	go func() {
		for {
			client, err := listener.Accept()
			if err != nil {
				return
			}
			tried.Add(1)
			if !there.Load() {
				client.Close()
				continue
			}
			server, err := net.Dial(network, host)
			if err != nil {
				client.Close()
				continue
			}
			go func() { _, _ = io.Copy(server, client); server.Close() }()
			go func() { _, _ = io.Copy(client, server); client.Close() }()
		}
	}()
	address, err := url.Parse(target)
	if err != nil {
		t.Fatal(err)
	}
	query := address.Query()
	query.Del("host")
	query.Del("port")
	address.Host, address.RawQuery = listener.Addr().String(), query.Encode()

	own, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	base := "http://" + own.Addr().String()
	own.Close()
	p := &process{t: t, log: new(await.Log), gone: make(chan struct{})}
	p.cmd = exec.Command(program(t), "serve", "--listen", strings.TrimPrefix(base, "http://"), "--database-url", address.String())
	p.cmd.Env, p.cmd.Dir, p.cmd.Stderr = environment("TELEMETRYD_LISTN=oops"), t.TempDir(), p.log
	if err := p.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	go func() {
		p.err = p.cmd.Wait()
		close(p.gone)
	}()
	t.Cleanup(p.kill)
	status := func(path string) (int, string) {
		response, err := http.Get(base + path)
		if err != nil {
			return 0, ""
		}
		defer response.Body.Close()
		return response.StatusCode, response.Header.Get("Retry-After")
	}
	await.Until(t, "it tries several times", func() bool { return tried.Load() >= 3 }, p.log)
	for path, want := range map[string]int{"/livez": 200, "/readyz": 503, "/api/v1/sessions": 503} {
		if got, again := status(path); got != want || (again != "") != (want == 503) {
			t.Errorf("without a database %s answers %d, Retry-After %q", path, got, again)
		}
	}
	there.Store(true)
	await.Until(t, "it is ready", func() bool { got, _ := status("/readyz"); return got == 200 }, p.log)
	p.stop()
	text := p.log.String()
	if n := strings.Count(text, "waiting for the database"); n != 1 {
		t.Errorf("it says %d times that it waits:\n%s", n, text)
	}
	if !strings.Contains(text, "variable=TELEMETRYD_LISTN perhaps=TELEMETRYD_LISTEN") {
		t.Errorf("it does not name the misspelt variable:\n%s", text)
	}
}
