package backup_test

import (
	"bytes"
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/ecovolt/telemetryd/internal/backup"
	"github.com/ecovolt/telemetryd/internal/dbtest"
	"github.com/ecovolt/telemetryd/internal/pgserver"
	"github.com/ecovolt/telemetryd/timeseries"
	"github.com/ecovolt/telemetryd/timeseries/book"
	"github.com/ecovolt/telemetryd/timeseries/decode"
	"github.com/ecovolt/telemetryd/timeseries/ingest"
	"github.com/ecovolt/telemetryd/timeseries/note"
)

// TestRestoreIsIdentical backs a database up, restores it into a new one, and
// compares every table and every rollup.
func TestRestoreIsIdentical(t *testing.T) {
	t.Parallel()
	dbtest.NeedsBackends(t, "pg_dump needs a connection beside the test's own")
	pool := dbtest.New(t)
	programs, err := pgserver.Find(t.Context(), "", 0)
	if err != nil {
		t.Fatal(err)
	}
	fill(t, pool)
	var dump bytes.Buffer
	if err := backup.Dump(t.Context(), programs, dbtest.URL(t), &dump); err != nil {
		t.Fatal(err)
	}
	if err := backup.Restore(t.Context(), programs, dbtest.URL(t), bytes.NewReader(dump.Bytes())); !errors.Is(err, backup.ErrNotEmpty) {
		t.Errorf("restoring over a database: %v, want ErrNotEmpty", err)
	}
	fresh := dbtest.Empty(t)
	if err := backup.Restore(t.Context(), programs, fresh, bytes.NewReader(dump.Bytes())); err != nil {
		t.Fatal(err)
	}
	restored, err := pgxpool.New(t.Context(), fresh)
	if err != nil {
		t.Fatal(err)
	}
	defer restored.Close()
	before, after := contents(t, pool), contents(t, restored)
	if len(before) < 10 {
		t.Fatalf("only %d relations compared", len(before))
	}
	if diff := cmp.Diff(before, after); diff != "" {
		t.Errorf("restored database differs (-before +after):\n%s", diff)
	}
	// It takes records as before.
	store := timeseries.New(restored, timeseries.Options{})
	result, err := store.Writer.IngestStream(t.Context(), decode.New(records("b", 100), decode.Options{}), ingest.Options{Source: "test"})
	if err != nil || result.Inserted != 100 {
		t.Errorf("ingest after the restore: %+v, %v", result, err)
	}
}

func records(session string, n int) *strings.Reader {
	var b strings.Builder
	for i := range n {
		fmt.Fprintf(&b, `{"session_id":%q,"timestamp":"2026-06-%02dT12:%02d:%02d.5+00:00","speed_ms":%d,"odd":[%d]}`+"\n", session, 1+i%3, i/60%60, i%60, i%20, i)
	}
	return strings.NewReader(b.String())
}

func fill(t *testing.T, pool *pgxpool.Pool) {
	t.Helper()
	store := timeseries.New(pool, timeseries.Options{})
	if _, err := store.Writer.IngestStream(t.Context(), decode.New(records("a", 3000), decode.Options{}), ingest.Options{Source: "test"}); err != nil {
		t.Fatal(err)
	}
	// Records that are set aside are in the backup, too.
	odd := `{"session_id":"a","timestamp":"1980-01-06T00:00:00Z","speed_ms":1}
		{"session_id":"a","timestamp":"never","odd":[1]}
		{"session_id":"a","timestamp":"2025-01-01T00:00:00Z","odd":null}`
	if result, err := store.Writer.IngestStream(t.Context(), decode.New(strings.NewReader(odd), decode.Options{}), ingest.Options{Source: "test"}); err != nil || result.SetAside != 3 {
		t.Fatalf("%+v, %v", result, err)
	}
	if _, err := store.Writer.Repair(t.Context(), ingest.Repair{Session: "a", First: 2, Last: 2, Drop: true}); err != nil {
		t.Fatal(err)
	}
	driver := "Ann"
	if _, err := store.EditSession(t.Context(), "a", timeseries.SessionChange{Book: book.Change{Driver: &driver, Fields: map[string]string{"wing": "2"}}}); err != nil {
		t.Fatal(err)
	}
	if _, err := store.Notes.Add(t.Context(), "a", note.Author{Name: "Ann"}, note.Content{Text: "wind"}); err != nil {
		t.Fatal(err)
	}
	if _, err := store.Rollups.Refresh(t.Context()); err != nil {
		t.Fatal(err)
	}
}

// contents returns a digest of the rows of every table, rollup and view of ours.
func contents(t *testing.T, pool *pgxpool.Pool) map[string]string {
	t.Helper()
	rows, err := pool.Query(t.Context(), `
		SELECT format('%I.%I', n.nspname, c.relname)
		FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
		WHERE n.nspname IN ('public', 'analytics') AND c.relkind IN ('r', 'v', 'p')
		  AND NOT EXISTS (SELECT FROM pg_depend d WHERE d.objid = c.oid AND d.deptype = 'e')`)
	if err != nil {
		t.Fatal(err)
	}
	names, err := pgx.CollectRows(rows, pgx.RowTo[string])
	if err != nil {
		t.Fatal(err)
	}
	out := map[string]string{}
	for _, name := range names {
		var digest string
		err := pool.QueryRow(t.Context(), fmt.Sprintf(`
			SELECT count(*) || ' ' || coalesce(md5(string_agg(md5(r::text), '' ORDER BY md5(r::text))), '')
			FROM %s r`, name)).Scan(&digest)
		if err != nil {
			t.Fatalf("read %s: %v", name, err)
		}
		out[name] = digest
	}
	return out
}
