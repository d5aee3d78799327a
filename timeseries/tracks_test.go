package timeseries_test

import (
	"bytes"
	"context"
	"fmt"
	"math"
	"math/rand/v2"
	"os"
	"slices"
	"sort"
	"strconv"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/ecovolt/telemetryd/internal/await"
	"github.com/ecovolt/telemetryd/internal/dbtest"
	"github.com/ecovolt/telemetryd/internal/simulate"
	schema "github.com/ecovolt/telemetryd/sql"
	"github.com/ecovolt/telemetryd/timeseries"
	"github.com/ecovolt/telemetryd/timeseries/analysis"
	"github.com/ecovolt/telemetryd/timeseries/compare"
	"github.com/ecovolt/telemetryd/timeseries/decode"
	"github.com/ecovolt/telemetryd/timeseries/ingest"
	"github.com/ecovolt/telemetryd/timeseries/track"
)

// drivenBy is a car that was simulated for some laps and a little more, and stored.
func drivenBy(t *testing.T, s *timeseries.Store, opt simulate.Options) *simulate.Car {
	t.Helper()
	car := simulate.New(opt)
	var text bytes.Buffer
	for {
		line := car.Next().AppendJSON(nil)
		text.Write(append(line, '\n'))
		if seconds, _ := car.When(car.Around()*float64(len(opt.Paces)) + 30); !math.IsNaN(seconds) {
			break
		}
	}
	decoder := decode.New(&text, decode.Options{Format: decode.FormatJSON})
	if _, err := s.Writer.IngestStream(t.Context(), decoder, ingest.Options{Source: "test"}); err != nil {
		t.Fatal(err)
	}
	return car
}

// Cars that drive laps of known times on circuits that nobody has heard of, with fixes
// that are off by 2 m, five records a second and drop-outs: the track is found, no
// lap is missed or invented, and what laps and sectors took is what they truly took.
// TELEMETRYD_TEST_RUNS says on how many circuits.
func TestLapsOfSimulatedCars(t *testing.T) {
	t.Parallel()
	dbtest.NeedsBackends(t, "the same on both editions: it is worked out of what was read")
	s := timeseries.New(dbtest.New(t), timeseries.Options{})
	runs := 4
	if more, err := strconv.Atoi(os.Getenv("TELEMETRYD_TEST_RUNS")); err == nil {
		runs = more
	}
	var laps, sectors, joules, later, more, stated []float64
	for seed := range uint64(runs) {
		rng := rand.New(rand.NewPCG(seed, 5))
		opt := simulate.Options{Seed: seed, Circuit: seed + 1, SessionID: fmt.Sprint("run-", seed), Rate: 5, Noise: -1, Fixes: 2, DropOuts: 0.01}
		for range 6 {
			opt.Paces = append(opt.Paces, 0.92+0.16*rng.Float64())
		}
		car := drivenBy(t, s, opt)
		race, err := s.Analysis.Laps(t.Context(), analysis.LapRequest{Session: opt.SessionID})
		if err != nil {
			t.Fatal(err)
		}
		if race.Track == nil || len(race.Laps) != len(opt.Paces) {
			t.Errorf("seed %d: %d laps of %d on %v", seed, len(race.Laps), len(opt.Paces), race.Track)
			continue
		}
		circuit, err := s.Tracks.Get(t.Context(), race.Track.ID, nil)
		if err != nil {
			t.Fatal(err)
		}
		if math.Abs(circuit.Length/car.Around()-1) > 0.01 {
			t.Errorf("seed %d: a track of %.0f m, truly %.0f m", seed, circuit.Length, car.Around())
		}
		low, high := heights(t, circuit.Line)
		if rise := high - low; rise < 1 || rise > 25 {
			t.Errorf("seed %d: %.1f m high", seed, rise)
		}
		gates := make([]float64, len(circuit.Sectors))
		for k := range gates {
			gates[k] = car.Nearest(circuit.Sectors[k].Latitude, circuit.Sectors[k].Longitude)
		}
		gates[0] = math.Remainder(gates[0], car.Around()) // about where the car began
		for i, lap := range race.Laps {
			begin := car.Around() * float64(i)
			from, before := car.When(begin)
			to, _ := car.When(begin + car.Around())
			laps = append(laps, math.Abs(lap.Seconds-(to-from)))
			stated = append(stated, math.Abs(lap.Seconds-(to-from)) / *lap.Error)
			if i > 0 {
				from, before = car.When(begin + gates[0])
			}
			for k, sector := range lap.Sectors {
				end := car.Around() + gates[0]
				if k+1 < len(gates) {
					end = gates[k+1]
				}
				at, used := car.When(begin + end)
				sectors = append(sectors, math.Abs(sector.Seconds-(at-from)))
				stated = append(stated, math.Abs(sector.Seconds-(at-from)) / *sector.Error)
				// Of what a sector takes on average: one downhill may take nothing.
				joules = append(joules, math.Abs(*sector.Energy*3600-(used-before))*float64(len(gates))/(*lap.Energy*3600))
				from, before = at, used
			}
		}
		dt, de := compared(t, s, car, opt.SessionID)
		later, more = append(later, dt...), append(more, de...)
	}
	report := func(what string, list []float64, median, worst float64) {
		slices.Sort(list)
		if len(list) == 0 {
			t.Fatalf("no %s", what)
		}
		m, w := list[len(list)/2], list[len(list)-1]
		t.Logf("%s: median %.4f, 95 of 100 %.4f, worst %.4f of %d", what, m, list[len(list)*95/100], w, len(list))
		if m > median || w > worst {
			t.Errorf("%s is off by %.4f (median) and up to %.4f, at most %.4f and %.4f", what, m, w, median, worst)
		}
	}
	report("time of a lap, s", laps, 0.02, 0.06)
	report("time of a sector, s", sectors, 0.02, 0.09)
	report("energy of a sector, of 1", joules, 0.001, 0.008)
	if off := len(joules) - sort.SearchFloat64s(joules, 0.005); off > len(joules)/500 { // a hundredth of a second at full power, at both ends
		t.Errorf("the energy of %d sectors of %d is off by more than 0.5 %%", off, len(joules))
	}
	report("error by what is stated", stated, 1, 5)
	if within := sort.SearchFloat64s(stated, 1); within < len(stated)*6/10 || within > len(stated)*9/10 {
		t.Errorf("%d of %d times are off by less than the stated deviation, want 68 of 100", within, len(stated))
	}
	if within := sort.SearchFloat64s(stated, 2); within < len(stated)*9/10 {
		t.Errorf("%d of %d times are off by less than two of the stated deviations, want 95 of 100", within, len(stated))
	}
	report("time against the first lap, s", later, 0.02, 0.06)
	report("energy against the first lap, of a lap's", more, 0.0005, 0.003)
}

func heights(t *testing.T, line []track.Corner) (low, high float64) {
	low, high = math.Inf(1), math.Inf(-1)
	for _, c := range line {
		if c.Altitude == nil {
			t.Fatal("a corner without an altitude")
		}
		low, high = min(low, *c.Altitude), max(high, *c.Altitude)
	}
	return low, high
}

// compared are by how much the differences at the end of laps to the second one are
// wrong: s, and J as a share of the lap's.
func compared(t *testing.T, s *timeseries.Store, car *simulate.Car, run string) (dt, de []float64) {
	t.Helper()
	req := compare.Request{Points: 100, By: "position"}
	for _, n := range []int64{2, 3, 4, 5} {
		req.Laps = append(req.Laps, compare.Lap{Run: run, Number: n})
	}
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	answer, err := s.Laps.Read(ctx, req)
	if err != nil {
		t.Fatal(err)
	}
	truth := func(lap int64) (seconds, joules float64) {
		from, before := car.When(car.Around() * float64(lap-1))
		to, after := car.When(car.Around() * float64(lap))
		return to - from, after - before
	}
	seconds, joules := truth(2)
	for _, lap := range answer.Laps[1:] {
		s, j := truth(lap.Lap)
		dt = append(dt, math.Abs(*lap.TimeMore[len(lap.TimeMore)-1]-(s-seconds)))
		de = append(de, math.Abs(*lap.More[len(lap.More)-1]-(j-joules))/joules)
	}
	return dt, de
}

// A run that goes on draws its track better from more laps, but not over gates that
// somebody sets in the meantime.
func TestEditWhileATrackIsRedrawn(t *testing.T) {
	t.Parallel()
	dbtest.NeedsBackends(t, "an edit waits while another connection works")
	h := newServer(t)
	records, _, _ := circle(time.Date(2026, 3, 21, 12, 0, 0, 0, time.UTC), 8)
	h.insert(records[:900]...)
	laps := func() *analysis.Laps {
		race, err := h.store.Analysis.Laps(t.Context(), analysis.LapRequest{Session: "race"})
		if err != nil || race.Track == nil {
			t.Fatal(err, race)
		}
		return race
	}
	id := laps().Track.ID
	h.insert(records[900:]...)
	h.analyseAnew()
	redrawn := make(chan error, 1)
	ctx := schema.WithBeforeCommit(t.Context(), func(context.Context, pgx.Tx) error {
		go func() {
			_, err := h.store.Analysis.Update(t.Context(), "race")
			redrawn <- err
		}()
		await.Until(t, "the run to wait for the edit", func() bool {
			return h.count("SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'") > 0
		})
		return nil
	})
	if _, err := h.store.Tracks.Edit(ctx, id, track.Edit{Sectors: []track.SectorEdit{{Name: "Start", From: 0}, {Name: "Back", From: 400}}}); err != nil {
		t.Fatal(err)
	}
	if err := <-redrawn; err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, s := range laps().Sectors {
		got = append(got, fmt.Sprintf("%s %.0f", s.Name, s.From/10))
	}
	if want := []string{"Start 0", "Back 40"}; !slices.Equal(got, want) {
		t.Errorf("sectors %q, want %q", got, want)
	}
}
