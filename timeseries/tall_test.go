package timeseries_test

import (
	"fmt"
	"math"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/ecovolt/telemetryd/timeseries/decode"
	"github.com/ecovolt/telemetryd/timeseries/ingest"
	"github.com/ecovolt/telemetryd/timeseries/record"
	"github.com/ecovolt/telemetryd/timeseries/series"
)

// A sensor that was never seen is drawn as one with a column that sends the same:
// from levels or records, whatever came late or was moved.
func TestLevelsOfMembers(t *testing.T) {
	t.Parallel()
	for seed := range fewer(t, 2, 1) {
		t.Run("", func(t *testing.T) {
			t.Parallel()
			h := newServer(t)
			rng := rand.New(rand.NewPCG(seed, 13))
			start := time.Date(2026, 5, 1, 22, 0, 0, 0, time.UTC)
			const n = 5_000 // over nearly three hours, and midnight
			record := func(i int) rec {
				r := rec{"session_id": "race", "timestamp": record.FormatTime(start.Add(time.Duration(i)*2*time.Second + time.Duration(rng.Int64N(int64(time.Second))))), "message_id": i}
				// It is fitted while the car drives. Its silences are never nearly a gap, whose
				// bound goes by a step that is measured now or was before.
				if i > n/4 && i%5 < 3 {
					v := math.Round(rng.NormFloat64()*1000) / 100
					r["speed_ms"], r["Probe 1"] = v, v
				}
				if rng.IntN(3) == 0 {
					r["pump"] = rng.IntN(2) == 0
					r["note"] = "x"
				}
				return r
			}
			var late []rec
			for i := 0; i < n; {
				var batch []rec
				for range 1 + rng.IntN(1200) {
					if r := record(i); i < n && i%5 == 0 && rng.IntN(4) == 0 {
						late = append(late, r)
					} else if i < n {
						batch = append(batch, r)
					}
					i++
				}
				h.insert(batch...)
				if rng.IntN(2) == 0 {
					h.refresh()
				}
			}
			h.refresh()
			alike := func(when string) {
				t.Helper()
				for k := range 12 {
					from := start.Add(time.Duration(rng.Int64N(int64(3*time.Hour))) - 10*time.Minute)
					req := series.Request{
						Sessions: []string{"race"}, Metrics: []string{"speed_ms", "probe_1"}, Points: []int{1, 7, 50, 300, 1500}[rng.IntN(5)],
						From: from, To: from.Add(time.Duration(1 + rng.Int64N(int64(4*time.Hour)))), Mode: []series.Mode{series.ModeMinMax, series.ModeM4}[k%2],
					}
					if rng.IntN(3) == 0 {
						req.From, req.To = time.Time{}, time.Time{}
					}
					both, err := h.store.Series.Read(t.Context(), req)
					if err != nil {
						t.Fatal(err)
					}
					req.Metrics = req.Metrics[1:]
					alone, err := h.store.Series.Read(t.Context(), req)
					if err != nil {
						t.Fatal(err)
					}
					want, got := both.Sessions[0].Metrics[0], both.Sessions[0].Metrics[1]
					got.Name, got.Unit, got.Step, got.GapAfter = want.Name, want.Unit, want.Step, want.GapAfter // which are measured, or known from before
					same := cmp.Options{cmpopts.EquateNaNs(), cmpopts.EquateApprox(1e-9, 1e-9)}
					if diff := cmp.Diff(want, got, same); diff != "" {
						t.Fatalf("%s, %s, %d points, %v to %v, level %s: the column (-) and the member (+)\n%.2000s", when, req.Mode, req.Points, req.From, req.To, both.Sessions[0].Level, diff)
					}
					sum := func(counts []int64) (all int64) {
						for _, c := range counts {
							all += c
						}
						return all
					}
					if a, b := sum(alone.Sessions[0].Metrics[0].Count), sum(got.Count); a != b {
						t.Fatalf("%s, %s, %d points: %d samples alone, %d beside another", when, req.Mode, req.Points, a, b)
					}
				}
			}
			alike("once it came")
			h.compress()
			h.insert(late...)
			alike("with late records that the levels lack")
			h.refresh()
			alike("with late records")
			h.repair(ingest.Repair{Session: "race", Shift: 90 * time.Second, All: true})
			alike("moved")
			h.refresh()
			alike("moved, with levels made anew")
			for h.count("SELECT count(*) FROM member_level_progress p JOIN sessions s USING (session) WHERE s.deleted_at IS NULL AND p.batch = s.batch") == 0 {
				h.refresh() // each pass takes a bounded turn
			}

			// It is the levels that serve a whole race.
			if _, err := h.pool.Exec(t.Context(), "UPDATE member_levels SET high = 1e6 WHERE width >= 60"); err != nil {
				t.Fatal(err)
			}
			answer, err := h.store.Series.Read(t.Context(), series.Request{Sessions: []string{"race"}, Metrics: []string{"probe_1"}, Points: 99})
			if err != nil {
				t.Fatal(err)
			}
			if at := answer.Sessions[0]; at.Metrics[0].Max[len(at.X)/2] != 1e6 {
				t.Errorf("a whole race at %s is drawn from the records", at.Level)
			}
			h.remove("race")
			for _, table := range []string{"level_members", "member_levels", "member_level_progress"} {
				if n := h.count("SELECT count(*) FROM " + table); n != 0 {
					t.Errorf("%s keeps %d rows of a run that was deleted", table, n)
				}
			}
		})
	}
}

// Levels are for so many members of a run, those that came first, and for all of
// their records; the others are drawn from these.
func TestLevelsOfMembersAreBounded(t *testing.T) {
	t.Parallel()
	h := newServer(t)
	start := time.Date(2026, 5, 1, 10, 0, 0, 0, time.UTC)
	for part := range 4 {
		var batch []rec
		for i := range 500 {
			r := rec{"session_id": "flood", "timestamp": record.FormatTime(start.Add(time.Duration(500*part+i) * time.Second))}
			for k := range 50 * (part + 1) {
				r[fmt.Sprintf("cell_%d", k)] = k
			}
			batch = append(batch, r)
		}
		h.insert(batch...)
		h.refresh()
	}
	h.compress()
	var late []rec
	for i := range 500 {
		r := rec{"session_id": "flood", "timestamp": record.FormatTime(start.Add(time.Duration(i)*4*time.Second + time.Second/2))}
		for k := range 150 {
			r[fmt.Sprintf("cell_%d", k)] = -k
		}
		late = append(late, r)
	}
	h.insert(late...)
	for h.count("SELECT count(*) FROM member_level_progress p JOIN sessions s USING (session) WHERE p.batch = s.batch") == 0 {
		h.refresh()
	}
	if n := h.count("SELECT count(DISTINCT member) FROM level_members"); n != 150 {
		t.Errorf("%d members have levels, want 150", n)
	}
	if n, err := h.store.WithoutLevels(t.Context()); err != nil || n != 50 {
		t.Errorf("%d channels have no levels, want 50: %v", n, err)
	}
	for name, want := range map[string]int64{"cell_0": 2500, "cell_149": 1500, "cell_150": 500, "cell_199": 500} {
		answer, err := h.store.Series.Read(t.Context(), series.Request{Sessions: []string{"flood"}, Metrics: []string{name}, Points: 10})
		if err != nil {
			t.Fatal(err)
		}
		count := int64(0)
		for _, c := range answer.Sessions[0].Metrics[0].Count {
			count += c
		}
		if count != want {
			t.Errorf("%s: %d samples are drawn, want %d", name, count, want)
		}
	}
	// A plain run costs a note.
	if _, err := h.stream(decode.FormatJSON, ingest.Options{}, ndjson([]rec{{"session_id": "plain", "timestamp": record.FormatTime(start), "speed_ms": 1}})); err != nil {
		t.Fatal(err)
	}
	h.refresh()
	if n := h.count("SELECT count(*) FROM member_level_progress p JOIN sessions s USING (session) WHERE s.id = 'plain' AND p.batch = s.batch"); n != 1 {
		t.Error("a run without members is looked at again and again")
	}
}
