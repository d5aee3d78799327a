package e2e

import (
	"bufio"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/ecovolt/telemetryd/internal/await"
	"github.com/ecovolt/telemetryd/internal/pgserver"
)

var built struct {
	once sync.Once
	dir  string
	path string
	err  error
}

func TestMain(m *testing.M) {
	code := m.Run()
	if built.dir != "" {
		_ = os.RemoveAll(built.dir)
	}
	os.Exit(code)
}

// program returns the path of the program, built from this checkout.
func program(t testing.TB) string {
	t.Helper()
	built.once.Do(func() {
		if built.dir, built.err = os.MkdirTemp("", "telemetryd-e2e-"); built.err != nil {
			return
		}
		built.path = filepath.Join(built.dir, "telemetryd")
		out, err := exec.Command("go", "build", "-o", built.path, "../../cmd/telemetryd").CombinedOutput()
		if err != nil {
			built.err = fmt.Errorf("%w\n%s", err, out)
		}
	})
	if built.err != nil {
		t.Fatalf("build the program: %v", built.err)
	}
	return built.path
}

// environment is that of a machine where nothing is set for telemetryd, but for
// where its server programs are.
func environment(more ...string) (env []string) {
	for _, variable := range os.Environ() {
		if !strings.HasPrefix(variable, "TELEMETRYD_") || strings.HasPrefix(variable, "TELEMETRYD_PG_BINDIR=") {
			env = append(env, variable)
		}
	}
	return append(env, more...)
}

// process is a daemon that runs as a process of its own.
type process struct {
	t    testing.TB
	cmd  *exec.Cmd
	url  string
	log  *await.Log
	gone chan struct{} // closed when it has ended
	err  error         // how it ended, once gone
}

// serveOwn starts one that runs a PostgreSQL of its own, if the checkout has the
// programs for that, and returns what names it in other commands.
func serveOwn(t *testing.T, dir string) (p *process, flags []string) {
	t.Helper()
	flags = []string{"--data-dir", dir, "--pg-bindir", serverPrograms(t)}
	return serve(t, flags...), flags
}

// serverPrograms is the folder of PostgreSQL's programs that the checkout has. A test
// that starts a server of its own is skipped without them.
func serverPrograms(t *testing.T) string {
	t.Helper()
	bin := os.Getenv(pgserver.BinDirVariable)
	if bin == "" {
		bin, _ = filepath.Abs("../../.cache/pg/bin")
	}
	if _, err := pgserver.Find(t.Context(), bin, 0); err != nil {
		t.Skipf("no server programs of the checkout's own (make db): %v", err)
	}
	return bin
}

// poolOf connects to the database that a daemon runs itself.
func poolOf(t *testing.T, dir string) *pgxpool.Pool {
	t.Helper()
	url, err := pgserver.Locate(dir)
	if err != nil {
		t.Fatal(err)
	}
	pool, err := pgxpool.New(t.Context(), url)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(pool.Close)
	return pool
}

// serve starts a daemon and waits until it says where it is.
func serve(t testing.TB, args ...string) *process {
	t.Helper()
	p := &process{t: t, log: new(await.Log), gone: make(chan struct{})}
	p.cmd = exec.Command(program(t), append([]string{"serve", "--listen", "127.0.0.1:0"}, args...)...)
	p.cmd.Env = environment("TELEMETRYD_DEPLOY_KEY=" + deployKey)
	p.cmd.Dir = t.TempDir()
	p.cmd.Stderr = p.log
	out, err := p.cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := p.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	where := make(chan string, 1)
	go func() {
		lines := bufio.NewScanner(out)
		for lines.Scan() {
			if _, url, ok := strings.Cut(lines.Text(), "telemetryd is at "); ok {
				where <- url
				break
			}
		}
		_, _ = io.Copy(io.Discard, out)
		p.err = p.cmd.Wait()
		close(p.gone)
	}()
	t.Cleanup(p.kill)
	select {
	case p.url = <-where:
	case <-p.gone:
		t.Fatalf("the daemon ended at once: %v\n%s", p.err, p.log)
	case <-time.After(await.Patience):
		t.Fatalf("the daemon does not serve\n%s", p.log)
	}
	return p
}

// kill ends the process as `kill -9` does, and waits until it is gone.
func (p *process) kill() {
	select {
	case <-p.gone:
		return
	default:
	}
	_ = p.cmd.Process.Kill()
	<-p.gone
}

// stop ends the process as an operator does.
func (p *process) stop() {
	p.t.Helper()
	_ = p.cmd.Process.Signal(syscall.SIGTERM)
	select {
	case <-p.gone:
		if p.err != nil {
			p.t.Errorf("the daemon ended with %v\n%s", p.err, p.log)
		}
	case <-time.After(await.Patience):
		p.t.Errorf("the daemon does not stop\n%s", p.log)
	}
}
