package e2e

import (
	"bytes"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/ecovolt/telemetryd/internal/await"
	"github.com/ecovolt/telemetryd/timeseries"
	"github.com/ecovolt/telemetryd/timeseries/ingest"
)

// bigFile is a session that an import copies over several connections.
func bigFile() (text []byte, records int) {
	const n = 4*ingest.ChunkRecords + 1
	var b bytes.Buffer
	for i := range n {
		b.Write(marshal(recordAt("big", i)))
		b.WriteByte('\n')
	}
	return b.Bytes(), n
}

// halfImported starts an import of the file and returns when some of it is in
// the database. The import waits for the rest of its input.
func halfImported(t *testing.T, pool *pgxpool.Pool, text []byte, args ...string) (cmd *exec.Cmd, log *await.Log) {
	t.Helper()
	log = new(await.Log)
	cmd = exec.Command(program(t), append([]string{"import", "--quiet", "-"}, args...)...)
	cmd.Env, cmd.Stdout, cmd.Stderr = environment(), log, log
	in, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { in.Close(); _ = cmd.Process.Kill() })
	go io.Copy(in, bytes.NewReader(text[:len(text)*4/5]))
	await.Until(t, "chunks are loaded", func() bool {
		var loaded int
		if err := pool.QueryRow(t.Context(), `SELECT count(*) FROM ingest_batches`).Scan(&loaded); err != nil {
			t.Fatal(err)
		}
		return loaded > 1
	}, log)
	return cmd, log
}

// nothingVisible wants the half import to be found nowhere, and to be removed.
func nothingVisible(t *testing.T, pool *pgxpool.Pool) {
	t.Helper()
	store := timeseries.New(pool, timeseries.Options{})
	if s, err := store.Session(t.Context(), "big"); err != nil || s != nil {
		t.Errorf("it can be seen: %+v, %v", s, err)
	}
	await.Until(t, "no row is left", func() bool {
		_, _ = store.PurgeDeleted(t.Context()) // the daemon may be at it
		var left int
		if err := pool.QueryRow(t.Context(), `SELECT (SELECT count(*) FROM sessions) + (SELECT count(*) FROM telemetry)`).Scan(&left); err != nil {
			t.Fatal(err)
		}
		return left == 0
	})
}

// An import is killed half-way: nothing of it is seen, all of it is removed,
// and the same file is then stored once.
func TestKillingAnImport(t *testing.T) {
	t.Parallel()
	c := newCLI(t)
	text, n := bigFile()
	cmd, _ := halfImported(t, c.pool, text, "--database-url", c.url)
	if err := cmd.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	_ = cmd.Wait()
	nothingVisible(t, c.pool)
	file := c.file("big.ndjson", text)
	c.imports(n, 0, "", file)
	c.imports(0, n, "", file)
	checkConsistent(t, c.pool)
}

// PostgreSQL is killed under an import, and comes back.
func TestKillingPostgreSQLUnderAnImport(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	p, flags := serveOwn(t, dir)
	pool := poolOf(t, dir)
	text, n := bigFile()
	cmd, log := halfImported(t, pool, text, flags...)
	killAll(postmasterPID(t, dir))
	_ = cmd.Process.Signal(os.Interrupt) // it may still be reading its input
	if err := cmd.Wait(); err == nil {
		t.Fatalf("the import did not fail\n%s", log)
	}
	pool.Reset()
	await.Until(t, "PostgreSQL comes back", func() bool { return pool.Ping(t.Context()) == nil }, p.log)
	nothingVisible(t, pool)
	file := filepath.Join(dir, "big.ndjson")
	if err := os.WriteFile(file, text, 0o600); err != nil {
		t.Fatal(err)
	}
	for i, want := range []int{n, 0} {
		again := exec.Command(program(t), append(append([]string{"import", "--quiet"}, flags...), file)...)
		again.Env = environment()
		out, err := again.CombinedOutput()
		if err != nil || !strings.Contains(string(out), fmt.Sprintf("stored %d records", want)) {
			t.Errorf("import %d: %v\n%s", i, err, out)
		}
	}
	checkConsistent(t, pool)
	pool.Close()
	p.stop()
}
