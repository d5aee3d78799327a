package timeseries_test

import (
	"log/slog"
	"math"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/ecovolt/telemetryd/timeseries"
	"github.com/ecovolt/telemetryd/timeseries/column"
	"github.com/ecovolt/telemetryd/timeseries/registry"
	"github.com/ecovolt/telemetryd/timeseries/series"
)

// Lists of numbers are compared as a whole: cmp takes long for each of them.
var (
	floats = cmp.Comparer(func(a, b []float64) bool {
		return slices.EqualFunc(a, b, func(v, w float64) bool {
			return v == w || math.IsNaN(v) && math.IsNaN(w) || math.Abs(v-w) <= 1e-12*(math.Abs(v)+math.Abs(w))
		})
	})
	counts = cmp.Comparer(func(a, b []int64) bool { return slices.Equal(a, b) })
)

// What is held in memory of a run shows in no answer, whatever becomes of the run
// meanwhile, and through whichever instance.
func TestSeriesOfWhatIsHeld(t *testing.T) {
	t.Parallel()
	for seed, bytes := range []int{64 << 20, 150 << 10}[:fewer(t, 2, 1)] {
		t.Run("", func(t *testing.T) {
			t.Parallel()
			sc := newScene(t, 301+3*uint64(seed)) // whose store holds nothing
			rng := rand.New(rand.NewPCG(uint64(seed), 17))
			plain := sc.store
			exec := func(sql string, args ...any) {
				t.Helper()
				if _, err := sc.pool.Exec(t.Context(), sql, args...); err != nil {
					t.Fatal(err)
				}
			}
			exec("UPDATE sessions SET ended_at = now()")
			held := column.New(bytes, slog.New(slog.DiscardHandler))
			with := timeseries.New(sc.pool, timeseries.Options{Columns: held})
			define := func(expression string) {
				t.Helper()
				for _, s := range []*timeseries.Store{plain, with} { // each knows it at once
					if _, err := s.Channels.Put(t.Context(), "", "made", registry.Definition{Expression: expression}); err != nil {
						t.Fatal(err)
					}
				}
			}
			define("speed_ms * 3.6")
			read := func(s *timeseries.Store, req series.Request) []series.Session {
				t.Helper()
				if rng.IntN(4) > 0 {
					for _, id := range req.Sessions {
						session, err := s.Session(t.Context(), id)
						if err != nil {
							t.Fatal(err)
						}
						req.Versions = append(req.Versions, session.Version())
					}
				}
				got, err := s.Series.Read(t.Context(), req)
				if err != nil {
					t.Fatal(err)
				}
				return got.Sessions
			}
			compare := func(req series.Request) {
				t.Helper()
				for fill := range series.Fill(3) { // no answer of before is asked for
					if req.Fill = fill; fill > 0 {
						held.Wait()
					}
					want, got := read(plain, req), read(with, req)
					if d := cmp.Diff(want, got, floats, counts); d != "" {
						t.Fatalf("%+v: what is held shows (-without +with):\n%s", req, d)
					}
				}
			}
			for i := range 24 {
				switch i {
				case 3, 6: // late
					from, _ := sc.window(rng)
					store(t, plain, "race", run(rng, from, 1+rng.IntN(40)))
				case 7:
					refresh(t, plain)
				case 8: // late, while somebody looks at what the levels lack nothing of
					first, last := sc.records[0].time, sc.records[len(sc.records)-1].time
					coarse := series.Request{Sessions: []string{"race"}, Metrics: []string{"speed_ms"}, From: first, To: last, Points: 40}
					store(t, plain, "race", run(rng, first.Add(time.Duration(rng.Int64N(int64(last.Sub(first))))), 10))
					compare(coarse)
					held.Wait()
					refresh(t, plain)
					compare(coarse)
				case 11: // an edit is seen at once, at the same version
					made := series.Request{Sessions: []string{"race"}, Metrics: []string{"made"}, Points: 30_000}
					compare(made)
					define("speed_ms + power_w")
					compare(made)
				case 12, 13: // the run goes on, or is over again
					exec("UPDATE sessions SET ended_at = CASE WHEN ended_at IS NULL THEN now() END WHERE id = 'race'")
				case 10: // records are taken away
					exec(`WITH gone AS (
						DELETE FROM telemetry WHERE session = (SELECT session FROM sessions WHERE id = 'race') AND ord % 7 = $1
					) UPDATE sessions SET batch = batch + 1, rewritten = batch + 1, revision = revision + 1 WHERE id = 'race'`, rng.IntN(7))
					exec(`INSERT INTO rollup_dirty (session, from_time, to_time) SELECT session, first_time, last_time FROM sessions WHERE id = 'race'`)
				}
				from, to := sc.window(rng)
				req := series.Request{
					Sessions: []string{"race"}, Metrics: []string{"speed_ms", "power_w"}, From: from, To: to,
					Points: []int{1, 7, 50, 300, 3000}[rng.IntN(5)], Mode: series.Mode(rng.IntN(2)),
				}
				switch rng.IntN(4) {
				case 0:
					req.Metrics = append(req.Metrics[:1], "voltage_v", "made")
				case 1:
					start, end := float64(rng.IntN(4000)), float64(4001+rng.IntN(9000))
					req.Sessions, req.Align, req.Start, req.End = []string{"race", "other"}, series.AlignElapsed, &start, &end
					req.From, req.To = time.Time{}, time.Time{}
				case 2:
					req.Mode, req.Align, req.From, req.To = series.ModeMinMax, series.AlignDistance, time.Time{}, time.Time{}
				}
				compare(req)
			}
			held.Wait()
			stats := held.Stats()
			t.Logf("%+v", stats)
			if stats.Hits == 0 || stats.Misses == 0 || stats.Bytes > bytes {
				t.Errorf("%+v, of %d bytes", stats, bytes)
			}
		})
	}
}
