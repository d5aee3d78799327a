package timeseries_test

import (
	"context"
	"fmt"
	"math"
	"math/rand/v2"
	"sync"
	"testing"
	"time"

	"github.com/ecovolt/telemetryd/internal/dbtest"
	"github.com/ecovolt/telemetryd/internal/fault"
	"github.com/ecovolt/telemetryd/internal/load"
	"github.com/ecovolt/telemetryd/timeseries"
	"github.com/ecovolt/telemetryd/timeseries/analysis"
	"github.com/ecovolt/telemetryd/timeseries/record"
)

// wayRun drives along a curve at 10 m/s, 5 Hz, with fixes that are off by 1 m.
func wayRun(id string, seed uint64, metres float64, at func(way float64) (x, y float64)) []rec {
	rng := rand.New(rand.NewPCG(seed, 9))
	start := time.Date(2026, 3, 21, 12, 0, 0, 0, time.UTC)
	var list []rec
	for i := 0; float64(i)*2 < metres; i++ {
		x, y := at(float64(i) * 2)
		x, y = x+rng.NormFloat64(), y+rng.NormFloat64()
		list = append(list, rec{"session_id": id, "timestamp": record.FormatTime(start.Add(time.Duration(i) * 200 * time.Millisecond)), "speed_ms": 10, "power_w": 200,
			"latitude": 50 + y/111195, "longitude": 8 + x/111195/math.Cos(50*math.Pi/180)})
	}
	return list
}

// Odd ways to go round: what is a lap and a track there, and what is none.
func TestOddRounds(t *testing.T) {
	t.Parallel()
	dbtest.NeedsBackends(t, "the same on both editions: it is worked out of what was read")
	h := newServer(t)
	laps := func(id string) *analysis.Laps {
		t.Helper()
		race, err := h.store.Analysis.Laps(t.Context(), analysis.LapRequest{Session: id})
		if err != nil {
			t.Fatal(id, err)
		}
		return race
	}
	check := func(id string, want int, seconds float64) *analysis.Laps {
		t.Helper()
		race := laps(id)
		if len(race.Laps) != want {
			t.Errorf("%s: %d laps, want %d", id, len(race.Laps), want)
		}
		for _, l := range race.Laps {
			if math.Abs(l.Seconds-seconds) > 0.5 {
				t.Errorf("%s: lap %d takes %.1f s, want %.1f", id, l.Lap, l.Seconds, seconds)
			}
		}
		return race
	}
	// An eight of two circles of 80 m, which crosses itself in the start line.
	circle := 2 * math.Pi * 80
	eight := func(way float64) (x, y float64) {
		s := math.Mod(way, 2*circle)
		if s < circle {
			return 80 - 80*math.Cos(s/80), 80 * math.Sin(s/80)
		}
		return -80 + 80*math.Cos((s-circle)/80), 80 * math.Sin((s-circle)/80)
	}
	oval := func(way float64) (x, y float64) { return 600 + 100*math.Cos(way/100), 100 * math.Sin(way/100) }
	h.insert(wayRun("eight", 1, 4*2*circle+100, func(w float64) (float64, float64) { return eight(w + 60) })...)
	h.insert(wayRun("eight again", 2, 3*2*circle+100, func(w float64) (float64, float64) { return eight(w + 700) })...)
	h.insert(wayRun("oval", 3, 4*200*math.Pi+50, oval)...)
	h.insert(wayRun("oval back", 4, 4*200*math.Pi+50, func(w float64) (float64, float64) { return oval(-w) })...)
	h.insert(wayRun("straight on", 5, 3000, func(w float64) (float64, float64) { return w, 3000 })...)
	h.insert(wayRun("there and back", 6, 3000, func(w float64) (float64, float64) { return math.Min(w, 3000-w), 5000 })...)
	first := check("eight", 4, 2*circle/10)
	if again := check("eight again", 3, 2*circle/10); first.Track == nil || again.Track == nil || again.Track.ID != first.Track.ID {
		t.Errorf("an eight is on %v and on %v", first.Track, again.Track)
	}
	forth, back := check("oval", 4, 20*math.Pi), check("oval back", 4, 20*math.Pi)
	if forth.Track == nil || back.Track == nil || forth.Track.ID == back.Track.ID {
		t.Errorf("both ways round are on %v and %v", forth.Track, back.Track)
	}
	check("straight on", 0, 0)
	check("there and back", 0, 0)
}

// Odd runs of a track that is known: no lap is missed, and the track stays what it is.
func TestOddRuns(t *testing.T) {
	t.Parallel()
	dbtest.NeedsBackends(t, "the same on both editions: it is worked out of what was read")
	h := newServer(t)
	oval := func(way float64) (x, y float64) { return 600 + 100*math.Cos(way/100), 100 * math.Sin(way/100) }
	round := 200 * math.Pi
	ask := func(id string) *analysis.Laps {
		t.Helper()
		race, err := h.store.Analysis.Laps(t.Context(), analysis.LapRequest{Session: id})
		if err != nil {
			t.Fatal(id, err)
		}
		return race
	}
	h.insert(wayRun("first", 1, 4*round+50, oval)...)
	id := ask("first").Track.ID

	// Standing on the finish for a minute: one pass, a lap with a pause.
	var stands []rec
	late := time.Duration(0)
	for i, r := range wayRun("stands", 2, 4*round+50, oval) {
		at, _ := time.Parse(time.RFC3339Nano, r["timestamp"].(string))
		r["timestamp"] = record.FormatTime(at.Add(late))
		stands = append(stands, r)
		if float64(i)*2 > 2*round && late == 0 {
			for late < time.Minute {
				late += 200 * time.Millisecond
				still := rec{}
				for k, v := range r {
					still[k] = v
				}
				still["speed_ms"], still["power_w"], still["timestamp"] = 0, 5, record.FormatTime(at.Add(late))
				stands = append(stands, still)
			}
		}
	}
	h.insert(stands...)
	race := ask("stands")
	paused := 0
	for _, l := range race.Laps {
		if l.Paused > 0 {
			if paused++; l.TimeRank != nil || math.Abs(l.Seconds-round/10-60) > 1 {
				t.Errorf("a lap of %v s with a pause of %v s ranks %v", l.Seconds, l.Paused, l.TimeRank)
			}
		}
	}
	if len(race.Laps) != 4 || paused != 1 || race.Track == nil || race.Track.ID != id {
		t.Errorf("standing on the finish: %d laps, %d with a pause, on %v", len(race.Laps), paused, race.Track)
	}

	// No fixes for 200 m around a pass of the finish; the speed goes on.
	blind := wayRun("blind", 3, 4*round+50, oval)
	for i, r := range blind {
		if math.Abs(float64(i)*2-2*round) < 100 {
			delete(r, "latitude")
			delete(r, "longitude")
		}
	}
	h.insert(blind...)
	race = ask("blind")
	for _, l := range race.Laps {
		if math.Abs(l.Seconds-round/10) > 0.2 {
			t.Errorf("without fixes at the finish a lap takes %v s", l.Seconds)
		}
	}
	if len(race.Laps) != 4 || race.Track == nil || race.Track.ID != id {
		t.Errorf("without fixes at the finish: %d laps on %v", len(race.Laps), race.Track)
	}

	// Two cars send under one name, half a lap apart.
	both := wayRun("both", 4, 4*round+50, oval)
	for i, r := range wayRun("both", 5, 4*round+50, func(w float64) (float64, float64) { return oval(w + round/2) }) {
		at, _ := time.Parse(time.RFC3339Nano, r["timestamp"].(string))
		r["timestamp"] = record.FormatTime(at.Add(time.Duration(50+i%7) * time.Millisecond))
		both = append(both, r)
	}
	h.insert(both...)
	if race := ask("both"); len(race.Laps) > 8 {
		t.Errorf("two cars in one run go %d laps", len(race.Laps))
	}
	if race := ask("first"); race.Track.ID != id || len(race.Laps) != 4 {
		t.Errorf("the first run has become %+v", race.Track)
	}
}

// Many instances work out runs of one new track at once, while one of them is deleted:
// there is one track, and nothing fails.
func TestTracksAtOnce(t *testing.T) {
	t.Parallel()
	pool := dbtest.New(t)
	var stores []*timeseries.Store
	for range 2 {
		stores = append(stores, timeseries.New(pool, timeseries.Options{InFlight: new(load.InFlight)}))
	}
	h := &server{t: t, store: stores[0], pool: pool}
	oval := func(way float64) (x, y float64) { return 600 + 100*math.Cos(way/100), 100 * math.Sin(way/100) }
	const runs = 6
	for k := range runs {
		h.insert(wayRun(fmt.Sprint("run-", k), uint64(k), 3*200*math.Pi+50, func(w float64) (float64, float64) { return oval(w + 50*float64(k)) })...)
	}
	var all sync.WaitGroup
	for i := range 2 * runs {
		all.Go(func() {
			id := fmt.Sprint("run-", i%runs)
			race, err := stores[i/runs].Analysis.Laps(t.Context(), analysis.LapRequest{Session: id})
			if err != nil && !fault.Is(err, fault.NotFound) {
				t.Errorf("%s: %v", id, err)
			} else if err == nil && len(race.Laps) != 3 && id != "run-0" {
				t.Errorf("%s: %d laps", id, len(race.Laps))
			}
		})
	}
	all.Go(func() {
		if _, err := stores[1].Analysis.Refresh(context.WithoutCancel(t.Context())); err != nil {
			t.Errorf("refresh: %v", err)
		}
	})
	all.Go(func() {
		if _, err := stores[0].DeleteSession(t.Context(), "run-0"); err != nil {
			t.Errorf("delete: %v", err)
		}
	})
	all.Wait()
	list, err := stores[0].Tracks.List(t.Context(), nil)
	if err != nil || len(list) != 1 {
		t.Errorf("%d tracks, %v", len(list), err)
	}
	if _, err := stores[0].PurgeDeleted(t.Context()); err != nil {
		t.Fatal(err)
	}
	var left int
	if err := pool.QueryRow(t.Context(), "SELECT count(*) FROM analysis_sectors a LEFT JOIN sessions s USING (session) WHERE s.session IS NULL").Scan(&left); err != nil || left != 0 {
		t.Errorf("%d sectors of runs that are gone, %v", left, err)
	}
}
