package live_test

import (
	"context"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/ecovolt/telemetryd/internal/await"
	"github.com/ecovolt/telemetryd/internal/pgserver"
	"github.com/ecovolt/telemetryd/realtime/hub"
	schema "github.com/ecovolt/telemetryd/sql"
)

// ownServer starts a PostgreSQL that the test may stop, in dir.
func ownServer(t *testing.T, dir string) *pgserver.Server {
	t.Helper()
	programs, err := filepath.Abs("../../.cache/pg/bin") // what `make db` made
	if _, statErr := os.Stat(programs); err != nil || statErr != nil || os.Getenv(pgserver.BinDirVariable) != "" {
		programs = ""
	}
	server, err := pgserver.Start(t.Context(), pgserver.Options{DataDir: dir, BinDir: programs, Settings: map[string]string{"fsync": "off"}})
	if err != nil {
		t.Skipf("no PostgreSQL of our own to restart: %v", err)
	}
	return server
}

// restartable returns a migrated server of our own, and what stops and starts it.
func restartable(t *testing.T) (url string, stop, again func()) {
	t.Helper()
	dir := t.TempDir()
	server := ownServer(t, dir)
	stop = func() {
		ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
		defer cancel()
		if err := server.Stop(ctx); err != nil {
			t.Error(err)
		}
	}
	t.Cleanup(func() { stop() })
	if err := schema.Migrate(t.Context(), server.URL()); err != nil {
		t.Fatal(err)
	}
	return server.URL(), stop, func() { server = ownServer(t, dir) }
}

// PostgreSQL is stopped and started again under an open socket: the client is
// told twice, the socket stays, and no record is missing.
func TestPostgresRestarts(t *testing.T) {
	t.Parallel()
	url, stop, again := restartable(t)
	in := start(t, url, setup{hub: hub.Options{MaxBackOff: 200 * time.Millisecond}})
	in.ingest(t, "a", 1, 3)
	c, _ := in.follow(t, "session=a&snapshot_records=100")
	ids, _ := c.collect(3)
	for first := 4; first < 10; first += 3 {
		stop()
		if m := c.next(); m.Type != "status" || m.Database != "away" || m.Since == "" {
			t.Errorf("got %+v, want status away", m)
		}
		again()
		await.Until(t, "records can be stored again", func() bool { return in.tryIngest(t.Context(), "a", first, 3) == nil })
		back := false
		for ids[len(ids)-1] != first+2 {
			switch m := c.next(); m.Type {
			case "status":
				back = m.Database == "up"
			case "records":
				ids = append(ids, numbers(t, m)...)
			default:
				t.Fatalf("got %+v", m)
			}
		}
		if !back {
			t.Error("never told that the database is back")
		}
	}
	if diff := cmp.Diff(sequence(1, 9), ids); diff != "" {
		t.Errorf("records (-want +got):\n%s", diff)
	}
}
