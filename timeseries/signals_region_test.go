package timeseries_test

import (
	"fmt"
	"math"
	"math/rand/v2"
	"reflect"
	"slices"
	"sort"
	"testing"
	"time"

	"github.com/ecovolt/telemetryd/internal/dbtest"
	"github.com/ecovolt/telemetryd/internal/fault"
	"github.com/ecovolt/telemetryd/timeseries/record"
	"github.com/ecovolt/telemetryd/timeseries/region"
	"github.com/ecovolt/telemetryd/timeseries/rollup"
	"github.com/ecovolt/telemetryd/timeseries/signal"
)

// place is the mean of the fixes of half a second, as test data has them.
type place struct{ at, lat, lon, n float64 }

// rounds are records of cars that circle on the meridian of 180 degrees. One of three has no
// position, some have one that is none, and there is a gap. The places are those of each run.
func rounds(rng *rand.Rand, runs, each int) (list []rec, places map[string][]place) {
	places = map[string][]place{}
	for run := range runs {
		id, at := fmt.Sprint("run-", run), raceStart
		for i := range each {
			if at = at.Add(100 * time.Millisecond); i == each/2 {
				at = at.Add(20 * time.Second)
			}
			r := rec{"session_id": id, "timestamp": record.FormatTime(at), "message_id": i, "speed_ms": 10 * rng.Float64(), "power_w": float64(rng.IntN(300))}
			angle := float64(at.Sub(raceStart).Milliseconds())/1e4 + float64(run)
			lat, lon := -17+math.Sin(angle)/1000, 180+math.Cos(angle)/1000
			switch rng.IntN(15) {
			case 0, 1, 2, 3, 4:
			case 5:
				r["latitude"], r["longitude"] = 0.0, 0.0 // a receiver without a fix
			case 6:
				r["latitude"], r["longitude"] = 1.0, 3.0 // one that is somewhere else for a moment
			default:
				r["latitude"], r["longitude"] = lat, math.Remainder(lon, 360)
				micros := float64(at.UnixMicro())
				of := places[id]
				if n := len(of); n == 0 || math.Floor(of[n-1].at/5e5) != math.Floor(micros/5e5) {
					of = append(of, place{micros, lat, lon, 1})
				} else {
					p := &of[n-1]
					p.n++
					p.at, p.lat, p.lon = p.at+(micros-p.at)/p.n, p.lat+(lat-p.lat)/p.n, p.lon+(lon-p.lon)/p.n
				}
				places[id] = of
			}
			list = append(list, r)
		}
	}
	return list, places
}

// within reports whether a car was in a region, as package region defines it.
func within(places []place, at float64, box region.Box) bool {
	in := func(lat, lon float64) bool {
		west, east := math.Mod(box.West+360, 360), math.Mod(box.East+360, 360)
		return lat >= box.South && lat <= box.North && lon >= west && lon <= east
	}
	next := sort.Search(len(places), func(i int) bool { return places[i].at > at })
	switch next {
	case 0:
		return places[0].at-at <= 250_000 && in(places[0].lat, places[0].lon)
	case len(places):
		last := places[len(places)-1]
		return at-last.at < 250_000 && in(last.lat, last.lon)
	}
	p, q := places[next-1], places[next]
	if q.at-p.at > 2_500_000 {
		return at-p.at < 250_000 && in(p.lat, p.lon) || q.at-at <= 250_000 && in(q.lat, q.lon)
	}
	f := (at - p.at) / (q.at - p.at)
	return in(p.lat+f*(q.lat-p.lat), p.lon+f*(q.lon-p.lon))
}

// Signals of a region are those of the records, with a position or without, while the car was
// in it, in a window, in laps and in several runs; and that is when the run is said to be there.
func TestSignalsOfARegion(t *testing.T) {
	t.Parallel()
	dbtest.NeedsBackends(t, "the same on both editions: the records of laps are counted so, too")
	h := newServer(t)
	h.store.Signals.PieceRecords = 300
	rng := rand.New(rand.NewPCG(14, 5))
	list, places := rounds(rng, 2, 700)
	h.insert(list...)
	for id := range places {
		if _, err := h.store.Analysis.Update(t.Context(), id); err != nil {
			t.Fatal(err)
		}
	}
	bins, found := signal.Bins{Count: 10}, 0
	for range 30 {
		corner := func(middle float64) (float64, float64) {
			a, b := middle+(2*rng.Float64()-1)/700, middle+(2*rng.Float64()-1)/700
			return min(a, b), max(a, b)
		}
		south, north := corner(-17)
		west, east := corner(180)
		box, err := region.Of([]float64{south, math.Remainder(west, 360), north, math.Remainder(east, 360)})
		if err != nil {
			t.Fatal(err)
		}
		var progress func(float64)
		if rng.IntN(2) == 0 {
			progress = func(float64) {} // in pieces
		}
		req := signal.Request{Progress: progress, Runs: []string{"run-0", "run-1"}[:1+rng.IntN(2)], X: "speed_ms", Y: "power_w", XBins: bins, YBins: bins, Region: &box}
		moment := func() time.Time { return raceStart.Add(time.Duration(rng.IntN(700)) * 100 * time.Millisecond) }
		if from, to := moment(), moment(); from.Before(to) {
			if req.From, req.To = from, to; len(req.Runs) == 1 && rng.IntN(2) == 0 {
				req.From, req.To = time.Time{}, time.Time{}
				middle := from.Add(to.Sub(from) / 3)
				req.Laps = []rollup.Span{{From: from, To: middle}, {From: middle.Add(time.Second), To: to.Add(2 * time.Second)}}
			}
		}
		var there []rec
		for _, r := range list {
			at, _ := time.Parse(time.RFC3339Nano, r["timestamp"].(string))
			if id := r["session_id"].(string); within(places[id], float64(at.UnixMicro()), box) {
				there = append(there, r)
			}
		}
		got, err := h.store.Signals.Read(t.Context(), req)
		if err != nil {
			t.Fatalf("%+v: %v", req, err)
		}
		y := []float64{}
		if got.Y != nil {
			y = got.Y.Edges
		}
		if len(got.X.Edges) == 0 {
			if _, _, records, _, _, _ := bruteForce(there, req, []float64{0, 1}, []float64{0, 1}); records > 0 || got.Records > 0 {
				t.Fatalf("%+v: %d of %d records, but no edges", req, got.Records, records)
			}
			continue
		}
		counts, _, records, _, _, _ := bruteForce(there, req, got.X.Edges, y)
		if found += int(records); got.Records != records || !reflect.DeepEqual(got.Counts, counts) {
			t.Fatalf("%+v: %d records in %v, want %d in %v", req, got.Records, got.Counts, records, counts)
		}
		if again, err := h.store.Signals.Read(t.Context(), req); err != nil || again != got {
			t.Fatalf("asked again it is counted again: %v", err)
		}
		req.Region = nil
		if all, err := h.store.Signals.Read(t.Context(), req); err != nil || all == got {
			t.Fatalf("everywhere is not in the region: %v", err)
		}
		stays, err := h.store.Signals.Stays(t.Context(), "run-0", box)
		if err != nil {
			t.Fatal(err)
		}
		for _, r := range list[:700] {
			at, _ := time.Parse(time.RFC3339Nano, r["timestamp"].(string))
			in := slices.ContainsFunc(stays, func(s rollup.Span) bool { return !at.Before(s.From) && at.Before(s.To) })
			if want := within(places["run-0"], float64(at.UnixMicro()), box); in != want {
				t.Fatalf("%v: in the region is %v, want %v", at, in, want)
			}
		}
	}
	if found < 1000 {
		t.Errorf("no more than %d records were found", found)
	}
}

func TestRegionsAreChecked(t *testing.T) {
	t.Parallel()
	nan := math.NaN()
	for _, corners := range [][]float64{nil, {1, 2, 3}, {2, 1, 1, 2}, {1, 1, 1, 2}, {-91, 0, 0, 1}, {0, -181, 1, 0}, {0, 0, 1, 181}, {0, 1, 1, 1}, {0, -100, 1, 100}, {0, 2, 1, 1}, {nan, 0, 1, 1}, {0, 0, 1, nan}} {
		if _, err := region.Of(corners); fault.As(err) == nil || fault.As(err).Problems[0].Field != "region" {
			t.Errorf("%v: %v", corners, err)
		}
	}
	if _, err := region.Of([]float64{0, 179, 1, -179}); err != nil {
		t.Error(err)
	}
}
