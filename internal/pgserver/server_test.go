package pgserver_test

import (
	"bufio"
	"context"
	"errors"
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/ecovolt/telemetryd/internal/await"
	"github.com/ecovolt/telemetryd/internal/pgserver"
)

// ownerVariable makes the test binary own a server on the folder it names,
// until it is killed.
const ownerVariable = "PGSERVER_TEST_OWNER"

func TestMain(m *testing.M) {
	if dir := os.Getenv(ownerVariable); dir != "" {
		own(dir)
		return
	}
	os.Exit(m.Run())
}

func own(dir string) {
	if _, err := pgserver.Start(context.Background(), pgserver.Options{DataDir: dir, BinDir: binDir()}); err != nil {
		os.Stdout.WriteString(err.Error() + "\n")
		os.Exit(1)
	}
	os.Stdout.WriteString("ready\n")
	select {}
}

// binDir is what `make db` made for this checkout, or empty.
func binDir() string {
	dir, err := filepath.Abs("../../.cache/pg/bin")
	if err != nil {
		return ""
	}
	if _, err := os.Stat(dir); err != nil || os.Getenv(pgserver.BinDirVariable) != "" {
		return ""
	}
	return dir
}

func start(t *testing.T, dir string) *pgserver.Server {
	t.Helper()
	options := pgserver.Options{DataDir: dir, BinDir: binDir(), Logger: slog.New(slog.NewTextHandler(t.Output(), nil))}
	options.LookAtLogEvery(100 * time.Millisecond)
	server, err := pgserver.Start(t.Context(), options)
	if err != nil {
		t.Fatalf("%v (run `make db` first)", err)
	}
	t.Cleanup(func() { stop(t, server) })
	return server
}

func stop(t *testing.T, server *pgserver.Server) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	if err := server.Stop(ctx); err != nil {
		t.Error(err)
	}
}

func query[T any](t *testing.T, url, sql string, args ...any) T {
	t.Helper()
	conn, err := pgx.Connect(t.Context(), url)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close(t.Context())
	var v T
	if err := conn.QueryRow(t.Context(), sql, args...).Scan(&v); err != nil {
		t.Fatal(err)
	}
	return v
}

func execute(t *testing.T, url, sql string) {
	t.Helper()
	conn, err := pgx.Connect(t.Context(), url)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close(t.Context())
	if _, err := conn.Exec(t.Context(), sql); err != nil {
		t.Fatal(err)
	}
}

// TestLifeOfACluster goes once through what happens to a cluster, because
// making one is the slow part.
func TestLifeOfACluster(t *testing.T) {
	t.Parallel()
	dir := filepath.Join(t.TempDir(), "database")
	server := start(t, dir)

	t.Log("a new cluster serves hypertables by socket and by loopback port")
	execute(t, server.URL(), "CREATE TABLE t (time timestamptz NOT NULL, v int)")
	execute(t, server.URL(), "SELECT create_hypertable('t', 'time')")
	execute(t, server.URL(), "INSERT INTO t VALUES (now(), 1)")
	tcp, err := server.TCPURL()
	if err != nil {
		t.Fatal(err)
	}
	if got := query[int](t, tcp, "SELECT count(*)::int FROM t"); got != 1 {
		t.Fatalf("%d rows through the loopback port, want 1", got)
	}

	t.Log("the loopback port asks for the password")
	config, err := pgx.ParseConfig(tcp)
	if err != nil {
		t.Fatal(err)
	}
	config.Password = "wrong"
	if conn, err := pgx.ConnectConfig(t.Context(), config); err == nil {
		conn.Close(t.Context())
		t.Fatal("the loopback port took a wrong password")
	}

	t.Log("others cannot reach the files, nor the socket")
	for _, name := range []string{".", "cluster", "run", "password"} {
		info, err := os.Stat(filepath.Join(dir, name))
		if errors.Is(err, os.ErrNotExist) && name == "run" {
			continue // the path was too long for a socket
		}
		if err != nil {
			t.Fatal(err)
		}
		if info.Mode().Perm()&0o077 != 0 {
			t.Errorf("%s has mode %v", name, info.Mode())
		}
	}

	t.Log("a second owner is refused, with the first one's pid")
	_, err = pgserver.Start(t.Context(), pgserver.Options{DataDir: dir, BinDir: binDir()})
	var locked *pgserver.LockedError
	if !errors.As(err, &locked) || locked.PID != os.Getpid() {
		t.Fatalf("second owner: %v", err)
	}

	t.Log("a killed server comes back by itself, with what was committed")
	before := server.PID()
	if err := syscall.Kill(before, syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	await.Until(t, "the server comes back with what was committed", func() bool {
		conn, err := pgx.Connect(t.Context(), server.URL())
		if err != nil {
			return false
		}
		defer conn.Close(t.Context())
		var rows int
		err = conn.QueryRow(t.Context(), "SELECT count(*) FROM t").Scan(&rows)
		return err == nil && rows == 1 && server.PID() != before
	})

	t.Log("a log that grew large is begun anew, and the server goes on writing to it")
	logFile := filepath.Join(dir, "postgres.log")
	if err := os.Truncate(logFile, 17<<20); err != nil {
		t.Fatal(err)
	}
	await.Until(t, "the log is small", func() bool {
		info, err := os.Stat(logFile)
		return err == nil && info.Size() < 1<<20
	})
	if info, err := os.Stat(logFile + ".old"); err != nil || info.Size() < 17<<20 {
		t.Errorf("what was in it: %v, %v", info, err)
	}
	execute(t, server.URL(), "DO $$ BEGIN RAISE LOG 'written after that'; END $$")
	if text, err := os.ReadFile(logFile); err != nil || !strings.Contains(string(text), "written after that") {
		t.Errorf("the new log: %q, %v", text, err)
	}

	t.Log("after a stop nothing runs, and the next start finds everything on the same port")
	port := server.Port()
	last := server.PID()
	stop(t, server)
	if err := syscall.Kill(last, 0); !errors.Is(err, syscall.ESRCH) {
		t.Errorf("the server with pid %d is still there after Stop: %v", last, err)
	}
	if out, err := exec.CommandContext(t.Context(), server.Programs().Path("pg_checksums"), "--disable", "--pgdata", filepath.Join(dir, "cluster")).CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	server = start(t, dir)
	if got := query[int](t, server.URL(), "SELECT count(*)::int FROM t"); got != 1 {
		t.Errorf("%d rows after a restart, want 1", got)
	}
	if got := query[string](t, server.URL(), "SHOW data_checksums"); got != "on" {
		t.Errorf("a cluster that was made without data checksums has them %s after a start", got)
	}
	if server.Port() != port {
		t.Errorf("port %d after a restart, want %d", server.Port(), port)
	}
}

func TestKilledOwner(t *testing.T) {
	t.Parallel()
	dir := filepath.Join(t.TempDir(), "database")
	owner := exec.CommandContext(t.Context(), os.Args[0])
	owner.Env = append(os.Environ(), ownerVariable+"="+dir)
	out, err := owner.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := owner.Start(); err != nil {
		t.Fatal(err)
	}
	line, err := bufio.NewReader(out).ReadString('\n')
	if err != nil || line != "ready\n" {
		t.Fatalf("owner: %s %v (run `make db` first)", line, err)
	}
	if err := owner.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	_ = owner.Wait() // killed

	t.Log("the next owner takes the running server over")
	server := start(t, dir)
	if !server.Adopted() {
		t.Error("the server was started anew, although it was running")
	}
	execute(t, server.URL(), "CREATE TABLE t AS SELECT 1 AS v")
	pid := server.PID()

	t.Log("a detached server with other settings is restarted")
	if err := server.Detach(); err != nil {
		t.Fatal(err)
	}
	other, err := pgserver.Start(t.Context(), pgserver.Options{
		DataDir: dir, BinDir: binDir(), Settings: map[string]string{"work_mem": "17MB"},
	})
	if err != nil {
		t.Fatal(err)
	}
	if other.Adopted() || other.PID() == pid {
		t.Error("a server with other settings was taken over as it was")
	}
	if got := query[string](t, other.URL(), "SHOW work_mem"); got != "17MB" {
		t.Errorf("work_mem %s, want 17MB", got)
	}

	t.Log("a server that was killed with its owner, and whose pid now is another program's, starts")
	if err := other.Detach(); err != nil {
		t.Fatal(err)
	}
	if err := syscall.Kill(other.PID(), syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	pidFile := filepath.Join(dir, "cluster", "postmaster.pid")
	content, err := os.ReadFile(pidFile)
	if err != nil {
		t.Fatal(err)
	}
	_, rest, _ := strings.Cut(string(content), "\n")
	stranger := exec.CommandContext(t.Context(), "sleep", "600")
	if err := stranger.Start(); err != nil {
		t.Fatal(err)
	}
	defer func() { _ = stranger.Process.Kill(); _ = stranger.Wait() }()
	if err := os.WriteFile(pidFile, []byte(itoa(stranger.Process.Pid)+"\n"+rest), 0o600); err != nil {
		t.Fatal(err)
	}
	server = start(t, dir)
	if got := query[int](t, server.URL(), "SELECT v FROM t"); got != 1 {
		t.Errorf("read %d, want 1", got)
	}
}

func TestInterruptedInitIsRepeated(t *testing.T) {
	t.Parallel()
	dir := filepath.Join(t.TempDir(), "database")
	draft := filepath.Join(dir, "cluster.new")
	if err := os.MkdirAll(filepath.Join(draft, "base"), 0o700); err != nil {
		t.Fatal(err)
	}
	server := start(t, dir)
	if got := query[string](t, server.URL(), "SELECT current_database()::text"); got != "telemetryd" {
		t.Errorf("database %s", got)
	}
}

// TestFolderOfAnotherUser starts on a folder that somebody else made, as root and
// as a user who may not even enter it.
func TestFolderOfAnotherUser(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	root := os.Geteuid() == 0
	err := os.Chmod(dir, 0)
	if root {
		err = os.Chown(dir, 54321, -1)
	}
	if err != nil {
		t.Fatal(err)
	}
	_, err = pgserver.Start(t.Context(), pgserver.Options{DataDir: dir, BinDir: binDir()})
	if err == nil || !strings.Contains(err.Error(), "run the command as its user") || !strings.Contains(err.Error(), "TELEMETRYD_DATA_DIR") {
		t.Errorf("error %v, want one that says what to do", err)
	}
	if root && !strings.Contains(err.Error(), "uid 54321") {
		t.Errorf("%v does not say whose it is", err)
	}
	_ = os.Chmod(dir, 0o700) // or it cannot be removed
}
