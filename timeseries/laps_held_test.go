package timeseries_test

import (
	"encoding/json"
	"log/slog"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/ecovolt/telemetryd/internal/dbtest"
	"github.com/ecovolt/telemetryd/timeseries"
	"github.com/ecovolt/telemetryd/timeseries/analysis"
	"github.com/ecovolt/telemetryd/timeseries/column"
	"github.com/ecovolt/telemetryd/timeseries/compare"
	"github.com/ecovolt/telemetryd/timeseries/registry"
	"github.com/ecovolt/telemetryd/timeseries/series"
)

// Whether the records of laps that are laid over one another come from memory or from
// the database shows in nothing, whatever becomes of the run meanwhile.
func TestComparedLapsOfWhatIsHeld(t *testing.T) {
	t.Parallel()
	dbtest.NeedsBackends(t, "the same on both editions: what is held is, and what is not is read by one statement")
	rng := rand.New(rand.NewPCG(14, 6))
	pool := dbtest.New(t)
	held := column.New(64<<20, slog.New(slog.DiscardHandler))
	plain, with := timeseries.New(pool, timeseries.Options{}), timeseries.New(pool, timeseries.Options{Columns: held})
	put := func(records []rec) {
		t.Helper()
		text, err := json.Marshal(records)
		if err != nil {
			t.Fatal(err)
		}
		storeJSON(t, plain, text)
	}
	exec := func(sql string, args ...any) {
		t.Helper()
		if _, err := pool.Exec(t.Context(), sql, args...); err != nil {
			t.Fatal(err)
		}
	}
	define := func(expression string) {
		t.Helper()
		for _, s := range []*timeseries.Store{plain, with} {
			if _, err := s.Channels.Put(t.Context(), "", "made", registry.Definition{Expression: expression}); err != nil {
				t.Fatal(err)
			}
		}
	}
	read := func(s *timeseries.Store, req compare.Request) *compare.Comparison {
		t.Helper()
		exec("UPDATE analysis_runs SET took_s = 0")                                                       // a busy machine's readers are content with what was computed just now
		if _, err := plain.Analysis.Laps(t.Context(), analysis.LapRequest{Session: "race"}); err != nil { // of what was stored last
			t.Fatal(err)
		}
		answer, err := s.Laps.Read(t.Context(), req)
		if err != nil {
			t.Fatal(err)
		}
		return answer
	}

	records, _, _ := circle(time.Date(2026, 3, 21, 12, 0, 0, 0, time.UTC), 8)
	var late []rec
	at := 0
	for _, r := range records {
		switch rng.IntN(10) {
		case 0:
			delete(r, "speed_ms")
		case 1:
			r["power_w"] = nil
		case 2:
			r["message_id"] = rng.IntN(1000)
		}
		if rng.IntN(20) == 0 {
			late = append(late, r)
			continue
		}
		records[at] = r
		at++
	}
	put(records[:at])
	define("speed_ms * 3.6")
	exec("UPDATE sessions SET ended_at = now()")
	metrics := []string{"speed_ms", "power_w", "message_id", "made", "driver_mode"}
	for i := range 24 {
		switch i {
		case 6:
			put(late[:len(late)/2])
		case 9:
			define("speed_ms + power_w")
		case 12, 15: // the run goes on, or is over again
			exec("UPDATE sessions SET updated_at = now(), ended_at = CASE WHEN ended_at IS NULL THEN now() END")
		case 18:
			put(late[len(late)/2:])
		case 21: // records are taken away
			exec("WITH gone AS (DELETE FROM telemetry WHERE ord % 7 = 3) UPDATE sessions SET batch = batch + 1, rewritten = batch + 1, revision = revision + 1")
		}
		req := compare.Request{Points: 2 + rng.IntN(300), By: []string{"position", "distance", "time"}[rng.IntN(3)], Class: series.Member}
		for range 1 + rng.IntN(4) {
			req.Laps = append(req.Laps, compare.Lap{Run: "race", Number: 1 + rng.Int64N(7)})
		}
		req.Metrics = metrics[:rng.IntN(len(metrics)+1)] // at times with the state, which is not held
		want := read(plain, req)
		for range 2 {
			if d := cmp.Diff(want, read(with, req)); d != "" {
				t.Fatalf("round %d, %+v: what is held shows (-without +with):\n%s", i, req, d)
			}
			held.Wait()
		}
	}
	// That it was read from memory shows where the records go without a word.
	req := compare.Request{Laps: []compare.Lap{{Run: "race", Number: 2}, {Run: "race", Number: 5}}, Metrics: metrics[:2], Points: 50, By: "position", Class: series.Member}
	read(with, req)
	held.Wait()
	want := read(with, req)
	exec("DELETE FROM telemetry")
	if d := cmp.Diff(want, read(with, req)); d != "" {
		t.Errorf("records are read that are held:\n%s", d)
	}
}
