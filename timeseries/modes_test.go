package timeseries_test

import (
	"fmt"
	"math"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/ecovolt/telemetryd/timeseries/analysis"
	"github.com/ecovolt/telemetryd/timeseries/record"
)

// A driver who pulses changes the mode within a second. What each mode took is the sum over
// the steps between records, each in the mode that was sent before it; after a silence it
// takes a new one to be in any.
func TestDriverModes(t *testing.T) {
	t.Parallel()
	h := newServer(t)
	for seed := range fewer(t, 4, 1) {
		id := fmt.Sprint("race-", seed)
		rng := rand.New(rand.NewPCG(seed, 3))
		type sums struct{ seconds, way, energy float64 }
		want := map[string]sums{}
		at := time.Date(2026, 6, 3, 10, 0, 0, 0, time.UTC)
		var records []rec
		held, mode, speed, power := "", "glide", 0.0, 0.0
		for i := range 4000 {
			step := 50 * time.Millisecond
			if rng.IntN(700) == 0 {
				step += 30 * time.Second
			}
			if i > 0 {
				at = at.Add(step)
			}
			if rng.IntN(60) == 0 {
				mode = []string{"glide", "pulse", "brake"}[rng.IntN(3)]
			}
			s, p := 5+5*rng.Float64(), map[string]float64{"glide": 5, "pulse": 800, "brake": -100}[mode]
			switch {
			case step > time.Second:
				held = ""
			case held != "" && i > 0:
				w, took := want[held], step.Seconds()
				want[held] = sums{w.seconds + took, w.way + took*(speed+s)/2, w.energy + took*(power+p)/2}
			}
			speed, power = s, p
			r := rec{"session_id": id, "timestamp": record.FormatTime(at), "speed_ms": s, "power_w": p}
			if rng.IntN(3) > 0 {
				r["driver_mode"], held = mode, mode
			}
			records = append(records, r)
		}
		late := rng.IntN(3000)
		h.insert(append(append([]rec{}, records[:late]...), records[late+500:]...)...)
		for range 2 {
			h.analyseAnew()
			race, err := h.store.Analysis.Laps(t.Context(), analysis.LapRequest{Session: id})
			if err != nil {
				t.Fatal(err)
			}
			if late < 0 { // all is there
				got, share := map[string]sums{}, 0.0
				for _, m := range race.Modes {
					got[m.Mode] = sums{m.Seconds, *m.Distance, *m.Energy * 3600}
					share += *m.Share
				}
				for name, w := range want {
					g := got[name]
					if math.Abs(g.seconds-w.seconds) > 1e-3 || math.Abs(g.way-w.way) > 1e-2 || math.Abs(g.energy-w.energy) > 1 {
						t.Errorf("seed %d, %s: %+v, want %+v", seed, name, g, w)
					}
				}
				if len(got) != len(want) || math.Abs(share-1) > 1e-9 {
					t.Errorf("seed %d: modes %v with a share of %v, want those of %v", seed, got, share, want)
				}
				break
			}
			h.insert(records[late : late+500]...)
			late = -1
		}
	}
}

// A car may send what it likes as its mode: a minute tells a hundred apart, by the first
// 200 bytes.
func TestManyDriverModes(t *testing.T) {
	t.Parallel()
	h := newServer(t)
	at := time.Date(2026, 6, 3, 10, 0, 0, 0, time.UTC)
	var records []rec
	for i := range 250 {
		records = append(records, rec{"session_id": "race", "timestamp": record.FormatTime(at), "speed_ms": 5, "power_w": 50, "driver_mode": fmt.Sprintf("%d %0300d", i, 0)})
		at = at.Add(200 * time.Millisecond)
	}
	h.insert(records...)
	race, err := h.store.Analysis.Laps(t.Context(), analysis.LapRequest{Session: "race"})
	if err != nil || len(race.Modes) != 100 || len(race.Modes[0].Mode) > 204 || race.Modes[0].Seconds != 0.2 {
		t.Fatal(err, len(race.Modes), race.Modes)
	}
}
