package timeseries_test

import (
	"encoding/json"
	"math"
	"slices"
	"testing"
	"time"

	"github.com/ecovolt/telemetryd/internal/await"
	"github.com/ecovolt/telemetryd/internal/dbtest"
	"github.com/ecovolt/telemetryd/internal/fault"
	"github.com/ecovolt/telemetryd/timeseries"
	"github.com/ecovolt/telemetryd/timeseries/analysis"
	"github.com/ecovolt/telemetryd/timeseries/compare"
	"github.com/ecovolt/telemetryd/timeseries/record"
)

const (
	trackRadius = 100.0 // m
	trackLat    = 52.0
	trackLon    = 4.0
)

// circle drives laps at 10 m/s on a circle, at 5 Hz, with a stop of 90 s half
// round the fourth lap and the driver coasting in every second lap.
func circle(start time.Time, laps int) (records []rec, stopFrom, stopTo time.Time) {
	t, way := start, 0.0
	round := 2 * math.Pi * trackRadius
	add := func(speed, power float64) {
		angle := way / trackRadius
		mode := "eco"
		if int(way/round)%2 == 1 {
			mode = "coasting"
		}
		records = append(records, rec{
			"session_id": "race", "timestamp": record.FormatTime(t), "speed_ms": speed, "power_w": power, "driver_mode": mode,
			"latitude":  trackLat + trackRadius*math.Sin(angle)/111195,
			"longitude": trackLon + trackRadius*math.Cos(angle)/(111195*math.Cos(trackLat*math.Pi/180)),
		})
		t = t.Add(200 * time.Millisecond)
	}
	for way < round*float64(laps)+5 {
		lap := int(way / round)
		if stopFrom.IsZero() && lap == 3 && way > 3.5*round {
			stopFrom = t
			for range 450 {
				add(0, 0)
			}
			stopTo = t
		}
		add(10, 100+10*float64(lap))
		way += 2
	}
	return records, stopFrom, stopTo
}

func TestLaps(t *testing.T) {
	t.Parallel()
	s := timeseries.New(dbtest.New(t), timeseries.Options{})
	start := time.Date(2026, 3, 21, 12, 0, 0, 300_000_000, time.UTC)
	records, stopFrom, stopTo := circle(start, 8)
	text, err := json.Marshal(records)
	if err != nil {
		t.Fatal(err)
	}
	storeJSON(t, s, text)
	refresh(t, s)
	lat, lon := trackLat+trackRadius/111195, trackLon // a quarter round
	for name, req := range map[string]analysis.LapRequest{
		"by recurrence": {Session: "race"},
		"by a line":     {Session: "race", Latitude: &lat, Longitude: &lon},
	} {
		race, err := s.Analysis.Laps(t.Context(), req)
		if err != nil {
			t.Fatal(err)
		}
		want := 8
		if req.Latitude != nil {
			want = 7
		}
		if len(race.Laps) != want {
			t.Fatalf("%s: %d laps, want %d: %+v", name, len(race.Laps), want, race.Laps)
		}
		for i, lap := range race.Laps {
			seconds, energy := 2*math.Pi*trackRadius/10, 2*math.Pi*trackRadius/10*(100+10*float64(i))/3600
			if stopFrom.After(lap.From) && stopTo.Before(lap.To) {
				seconds += 90
				if lap.TimeRank != nil || lap.EfficiencyRank != nil || math.Abs(lap.Paused-90) > 1 {
					t.Errorf("%s: the lap with the stop ranks %v and %v, paused %v s", name, lap.TimeRank, lap.EfficiencyRank, lap.Paused)
				}
			} else if lap.Paused != 0 || lap.TimeRank == nil || lap.EfficiencyRank == nil {
				t.Errorf("%s: lap %d is paused for %v s", name, i+1, lap.Paused)
			}
			if math.Abs(lap.Seconds-seconds) > 0.5 {
				t.Errorf("%s: lap %d takes %v s, want %v", name, i+1, lap.Seconds, seconds)
			}
			if math.Abs(*lap.Distance-2*math.Pi*trackRadius) > 12 {
				t.Errorf("%s: lap %d is %v m long", name, i+1, *lap.Distance)
			}
			if req.Latitude == nil && math.Abs(*lap.Energy-energy) > 0.06*energy {
				t.Errorf("%s: lap %d takes %v Wh, want %v", name, i+1, *lap.Energy, energy)
			}
		}
		// One lap of those has a pause.
		if first, last := *race.Laps[0].EfficiencyRank, *race.Laps[want-1].EfficiencyRank; first != 1 || last != int64(want)-1 {
			t.Errorf("%s: efficiency ranks %d and %d", name, first, last)
		}
		checkSectors(t, race, req.Latitude != nil)
		if len(race.Stops) != 1 || race.Stops[0].From.Sub(stopFrom).Abs() > 2*time.Second || race.Stops[0].To.Sub(stopTo).Abs() > 2*time.Second {
			t.Errorf("stops %+v, want %v to %v", race.Stops, stopFrom, stopTo)
		}
		if len(race.Stints) != 2 || math.Abs(*race.Stints[0].Distance-3.5*2*math.Pi*trackRadius) > 15 {
			t.Errorf("stints %+v", race.Stints)
		}
		if len(race.Modes) != 2 || race.Modes[0].Mode != "coasting" || math.Abs(*race.Modes[0].Share+*race.Modes[1].Share-1) > 1e-9 {
			t.Errorf("modes %+v", race.Modes)
		}
	}
	if _, err := s.Analysis.Laps(t.Context(), analysis.LapRequest{Session: "nobody"}); !fault.Is(err, fault.NotFound) {
		t.Errorf("no such session: %v", err)
	}
	if _, err := s.Analysis.Laps(t.Context(), analysis.LapRequest{Session: "race", Latitude: &lat}); !fault.Is(err, fault.Invalid) {
		t.Errorf("half a line: %v", err)
	}
}

// checkSectors holds sectors against their laps, of a car that drives evenly, at
// 100 W or more, except for a pause.
func checkSectors(t *testing.T, race *analysis.Laps, none bool) {
	t.Helper()
	if none {
		if len(race.Sectors) != 0 || len(race.Laps[0].Sectors) != 0 || race.Best == nil || race.Best.Theoretical != nil {
			t.Errorf("sectors from another line: %+v", race.Sectors)
		}
		return
	}
	length := 0.0
	for _, s := range race.Sectors {
		length += s.Length
	}
	if len(race.Sectors) < 3 || math.Abs(length-2*math.Pi*trackRadius) > 6 {
		t.Fatalf("sectors %+v", race.Sectors)
	}
	for _, lap := range race.Laps {
		var seconds, metres, wh, paused float64
		for i, s := range lap.Sectors {
			seconds, metres, wh, paused = seconds+s.Seconds, metres+*s.Distance, wh+*s.Energy, paused+s.Paused
			even := race.Sectors[i].Length / 10
			if s.Paused == 0 && (math.Abs(s.Seconds-even) > 0.2 || s.TimeRank == nil || math.Abs(*s.MaxSpeed-36) > 1e-6 || *s.Coasting != 0) {
				t.Errorf("lap %d, sector %d: %+v, want %.2f s", lap.Lap, i+1, s, even)
			}
			if s.Paused > 0 && s.TimeRank != nil {
				t.Errorf("lap %d: sector %d with a pause ranks %d", lap.Lap, i+1, *s.TimeRank)
			}
		}
		if len(lap.Sectors) != len(race.Sectors) || math.Abs(seconds-lap.Seconds) > 1e-5 || math.Abs(metres-*lap.Distance) > 1e-6 || math.Abs(wh-*lap.Energy) > 1e-9 || math.Abs(paused-lap.Paused) > 1e-9 {
			t.Errorf("lap %d: sectors add up to %v s, %v m, %v Wh: %+v", lap.Lap, seconds, metres, wh, lap)
		}
		if lap.Valid != (lap.Paused == 0) || *lap.MaxPower != 100+10*float64(lap.Lap-1) && *lap.MaxPower != 100+10*float64(lap.Lap) {
			t.Errorf("lap %d: valid %v, up to %v W", lap.Lap, lap.Valid, *lap.MaxPower)
		}
	}
	if race.Best == nil || race.Best.Theoretical == nil || *race.Best.Theoretical > race.Best.Seconds || race.Best.Seconds-*race.Best.Theoretical > 1 {
		t.Errorf("best %+v", race.Best)
	}
}

// A run without positions has the laps that its car counts, wherever they are counted
// from; not those that were counted while nothing was heard of it, nor parts of one.
func TestLapsByCounter(t *testing.T) {
	t.Parallel()
	dbtest.NeedsBackends(t, "the same on both editions: it is worked out of what was read")
	h := newServer(t)
	start := time.Date(2026, 3, 21, 12, 0, 0, 0, time.UTC)
	for _, tc := range []struct {
		name, member string
		first        float64 // what the counter says at the start
		change       func(i int, r rec) bool
		want         []float64 // s; of each lap
	}{
		{"from one", "lap", 1, nil, []float64{60, 60, 60}},
		{"laps that are done", "lap_count", 0, nil, []float64{60, 60, 60}},
		{"an out lap", "Lap Number", 0, nil, []float64{60, 60}},
		{"from the middle on", "lap", 7, nil, []float64{60, 60}},
		{"a silence over a step", "lap", 1, func(i int, _ rec) bool { return i >= 550 && i < 700 }, []float64{70, 50, 60}},
		{"a silence over two steps", "lap", 1, func(i int, _ rec) bool { return i >= 550 && i < 1300 }, nil},
		{"a silence over two steps of many", "lap", 1, func(i int, r rec) bool { return i >= 50 && i < 700 }, []float64{70, 50, 60}},
		{"no whole number", "lap", 1.5, nil, nil},
		{"restarted", "lap", 1, func(i int, r rec) bool {
			if i >= 900 {
				r["lap"] = float64(i/600 - 0)
			}
			return false
		}, []float64{60, 60}},
		{"now and then", "lap", 1, func(i int, r rec) bool {
			if i%10 != 0 {
				delete(r, "lap")
			}
			return false
		}, []float64{60, 60, 60}},
	} {
		var records []rec
		for i := range 1900 { // at 10 Hz, laps of 60 s
			r := rec{"session_id": tc.name, "timestamp": record.FormatTime(start.Add(time.Duration(i) * 100 * time.Millisecond)), "power_w": 100, "speed_ms": 10,
				tc.member: tc.first + float64((i)/600)}
			if tc.change == nil || !tc.change(i, r) {
				records = append(records, r)
			}
		}
		h.insert(records[:len(records)/3]...)
		if _, err := h.store.Analysis.Laps(t.Context(), analysis.LapRequest{Session: tc.name}); err != nil {
			t.Fatal(err)
		}
		h.insert(records[len(records)/3:]...) // it goes on
		var race *analysis.Laps
		await.Until(t, "the analysis", func() bool { // of what takes long, readers get that of a moment ago
			var err error
			if race, err = h.store.Analysis.Laps(t.Context(), analysis.LapRequest{Session: tc.name}); err != nil {
				t.Fatal(err)
			}
			var current bool
			if err := h.pool.QueryRow(t.Context(), "SELECT s.batch = r.batch FROM sessions s JOIN analysis_runs r USING (session) WHERE s.id = $1", tc.name).Scan(&current); err != nil {
				t.Fatal(err)
			}
			return current
		})
		var got []float64
		for _, l := range race.Laps {
			got = append(got, math.Round(l.Seconds))
			if silent := l.Silent > 0; !silent && (math.Abs(*l.Distance-10*l.Seconds) > 0.01 || *l.Error > 0.5 || *l.Error == 0 && l.Lap > 1) {
				t.Errorf("%s: lap %+v", tc.name, l)
			}
		}
		if !slices.Equal(got, tc.want) || race.Track != nil || len(race.Sectors) != 0 {
			t.Errorf("%s: laps of %v s, want %v", tc.name, got, tc.want)
		}
	}
}

// metresFrom returns how far a place lies from a way.
func metresFrom(lat, lon float64, way [][]float64) float64 {
	nearest := math.Inf(1)
	scale := math.Cos(lat * math.Pi / 180)
	for i := 1; i < len(way); i++ {
		ax, ay := (way[i-1][0]-lon)*scale, way[i-1][1]-lat
		bx, by := (way[i][0]-lon)*scale, way[i][1]-lat
		dx, dy := bx-ax, by-ay
		along := 0.0
		if l := dx*dx + dy*dy; l > 0 {
			along = min(1, max(0, -(ax*dx+ay*dy)/l))
		}
		nearest = min(nearest, math.Hypot(ax+along*dx, ay+along*dy)*111195)
	}
	return nearest
}

// A way is parted by the step of its own fixes, however many records there are.
func TestTrackIsPartedAtGaps(t *testing.T) {
	t.Parallel()
	dbtest.NeedsBackends(t, "the same on both editions: it is worked out of what was read")
	h := newServer(t)
	start := time.Date(2026, 3, 21, 12, 0, 0, 0, time.UTC)
	for _, tc := range []struct {
		name            string
		every           int           // of the records, which are 100 ms apart, one has a position
		silence         time.Duration // in the middle
		parts, measured int
	}{
		{"dense", 1, 1900 * time.Millisecond, 1, 1000}, {"dense with a gap", 1, 3 * time.Second, 2, 1000},
		{"every 1 s", 10, 4 * time.Second, 1, 100}, {"every 1 s with a gap", 10, 7 * time.Second, 2, 100},
		{"every 10 s", 100, 40 * time.Second, 1, 10}, {"every 10 s with a gap", 100, time.Minute, 2, 10},
	} {
		var records []rec
		for i := range 1000 {
			at := start.Add(time.Duration(i) * 100 * time.Millisecond)
			if i >= 500 {
				at = at.Add(tc.silence - time.Duration(tc.every)*100*time.Millisecond)
			}
			r := rec{"session_id": tc.name, "timestamp": at.Format(time.RFC3339Nano), "speed_ms": 5}
			if i%tc.every == 0 {
				r["latitude"], r["longitude"] = 48.1+float64(i)*5e-6, 11.5
			}
			records = append(records, r)
		}
		h.insert(records...)
		track, err := h.store.Series.Track(t.Context(), tc.name, 0)
		if err != nil {
			t.Fatal(err)
		}
		if len(track.Parts) != tc.parts || track.Measured != tc.measured {
			t.Errorf("%s: %d parts of %d positions, want %d of %d", tc.name, len(track.Parts), track.Measured, tc.parts, tc.measured)
		}
	}
}

func TestTrack(t *testing.T) {
	t.Parallel()
	s := timeseries.New(dbtest.New(t), timeseries.Options{})
	records, _, _ := circle(time.Date(2026, 3, 21, 12, 0, 0, 0, time.UTC), 2)
	records[10]["latitude"], records[10]["longitude"] = 0, 0 // no fix
	text, err := json.Marshal(records)
	if err != nil {
		t.Fatal(err)
	}
	storeJSON(t, s, text)
	for _, tolerance := range []float64{0, 1, 10} {
		track, err := s.Series.Track(t.Context(), "race", tolerance)
		if err != nil {
			t.Fatal(err)
		}
		var feature struct {
			Type     string
			Geometry struct {
				Type        string
				Coordinates [][][]float64
			}
			Properties struct {
				Measured int
				Times    [][]float64
			}
		}
		if err := json.Unmarshal(track.AppendGeoJSON(nil), &feature); err != nil {
			t.Fatal(err)
		}
		if feature.Type != "Feature" || feature.Geometry.Type != "MultiLineString" || len(feature.Geometry.Coordinates) != 1 {
			t.Fatalf("feature %+v", feature)
		}
		way := feature.Geometry.Coordinates[0]
		if len(feature.Properties.Times[0]) != len(way) || feature.Properties.Measured != len(records)-1 {
			t.Errorf("%d times for %d positions, from %d", len(feature.Properties.Times[0]), len(way), feature.Properties.Measured)
		}
		if tolerance > 0 && len(way) > len(records)/4 {
			t.Errorf("%d of %d positions are left at %v m", len(way), len(records), tolerance)
		}
		for i, r := range records {
			if i != 10 {
				if d := metresFrom(r["latitude"].(float64), r["longitude"].(float64), way); d > tolerance+0.01 {
					t.Fatalf("at %v m, position %d lies %v m off", tolerance, i, d)
				}
			}
		}
	}
	if _, err := s.Series.Track(t.Context(), "nobody", 1); !fault.Is(err, fault.NotFound) {
		t.Errorf("no such session: %v", err)
	}
	if _, err := s.Series.Track(t.Context(), "race", math.NaN()); !fault.Is(err, fault.Invalid) {
		t.Errorf("a tolerance that is no number: %v", err)
	}
}

// Drives of a run that has not changed for a while come from memory, until it changes.
func TestLapsOfASettledRun(t *testing.T) {
	t.Parallel()
	dbtest.NeedsBackends(t, "the same on both editions: it is worked out of what was read")
	h := newServer(t)
	records, _, _ := circle(time.Date(2026, 3, 21, 12, 0, 0, 0, time.UTC), 8)
	half := len(records) / 4
	ask := func() *analysis.Laps {
		race, err := h.store.Analysis.Laps(t.Context(), analysis.LapRequest{Session: "race"})
		if err != nil {
			t.Fatal(err)
		}
		return race
	}
	h.insert(records[:half]...)
	ask()
	if _, err := h.pool.Exec(t.Context(), "UPDATE analysis_runs SET computed_at = now() - INTERVAL '1 hour'"); err != nil {
		t.Fatal(err)
	}
	if first, second := ask(), ask(); len(first.Stints) != 1 || len(first.Stops) != 0 || !slices.Equal(first.Modes, second.Modes) || len(second.Stints) != 1 {
		t.Errorf("%+v and %+v", first.Stints, second.Stints)
	}
	h.insert(records[half:]...)
	await.Until(t, "the other stint", func() bool { race := ask(); return len(race.Stints) == 2 && len(race.Stops) == 1 })
}

// Of minutes that a server of an older version worked out, which kept no highest power,
// it is not known; it is not 0 W.
func TestLapsOfAnOlderVersion(t *testing.T) {
	t.Parallel()
	dbtest.NeedsBackends(t, "the same on both editions: it is worked out of what was read")
	h := newServer(t)
	start := time.Date(2026, 3, 21, 12, 0, 0, 0, time.UTC)
	var records []rec
	for i := range 1900 { // at 10 Hz, laps of 60 s
		records = append(records, rec{"session_id": "old", "timestamp": record.FormatTime(start.Add(time.Duration(i) * 100 * time.Millisecond)), "power_w": -100, "speed_ms": 10, "lap": 1 + i/600})
	}
	h.insert(records[:1300]...)
	if _, err := h.store.Analysis.Update(t.Context(), "old"); err != nil {
		t.Fatal(err)
	}
	if _, err := h.pool.Exec(t.Context(), "UPDATE analysis_parts SET peak_w = '{}', altitude_m = '{}'"); err != nil {
		t.Fatal(err)
	}
	h.insert(records[1300:]...)
	h.analyseAnew()
	race, err := h.store.Analysis.Laps(t.Context(), analysis.LapRequest{Session: "old"})
	if err != nil || len(race.Laps) != 3 {
		t.Fatalf("%v, %+v", err, race)
	}
	for i, known := range []bool{false, false, true} {
		if got := race.Laps[i].MaxPower; (got != nil) != known || known && *got != -100 {
			t.Errorf("lap %d has up to %v W", i+1, got)
		}
	}
}

// A car that is at speed in its first record has driven from there on: of laps that are
// alike none differs, and the sectors of each add up to it.
func TestComparedFromTheFirstRecord(t *testing.T) {
	t.Parallel()
	dbtest.NeedsBackends(t, "the same on both editions: it is worked out of what was read")
	s := timeseries.New(dbtest.New(t), timeseries.Options{})
	records, _, _ := circle(time.Date(2026, 3, 21, 12, 0, 0, 100_000_000, time.UTC), 4)
	for _, r := range records {
		r["power_w"] = 100.0
	}
	text, err := json.Marshal(records)
	if err != nil {
		t.Fatal(err)
	}
	storeJSON(t, s, text)
	if _, err := s.Analysis.Laps(t.Context(), analysis.LapRequest{Session: "race"}); err != nil {
		t.Fatal(err)
	}
	for _, by := range []string{"position", "distance", "time"} {
		answer, err := s.Laps.Read(t.Context(), compare.Request{Laps: []compare.Lap{{Run: "race", Number: 2}, {Run: "race", Number: 1}}, Metrics: []string{"speed_ms"}, Points: 50, By: by})
		if err != nil {
			t.Fatal(err)
		}
		second, first := answer.Laps[0], answer.Laps[1]
		for i := range answer.Distance {
			if math.Abs(*first.TimeMore[i]) > 0.03 || math.Abs(*first.More[i]) > 3 {
				t.Errorf("by %s at %.0f m: %.3f s and %.1f J more than in a lap that was alike", by, answer.Distance[i], *first.TimeMore[i], *first.More[i])
			}
		}
		if by == "time" {
			if at := *first.More[10]; math.Abs(at) > 3 {
				t.Errorf("%.1f J more after a fifth of the time", at)
			}
		} else if end, want := *first.More[len(first.More)-1], *first.Energy-*second.Energy; math.Abs(end-want) > 1e-3 {
			t.Errorf("by %s it took %.3f J more in the end, and %.3f by the laps", by, end, want)
		}
		for _, lap := range answer.Laps {
			metres, joules, count := 0.0, 0.0, int64(0)
			for _, sector := range lap.Sectors {
				metres, joules, count = metres+*sector.Distance, joules+*sector.Energy, count+sector.Means["speed_ms"].Count
			}
			if len(lap.Sectors) > 0 && (math.Abs(metres-*lap.Distance) > 1e-3 || math.Abs(joules-*lap.Energy) > 1e-3 || count != lap.Means["speed_ms"].Count) {
				t.Errorf("by %s the sectors of lap %d have %.2f m, %.2f J and %d records, the lap %.2f, %.2f and %d", by, lap.Lap, metres, joules, count, *lap.Distance, *lap.Energy, lap.Means["speed_ms"].Count)
			}
		}
	}
}
