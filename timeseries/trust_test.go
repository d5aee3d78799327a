package timeseries_test

import (
	"strings"
	"testing"
	"time"

	"github.com/ecovolt/telemetryd/internal/await"
	"github.com/ecovolt/telemetryd/internal/dbtest"
	"github.com/ecovolt/telemetryd/internal/fault"
	"github.com/ecovolt/telemetryd/timeseries/decode"
	"github.com/ecovolt/telemetryd/timeseries/ingest"
	"github.com/ecovolt/telemetryd/timeseries/merge"
)

// Strays that somebody put back stay when others are dropped, each group of them.
func TestDropLeavesWhatWasPutBack(t *testing.T) {
	t.Parallel()
	h := newServer(t)
	h.insert(numberedRun("s", 300, 0)...)
	group := func(days, id int) []rec {
		from := raceStart.AddDate(0, 0, -days)
		return []rec{at("s", from, id), at("s", from.Add(time.Second), id+1)}
	}
	for i, days := range []int{60, 120, 200} {
		h.insert(group(days, 1000+10*i)...)
	}
	if done := h.repair(ingest.Repair{Session: "s", Shift: time.Hour}); done.PutBack != 6 || done.Left != 0 {
		t.Fatalf("%+v", done)
	}
	h.insert(group(400, 2000)...)
	h.wantAside(2)
	if done := h.repair(ingest.Repair{Session: "s", Drop: true}); done.Dropped != 2 || done.Left != 0 {
		t.Errorf("%+v", done)
	}
	h.insert(at("s", raceStart.Add(time.Hour), 3000))
	h.wantAside(0)
	h.consistent()
}

// What came at the server's clock stays right when the whole run is shifted, even
// when more comes later.
func TestShiftedRunKeepsWhatWasLive(t *testing.T) {
	t.Parallel()
	h := newServer(t)
	now := time.Now().UTC()
	old := func(id int) (records []rec) {
		for i := range 200 {
			records = append(records, at("s", now.AddDate(-1, 0, 0).Add(time.Duration(i)*time.Second), id+i))
		}
		return records
	}
	send := func(records []rec) {
		t.Helper()
		if result, err := h.importFrom(t.Context(), ingest.Options{Source: "import"}, strings.NewReader(ndjson(records))); err != nil || result.SetAside != 0 {
			t.Fatalf("%+v, %v", result, err)
		}
	}
	h.insert(at("s", now, 1), at("s", now.Add(time.Second), 2))
	h.repair(ingest.Repair{Session: "s", Shift: -30 * 24 * time.Hour, All: true})
	send(old(1000))
	h.repair(ingest.Repair{Session: "s", Shift: -30 * 24 * time.Hour, All: true})
	send(old(2000))
	if n := len(h.aside("s")); n != 0 || h.count("SELECT count(*) FROM telemetry JOIN sessions USING (session) WHERE deleted_at IS NULL") != 402 {
		t.Errorf("%d are set aside", n)
	}
	if _, err := h.store.PurgeDeleted(t.Context()); err != nil {
		t.Fatal(err)
	}
	h.consistent()
}

// Whoever waits for a run that is shifted meanwhile finds it.
func TestShiftBesideOthers(t *testing.T) {
	t.Parallel()
	dbtest.NeedsBackends(t, "the server has one backend, and nobody waits")
	h := newServer(t)
	ctx := t.Context()
	for name, act := range map[string]func(id string) error{
		"rename": func(id string) error { return h.rename(id, "By hand") },
		"delete": func(id string) error { _, err := h.store.DeleteSession(ctx, id); return err },
		"repair": func(id string) error {
			_, err := h.store.Writer.Repair(ctx, ingest.Repair{Session: id, Shift: time.Hour, All: true})
			return err
		},
		"undo": func(id string) error {
			if _, err := h.store.Merges.Undo(ctx, id); err == nil || !strings.Contains(err.Error(), "nothing was merged") {
				return err
			}
			return nil
		},
		"merge": func(id string) error {
			_, err := h.store.Merges.Merge(ctx, decode.New(strings.NewReader(ndjson([]rec{{"session_id": id, "timestamp": "2026-03-21T10:30:00Z", "motor_temp_c": 5}})), decode.Options{}), merge.Options{Session: id, Offset: new(time.Duration)})
			return err
		},
		"upload": func(id string) error {
			_, err := h.try(ingest.Options{}, []rec{recordAt(id, time.Minute, 1)})
			return err
		},
	} {
		h.insert(recordAt(name, 0, 0))
		tx, err := h.pool.Begin(ctx)
		if err != nil {
			t.Fatal(err)
		}
		// As a shift does it.
		if _, err := tx.Exec(ctx, "UPDATE sessions SET deleted_at = '-infinity' WHERE id = $1", name); err != nil {
			t.Fatal(err)
		}
		if _, err := tx.Exec(ctx, "INSERT INTO sessions (id, records, batch, first_time, last_time) SELECT id, records, batch, first_time, last_time FROM sessions WHERE id = $1", name); err != nil {
			t.Fatal(err)
		}
		if _, err := tx.Exec(ctx, "UPDATE telemetry SET session = (SELECT max(session) FROM sessions WHERE id = $1) WHERE session = (SELECT min(session) FROM sessions WHERE id = $1)", name); err != nil {
			t.Fatal(err)
		}
		done := make(chan error, 1)
		go func() { done <- act(name) }()
		await.Until(t, name+" waits for the run", func() bool {
			return h.count("SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'") > 0
		})
		if err := tx.Commit(ctx); err != nil {
			t.Fatal(err)
		}
		if err := <-done; err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
	if err := h.rename("none", "x"); !fault.Is(err, fault.NotFound) {
		t.Error(err)
	}
}
