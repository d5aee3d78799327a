package timeseries_test

import (
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/ecovolt/telemetryd/internal/dbtest"
	schema "github.com/ecovolt/telemetryd/sql"
	"github.com/ecovolt/telemetryd/timeseries/decode"
	"github.com/ecovolt/telemetryd/timeseries/ingest"
	"github.com/ecovolt/telemetryd/timeseries/ingest/pack"
)

// A long file that goes straight into the columnstore, but for what is out of order, is
// read as one that was streamed: in order of time, by whatever is changed later.
func TestImportIntoTheColumnstore(t *testing.T) {
	t.Parallel()
	dbtest.NeedsBackends(t, "the server has one backend")
	streamed := newServer(t)
	possible, err := pack.Possible(t.Context(), streamed.pool)
	if err != nil {
		t.Fatal(err)
	}
	n := 4 * chunkRecords
	if !possible { // an import like any other
		n = 2 * chunkRecords
	}
	var records []rec
	for i := range n - 100 {
		records = append(records, recordAt("a", time.Duration(i/3)*time.Second, i)) // a coarse clock
	}
	records[n/2+7], records[n*3/4-7] = records[n*3/4-7], records[n/2+7]
	text := ndjson(records)
	imported := streamed.beside(dbtest.Another(t, "import"))
	if _, err := streamed.stream(decode.FormatJSON, ingest.Options{}, text); err != nil {
		t.Fatal(err)
	}
	if _, err := imported.importFrom(t.Context(), ingest.Options{}, strings.NewReader(text)); err != nil {
		t.Fatal(err)
	}
	list := func(h *server, sql string) []string {
		t.Helper()
		texts, err := schema.List(t.Context(), h.pool, pgx.RowTo[string], sql)
		if err != nil {
			t.Fatal(err)
		}
		return texts
	}
	if possible {
		left := 0
		for _, chunk := range list(imported, "SELECT c::text FROM show_chunks('telemetry') c") {
			left += imported.count("SELECT count(*) FROM ONLY " + chunk)
		}
		if left != chunkRecords {
			t.Errorf("%d records are not in the columnstore, want %d that are out of order", left, chunkRecords)
		}
	}
	alike := func(when string) {
		t.Helper()
		imported.consistent()
		for _, order := range []string{"time, batch, ord", "time DESC, batch DESC, ord DESC LIMIT 7000"} {
			sql := "SELECT (to_jsonb(t) - 'session')::text FROM telemetry t WHERE session = (SELECT session FROM sessions WHERE deleted_at IS NULL) ORDER BY " + order
			want, got := list(streamed, sql), list(imported, sql)
			if len(want) != len(got) {
				t.Fatalf("%s, by %s: %d records, want %d", when, order, len(got), len(want))
			}
			for i := range want {
				if want[i] != got[i] {
					t.Fatalf("%s, by %s: record %d is %s, want %s", when, order, i, got[i], want[i])
				}
			}
		}
		if want, got := streamed.snapshot(), imported.snapshot(); !slices.Equal(want, got) {
			t.Fatalf("%s: %q, want %q", when, got, want)
		}
	}
	alike("once it came")
	for _, h := range []*server{streamed, imported} {
		h.insert(recordAt("a", 1000*time.Second, 1_000_000), recordAt("a", 0, 1_000_001)) // late
		h.repair(ingest.Repair{Session: "a", Shift: time.Hour, All: true})
		if _, err := h.store.PurgeDeleted(t.Context()); err != nil {
			t.Fatal(err)
		}
		h.refresh()
	}
	alike("moved, with late records")
	imported.remove("a")
	if n := imported.count("SELECT count(*) FROM telemetry"); n != 0 {
		t.Errorf("%d records are left of a run that was deleted", n)
	}
}
