package e2e

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/ecovolt/telemetryd/internal/await"
	"github.com/ecovolt/telemetryd/internal/pgserver"
)

// TestReplica runs the program on a primary and a streaming replica of its own:
// the replica serves exports and charts, nobody ever reads less than was stored
// before, and without the replica everything goes on.
func TestReplica(t *testing.T) {
	t.Parallel()
	began := time.Now()
	step := func(what string) { t.Logf("%.1f s: %s", time.Since(began).Seconds(), what) }
	primary := privateServer(t)
	step("made a primary")
	replica := copyServer(t, primary)
	replica.start()
	daemon := serve(t, "--database-url", primary.URL(), "--read-database-url", replica.url)
	p := &probe{t, daemon.url}
	doctor := func(url string) string {
		t.Helper()
		out, err := exec.Command(program(t), "doctor", "--database-url", primary.URL(), "--read-database-url", url).CombinedOutput()
		if sick := strings.Contains(string(out), "\nproblem "); sick != (err != nil) {
			t.Errorf("the doctor ends with error %v after\n%s", err, out)
		}
		return string(out)
	}
	finds := func(url, level, found string) {
		t.Helper()
		if out := doctor(url); !regexp.MustCompile(`(?m)^` + level + ` +Replica +.*(?:` + found + `)`).MatchString(out) {
			t.Errorf("the doctor does not find that %s:\n%s", found, out)
		}
	}

	step("what was stored is read from the replica")
	p.store("old", 0, 900)
	p.store("new", 0, 300)
	for _, session := range []string{"old", "new"} {
		p.read("/api/v1/sessions/" + session + "/summary") // made now, so that no later one changes the session
	}
	replica.caughtUp(primary)
	before := replica.scans()
	records := p.read("/api/v1/sessions/old/records?format=csv")
	series := p.read("/api/v1/sessions/old/series?metrics=speed_ms&points=50")
	both := p.read("/api/v1/sessions/old/series?metrics=speed_ms&compare=new&align=elapsed&points=50")
	laps := p.read("/api/v1/sessions/old/laps")
	if n := strings.Count(records, "\n"); n != 901 {
		t.Errorf("the export has %d lines, want 901", n)
	}
	if n := replica.scans() - before; n < 4 {
		t.Errorf("the replica looked into records %d times, want 4 and more", n)
	}
	p.served(4, 0, 0)
	finds(replica.url, "ok", "it has replayed all|it lacks 0.0 MB") // the primary writes now and then by itself

	step("one that lags serves what it has; the primary serves the rest")
	replica.exec("SELECT pg_wal_replay_pause()")
	p.store("new", 300, 100)
	if n := strings.Count(p.read("/api/v1/sessions/new/records?format=csv"), "\n"); n != 401 {
		t.Errorf("right after the batch the export has %d lines, want 401", n)
	}
	p.store("newest", 0, 10)
	if n := strings.Count(p.read("/api/v1/sessions/newest/records?format=csv"), "\n"); n != 11 {
		t.Errorf("the export of a run that the replica does not have has %d lines, want 11", n)
	}
	p.read("/api/v1/sessions/old/series?metrics=speed_ms&compare=new&align=elapsed&points=50")
	p.same("/api/v1/sessions/old/records?format=csv", records)
	p.served(5, 3, 0)
	p.await("the lag shows", func(m map[string]float64) bool {
		return m["telemetryd_replica_lag_seconds"] > 0 && m["telemetryd_replica_lag_bytes"] > 0
	})
	finds(replica.url, "(ok|warning)", "it lacks")
	replica.exec("SELECT pg_wal_replay_resume()")
	replica.caughtUp(primary)
	p.await("the replica serves what it lacked", func(m map[string]float64) bool {
		p.read("/api/v1/sessions/new/records?format=csv")
		return m[`telemetryd_replica_reads_total{served_by="replica"}`] > 5
	})
	p.await("the lag is gone", func(m map[string]float64) bool { return m["telemetryd_replica_lag_bytes"] == 0 })

	step("a run that was deleted and stored anew is not read as it was")
	replica.exec("SELECT pg_wal_replay_pause()")
	if a := p.send(request{method: http.MethodDelete, path: "/api/v1/sessions/newest"}); a.status != http.StatusOK {
		t.Fatalf("delete: %v", a)
	}
	p.store("newest", 100, 7)
	if n := strings.Count(p.read("/api/v1/sessions/newest/records?format=csv"), "\n"); n != 8 {
		t.Errorf("the export of a run that was stored anew has %d lines, want 8", n)
	}
	replica.exec("SELECT pg_wal_replay_resume()")
	replica.caughtUp(primary)

	step("one that goes away takes nothing with it")
	stopped := make(chan struct{})
	go func() { replica.stop(); close(stopped) }()
	for gone := false; !gone; {
		select {
		case <-stopped:
			gone = true
		default:
		}
		p.same("/api/v1/sessions/old/series?metrics=speed_ms&points=50", series)
	}
	p.await("the daemon notices", func(m map[string]float64) bool { return m["telemetryd_replica_up"] == 0 })
	finds(replica.url, "warning", "connect")
	p.same("/api/v1/sessions/old/records?format=csv", records)
	p.same("/api/v1/sessions/old/laps", laps)
	p.store("new", 400, 1)
	if a := p.send(request{method: http.MethodGet, path: "/readyz"}); a.status != http.StatusOK {
		t.Errorf("without the replica /readyz answers %v", a)
	}
	if n := strings.Count(daemon.log.String(), "cannot read from the replica"); n != 1 {
		t.Errorf("the log says %d times that the replica is away, want once", n)
	}

	step("one that comes back is read from again")
	replica.start()
	p.await("the daemon notices", func(m map[string]float64) bool { return m["telemetryd_replica_up"] == 1 })
	before = replica.scans()
	p.await("the replica is read from", func(map[string]float64) bool {
		if got := p.read("/api/v1/sessions/old/series?metrics=speed_ms&compare=new&align=elapsed&points=50"); got == both {
			t.Error("the chart does not show what was stored since")
		}
		return replica.scans() > before
	})
	daemon.stop()

	step("one that is the replica of something else is as good as none")
	elsewhere := strings.Replace(replica.url, "/telemetryd?", "/postgres?", 1)
	finds(elsewhere, "problem", "its URL names the database postgres")
	finds(primary.URL(), "problem", "it is no standby")
	daemon = serve(t, "--database-url", primary.URL(), "--read-database-url", elsewhere)
	p = &probe{t, daemon.url}
	p.await("the daemon notices", func(m map[string]float64) bool { return m["telemetryd_replica_up"] == 0 })
	for range 3 {
		p.same("/api/v1/sessions/old/records?format=csv", records)
		before := replica.looks()
		p.await("the daemon looks again", func(map[string]float64) bool { return replica.looks() > before })
	}
	if n := strings.Count(daemon.log.String(), "cannot read from the replica") + strings.Count(daemon.log.String(), "answers again"); n != 1 {
		t.Errorf("the log speaks %d times of the replica, want once\n%s", n, daemon.log)
	}
	daemon.stop()
}

// privateServer starts a server of the test's own.
func privateServer(t *testing.T) *pgserver.Server {
	t.Helper()
	bin := os.Getenv(pgserver.BinDirVariable)
	if bin == "" {
		bin, _ = filepath.Abs("../../.cache/pg/bin")
		if _, err := os.Stat(bin); err != nil {
			bin = "" // found by pgserver, or not
		}
	}
	server, err := pgserver.Start(t.Context(), pgserver.Options{
		DataDir: filepath.Join(t.TempDir(), "primary"), BinDir: bin,
		Settings: map[string]string{"fsync": "off", "shared_buffers": "64MB", "log_min_messages": "fatal"},
	})
	if errors.Is(err, pgserver.ErrNoPrograms) {
		t.Skipf("a replica needs server programs, a database alone will not do: TELEMETRYD_DB=packages make db gets some (%v)", err)
	}
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), await.Patience)
		defer cancel()
		_ = server.Stop(ctx)
	})
	return server
}

// standby is a streaming replica.
type standby struct {
	t    testing.TB
	bin  pgserver.Programs
	dir  string
	port int
	url  string
	cmd  *exec.Cmd
	out  await.Log
}

// copyServer makes a standby by pg_basebackup.
func copyServer(t *testing.T, primary *pgserver.Server) *standby {
	t.Helper()
	parent := t.TempDir()
	s := &standby{t: t, bin: primary.Programs(), dir: filepath.Join(parent, "standby"), port: primary.Port() + 1}
	backup := exec.Command(s.bin.Path("pg_basebackup"), "--pgdata", s.dir, "--dbname", primary.URL(),
		"--write-recovery-conf", "--wal-method", "stream", "--checkpoint", "fast")
	if out, err := backup.CombinedOutput(); err != nil {
		t.Fatalf("pg_basebackup: %v\n%s", err, out)
	}
	address, err := url.Parse(primary.URL())
	if err != nil {
		t.Fatal(err)
	}
	query := address.Query()
	query.Set("port", strconv.Itoa(s.port))
	address.RawQuery = query.Encode()
	s.url = address.String()
	t.Cleanup(s.stop)
	return s
}

// start runs the standby until it answers.
func (s *standby) start() {
	s.t.Helper()
	s.cmd = exec.Command(s.bin.Path("postgres"), "-D", s.dir, "-c", fmt.Sprint("port=", s.port), "-c", "listen_addresses=",
		"-c", "cluster_name=standby", "-c", "log_statement=all", "-c", "log_min_messages=error")
	s.cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	s.cmd.Stdout, s.cmd.Stderr = &s.out, &s.out
	if err := s.cmd.Start(); err != nil {
		s.t.Fatal(err)
	}
	await.Until(s.t, "the standby starts", func() bool {
		conn, err := pgx.Connect(s.t.Context(), s.url)
		if err == nil {
			_ = conn.Close(s.t.Context())
		}
		return err == nil
	}, &s.out)
}

// stop ends the standby at once.
func (s *standby) stop() {
	if s.cmd == nil || s.cmd.ProcessState != nil {
		return
	}
	_ = syscall.Kill(s.cmd.Process.Pid, syscall.SIGQUIT)
	_ = s.cmd.Wait()
}

func (s *standby) exec(sql string) {
	s.t.Helper()
	queryOne[any](s.t, s.url, sql)
}

// scans tells how often the daemon looked into records on the standby, which
// logs every statement.
func (s *standby) scans() (n int) {
	for line := range strings.Lines(s.out.String()) {
		if strings.Contains(line, "FROM telemetry") || strings.Contains(line, "analytics.laps") {
			n++
		}
	}
	return n
}

// looks tells how often the daemon looked in vain for its tables on the standby.
func (s *standby) looks() int {
	return strings.Count(s.out.String(), `ERROR:  relation "sessions" does not exist`)
}

// caughtUp waits until the standby has all that the primary has.
func (s *standby) caughtUp(primary *pgserver.Server) {
	s.t.Helper()
	position := queryOne[string](s.t, primary.URL(), "SELECT pg_current_wal_insert_lsn()::text")
	await.Until(s.t, "the standby catches up", func() bool {
		return queryOne[bool](s.t, s.url, "SELECT pg_last_wal_replay_lsn() >= $1::pg_lsn", position)
	}, &s.out)
}

func queryOne[T any](t testing.TB, url, sql string, args ...any) (value T) {
	t.Helper()
	conn, err := pgx.Connect(t.Context(), url)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close(t.Context())
	rows, err := conn.Query(t.Context(), sql, args...)
	if err != nil {
		t.Fatal(err)
	}
	value, err = pgx.CollectExactlyOneRow(rows, pgx.RowTo[T])
	if err != nil {
		t.Fatalf("%s: %v", sql, err)
	}
	return value
}

// probe asks a daemon.
type probe struct {
	t   testing.TB
	url string
}

func (p *probe) send(r request) answer {
	p.t.Helper()
	a, err := sendTo(p.t.Context(), http.DefaultClient, p.url, r)
	if err != nil {
		p.t.Fatal(err)
	}
	return a
}

func (p *probe) store(session string, from, n int) {
	p.t.Helper()
	records := make([]rec, n)
	for i := range records {
		records[i] = recordAt(session, from+i)
	}
	if _, err := p.send(insertion(records)).value(); err != nil {
		p.t.Fatal(err)
	}
}

func (p *probe) read(path string) string {
	p.t.Helper()
	a := p.send(request{method: http.MethodGet, path: path})
	if a.status != http.StatusOK {
		p.t.Fatalf("%s answers %v", path, a)
	}
	return string(a.body)
}

var progress = regexp.MustCompile(`"(version|settled)":[^,]+,`)

func (p *probe) same(path, want string) {
	p.t.Helper()
	// A chart says how far its rollups were at the time.
	if got := progress.ReplaceAllString(p.read(path), ""); got != progress.ReplaceAllString(want, "") {
		p.t.Errorf("%s answers other than before:\n%.300s\n%.300s", path, got, want)
	}
}

func (p *probe) metrics() map[string]float64 {
	p.t.Helper()
	values := map[string]float64{}
	for line := range strings.Lines(p.read("/metrics")) {
		name, text, _ := strings.Cut(strings.TrimSpace(line), " ")
		if value, err := strconv.ParseFloat(text, 64); err == nil {
			values[name] = value
		}
	}
	return values
}

// served wants so many reads to have been served by the replica, and by the
// primary since the replica was behind or away.
func (p *probe) served(replica, behind, away float64) {
	p.t.Helper()
	m := p.metrics()
	got := [3]float64{m[`telemetryd_replica_reads_total{served_by="replica"}`], m[`telemetryd_replica_reads_total{served_by="primary_behind"}`],
		m[`telemetryd_replica_reads_total{served_by="primary_away"}`]}
	if want := [3]float64{replica, behind, away}; got != want {
		p.t.Errorf("served by the replica, by the primary since it was behind, and away: %v, want %v", got, want)
	}
}

func (p *probe) await(what string, done func(map[string]float64) bool) {
	p.t.Helper()
	await.Until(p.t, what, func() bool { return done(p.metrics()) })
}
