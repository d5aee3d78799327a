package timeseries_test

import (
	"testing"
	"time"

	"github.com/ecovolt/telemetryd/internal/dbtest"
)

// chunks counts those of the records.
func (h *server) chunks() int {
	h.t.Helper()
	return h.count("SELECT count(*) FROM timescaledb_information.chunks WHERE hypertable_name = 'telemetry'")
}

// rollupChunks counts those of what is derived from the records.
func (h *server) rollupChunks() int {
	h.t.Helper()
	return h.count("SELECT count(*) FROM timescaledb_information.chunks WHERE hypertable_name <> 'telemetry'")
}

func (h *server) refresh() {
	h.t.Helper()
	if _, err := h.store.Rollups.Refresh(h.t.Context()); err != nil {
		h.t.Fatal(err)
	}
}

func (h *server) remove(session string) {
	h.t.Helper()
	if _, err := h.store.DeleteSession(h.t.Context(), session); err != nil {
		h.t.Fatal(err)
	}
	if _, err := h.store.PurgeDeleted(h.t.Context()); err != nil {
		h.t.Fatal(err)
	}
}

// Chunks that a deleted run leaves without records go, with those of the
// rollups; those of other runs stay, and so does one that somebody reads until
// that has ended.
func TestEmptyChunksGo(t *testing.T) {
	t.Parallel()
	h := newServer(t)
	h.insert(daily("kept", 3, 5)...)
	h.refresh()
	kept, keptRollups := h.chunks(), h.rollupChunks()
	h.insert(daily("deleted", 30, 5)...)
	h.refresh()
	if h.chunks() != 30 {
		t.Fatalf("%d chunks, want 30", h.chunks())
	}
	if dbtest.Edition(t, h.pool) == "community" {
		if _, err := h.pool.Exec(t.Context(), "SELECT compress_chunk(c) FROM show_chunks('telemetry', older_than => $1::timestamptz) c", raceStart.AddDate(0, 0, 10-1500)); err != nil {
			t.Fatal(err)
		}
	}
	reader, err := h.pool.Begin(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer reader.Rollback(t.Context())
	busy := 0
	if !dbtest.SingleBackend(t) {
		if _, err := reader.Exec(t.Context(), "SELECT FROM telemetry WHERE time = $1", raceStart.AddDate(0, 0, 20-1500)); err != nil {
			t.Fatal(err)
		}
		busy = 1
	} else if err := reader.Rollback(t.Context()); err != nil {
		t.Fatal(err)
	}
	h.remove("deleted")
	h.refresh()
	if n := h.chunks(); n != kept+busy {
		t.Errorf("after the deletion %d chunks, want %d and %d in use", n, kept, busy)
	}
	if n := h.rollupChunks(); n != keptRollups {
		t.Errorf("after the deletion the rollups have %d chunks, want %d", n, keptRollups)
	}
	if err := reader.Rollback(t.Context()); err != nil && busy > 0 {
		t.Fatal(err)
	}
	h.refresh() // not yet: it has just been in use
	if n := h.chunks(); n != kept+busy {
		t.Errorf("at once %d chunks, want %d and %d", n, kept, busy)
	}
	if _, err := h.pool.Exec(t.Context(), "UPDATE emptied SET try_at = clock_timestamp()"); err != nil {
		t.Fatal(err)
	}
	h.refresh()
	if n, left := h.chunks(), h.count("SELECT count(*) FROM emptied"); n != kept || left != 0 {
		t.Errorf("later %d chunks and %d ranges to look at, want %d and none", n, left, kept)
	}
	// Its days may be had again.
	h.insert(daily("again", 30, 5)...)
	h.refresh()
	levelsEqualRecords(t, h.pool)
	h.consistent()
}

// Strays that are taken out of a run leave no chunk behind either.
func TestStraysLeaveNoChunk(t *testing.T) {
	t.Parallel()
	h := newServer(t)
	h.insert(daily("run", 1, 1)...)
	h.refresh()
	var rest []rec
	for i := range 50 {
		rest = append(rest, recordAt("run", time.Duration(i)*time.Second, i))
	}
	if h.insert(rest...); h.count("SELECT count(*) FROM set_aside") != 1 {
		t.Fatal("the first record is not set aside")
	}
	h.refresh()
	if n := h.chunks(); n != 1 {
		t.Errorf("%d chunks, want the one that the other records are in", n)
	}
	levelsEqualRecords(t, h.pool)
}
