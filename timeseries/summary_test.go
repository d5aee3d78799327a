package timeseries_test

import (
	"context"
	"encoding/json"
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/ecovolt/telemetryd/internal/await"
	"github.com/ecovolt/telemetryd/internal/dbtest"
	"github.com/ecovolt/telemetryd/timeseries"
	"github.com/ecovolt/telemetryd/timeseries/channel"
	"github.com/ecovolt/telemetryd/timeseries/merge"
	"github.com/ecovolt/telemetryd/timeseries/record"
)

// drive makes records with what a summary looks at, now and then missing.
func drive(rng *rand.Rand, start time.Time, n int, counters bool) []rec {
	t := start
	var records []rec
	for i := range n {
		t = t.Add(time.Duration(150+rng.IntN(100)) * time.Millisecond).Truncate(time.Microsecond)
		switch rng.IntN(150) {
		case 0:
			t = t.Add(time.Duration(rng.IntN(90)) * time.Second)
		case 1:
			t = records[max(0, i-1)]["t"].(time.Time)
		}
		r := rec{"session_id": "race", "timestamp": record.FormatTime(t), "t": t}
		maybe := func(name string, v any) {
			if rng.IntN(8) > 0 {
				r[name] = v
			}
		}
		maybe("speed_ms", math.Max(0, rng.NormFloat64()*5))
		maybe("avg_speed_kmh", rng.Float64()*40)
		maybe("power_w", rng.NormFloat64()*300)
		maybe("voltage_v", 46+rng.Float64())
		maybe("current_a", rng.NormFloat64()*10)
		maybe("quality_score", rng.Float64()*100)
		maybe("elevation_gain_m", float64(i)/10)
		maybe("latitude", 52.0)
		maybe("longitude", 4.0)
		if rng.IntN(2) == 0 {
			r["current_g_force"] = rng.Float64() * 2
		} else {
			maybe("accel_x", rng.NormFloat64()*5)
			maybe("accel_z", 9.8)
		}
		if rng.IntN(20) == 0 {
			r["outliers"] = rec{"severity": []string{"warning", "none", "critical"}[rng.IntN(3)]}
		}
		if i > n/3 {
			maybe("optimal_speed_kmh", rng.Float64()*30)
		}
		if counters {
			r["route_distance_km"], r["cumulative_energy_kwh"] = float64(i)/500, float64(i)/9000
			r["acc_eff_km_kwh"] = 18.0
		} else if rng.IntN(2) == 0 {
			r["inst_eff_km_kwh"] = rng.NormFloat64() * 400
		}
		records = append(records, r)
	}
	return records
}

// figuresOf is the function contract's rules in a loop.
func figuresOf(records []rec) timeseries.Summary {
	number := func(r rec, name string) (float64, bool) { v, ok := r[name].(float64); return v, ok }
	var s timeseries.Summary
	var moving, power, voltage, quality, steps struct{ sum, n float64 }
	var top struct{ speed, power, g, elevation, optimal float64 }
	var mean struct{ speed, power, voltage, quality float64 }
	var metres, joules float64
	hasOptimal := false
	for i, r := range records {
		s.Records++
		speed, hasSpeed := number(r, "speed_ms")
		if !hasSpeed {
			speed, hasSpeed = number(r, "avg_speed_kmh")
			speed /= 3.6
		}
		watts, hasPower := number(r, "power_w")
		if !hasPower {
			v, okV := number(r, "voltage_v")
			a, okA := number(r, "current_a")
			watts, hasPower = v*a, okV && okA
		}
		if hasSpeed {
			top.speed = max(top.speed, speed*3.6)
			if speed > 0 {
				moving.sum += speed
				moving.n++
			}
		}
		if hasPower {
			if power.n == 0 {
				top.power = watts
			}
			top.power = max(top.power, watts)
			power.sum += watts
			power.n++
		}
		if v, ok := number(r, "voltage_v"); ok {
			voltage.sum += v
			voltage.n++
		}
		if v, ok := number(r, "quality_score"); ok {
			quality.sum += v
			quality.n++
		}
		if v, ok := number(r, "elevation_gain_m"); ok {
			top.elevation = max(top.elevation, v)
		}
		if v, ok := number(r, "optimal_speed_kmh"); ok && !hasOptimal {
			top.optimal, hasOptimal = v, true
		}
		if g, ok := number(r, "current_g_force"); ok {
			top.g = max(top.g, g)
		} else {
			x, _ := number(r, "accel_x")
			z, _ := number(r, "accel_z")
			top.g = max(top.g, math.Sqrt(x*x+z*z)/9.81)
		}
		if o, ok := r["outliers"].(rec); ok && o["severity"] != "none" {
			s.Anomalies++
		}
		if i > 0 {
			dt := r["t"].(time.Time).Sub(records[i-1]["t"].(time.Time)).Seconds()
			s.LongestGap = max(s.LongestGap, dt)
			if dt < 60 {
				steps.sum += dt
				steps.n++
			}
			if dt == 0 {
				s.Duplicates++
			}
			if dt > 0 && dt < 60 && hasSpeed {
				metres += speed * dt
			}
			if dt > 0 && dt < 72 && hasPower {
				joules += math.Abs(watts) * dt
			}
		}
	}
	last := records[len(records)-1]
	s.Distance, s.Energy = metres/1000, joules/3600
	if v, ok := number(last, "route_distance_km"); ok && v > 0 {
		s.Distance = v
	}
	if v, ok := number(last, "cumulative_energy_kwh"); ok && v > 0 {
		s.Energy = v * 1000
	}
	for _, name := range []string{"acc_eff_km_kwh", "inst_eff_km_kwh"} {
		if v, ok := number(last, name); ok {
			if math.Abs(v) <= 500 {
				s.Efficiency = v
			}
			break
		}
	}
	mean.speed, mean.power, mean.voltage, mean.quality = moving.sum/moving.n*3.6, power.sum/power.n, voltage.sum/voltage.n, quality.sum/quality.n
	s.AvgSpeed, s.AvgPower, s.AvgVoltage, s.Quality = &mean.speed, &mean.power, &mean.voltage, &mean.quality
	s.MaxSpeed, s.MaxPower, s.Elevation, s.OptSpeed, s.MaxG = &top.speed, &top.power, &top.elevation, &top.optimal, &top.g
	s.Cadence = steps.sum / steps.n
	s.Start, s.End = records[0]["t"].(time.Time), last["t"].(time.Time)
	s.Duration = s.End.Sub(s.Start).Minutes()
	return s
}

func TestSummaryFollowsTheRules(t *testing.T) {
	t.Parallel()
	for seed := range fewer(t, 4, 2) {
		t.Run("", func(t *testing.T) {
			t.Parallel()
			rng := rand.New(rand.NewPCG(seed, 3))
			pool := dbtest.New(t)
			s := timeseries.New(pool, timeseries.Options{LargeRefresh: int64(seed)})
			all := drive(rng, time.Date(2026, 3, 21, 21, 41, 10, 123000, time.UTC), 3000, seed%2 == 0)
			// In pieces, out of order; a summary is asked for in between.
			var pieces [][]rec
			for rest := all; len(rest) > 0; {
				n := min(len(rest), 1+rng.IntN(700))
				pieces, rest = append(pieces, rest[:n]), rest[n:]
			}
			rng.Shuffle(len(pieces), func(i, j int) { pieces[i], pieces[j] = pieces[j], pieces[i] })
			var stored []rec
			for i, piece := range pieces {
				var plain []rec
				for _, r := range piece {
					c := rec{}
					for k, v := range r {
						if k != "t" {
							c[k] = v
						}
					}
					plain = append(plain, c)
				}
				text, err := json.Marshal(plain)
				if err != nil {
					t.Fatal(err)
				}
				storeJSON(t, s, text)
				switch {
				case i == 0 && seed > 0: // the summary is begun beside it
					refresh(t, timeseries.New(pool, timeseries.Options{LargeRefresh: 1}))
				case rng.IntN(2) == 0:
					refresh(t, s)
				}
				for k, r := range piece {
					r["place"] = i*1_000_000 + k
				}
				stored = append(stored, piece...)
				slices.SortStableFunc(stored, func(a, b rec) int { return a["t"].(time.Time).Compare(b["t"].(time.Time)) })
				got, err := s.Summary(t.Context(), "race")
				if err != nil {
					t.Fatal(err)
				}
				want := figuresOf(stored)
				a, b := asNumbers(*got), asNumbers(want)
				for name := range b {
					if math.Abs(a[name]-b[name]) > 1e-9*(1+math.Abs(b[name])) {
						t.Errorf("%s is %v, want %v", name, a[name], b[name])
					}
				}
				if t.Failed() {
					t.FailNow()
				}
			}
			got, err := s.Summary(t.Context(), "race")
			if err != nil {
				t.Fatal(err)
			}
			var gaps []timeseries.Gap
			threshold := got.Gap
			for i, r := range stored[1:] {
				from, to := stored[i]["t"].(time.Time), r["t"].(time.Time)
				if d := to.Sub(from).Seconds(); d > threshold {
					gaps = append(gaps, timeseries.Gap{From: from, To: to, Seconds: d})
				}
			}
			if !slices.Equal(got.Gaps, gaps) {
				t.Errorf("gaps %v, want %v", got.Gaps, gaps)
			}
			refresh(t, s)
			list, err := s.Sessions(t.Context(), timeseries.SessionFilter{})
			if err != nil || len(list) != 1 || list[0].Figures.Distance == nil || *list[0].Figures.Distance != got.Distance || *list[0].Figures.Quality != *got.Quality {
				t.Errorf("figures in the list: %+v, %v", list, err)
			}
		})
	}
}

func asNumbers(s timeseries.Summary) map[string]float64 {
	known := func(v *float64) float64 {
		if v == nil {
			return 0
		}
		return *v
	}
	return map[string]float64{
		"records": float64(s.Records), "distance": s.Distance, "max speed": known(s.MaxSpeed), "avg speed": known(s.AvgSpeed), "energy": s.Energy,
		"efficiency": s.Efficiency, "duration": s.Duration, "avg power": known(s.AvgPower), "max power": known(s.MaxPower), "avg voltage": known(s.AvgVoltage),
		"max g": known(s.MaxG), "optimal": known(s.OptSpeed), "quality": *s.Quality, "elevation": known(s.Elevation), "anomalies": float64(s.Anomalies),
		"cadence": s.Cadence, "longest gap": s.LongestGap, "duplicates": float64(s.Duplicates),
	}
}

// A run whose summary cannot be made keeps no other from its own.
func TestSummaryThatFails(t *testing.T) {
	t.Parallel()
	h := newServer(t)
	for _, id := range []string{"bad", "good"} {
		h.insert(rec{"session_id": id, "timestamp": "2026-05-01T10:00:00Z", "speed_ms": 1})
	}
	if _, err := h.pool.Exec(t.Context(), fmt.Sprintf("ALTER TABLE session_summaries ADD CHECK (session <> %d)", h.count("SELECT session FROM sessions WHERE id = 'bad'"))); err != nil {
		t.Fatal(err)
	}
	if _, err := h.store.Rollups.Refresh(t.Context()); err == nil {
		t.Error("nobody is told of the summary that fails")
	}
	if n := h.count("SELECT count(*) FROM session_summaries m JOIN sessions s USING (session) WHERE s.id = 'good'"); n != 1 {
		t.Error("the other run has no summary")
	}
}

// All who ask for the figures of a run that is driven get them, and none of them
// works for nothing.
func TestSummaryForMany(t *testing.T) {
	t.Parallel()
	dbtest.NeedsBackends(t, "the server has one backend, in which nobody is in another's way")
	h := newServer(t)
	insert := func(i int) {
		h.insert(rec{"session_id": "road", "timestamp": record.FormatTime(time.Date(2026, 5, 1, 10, 0, i, 0, time.UTC)), "speed_ms": 1})
	}
	insert(0)
	var driven atomic.Bool
	var screens sync.WaitGroup
	for range 30 {
		screens.Go(func() {
			for !driven.Load() {
				if _, err := h.store.Summary(t.Context(), "road"); err != nil {
					t.Error(err)
				}
			}
		})
	}
	for i := range 100 {
		insert(i + 1)
	}
	driven.Store(true)
	screens.Wait()
	h.pool.Reset() // a connection tells its counts when it ends
	await.Until(t, "the connections have ended", func() bool {
		return h.count("SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND backend_type = 'client backend'") < 2
	})
	if n := h.count("SELECT xact_rollback FROM pg_stat_database WHERE datname = current_database()"); n > 0 {
		t.Errorf("%d transactions were in one another's way", n)
	}
	if sum, err := h.store.Summary(t.Context(), "road"); err != nil || sum.Records != 101 {
		t.Errorf("%+v, %v", sum, err)
	}
}

// Values that are nearer to 0 than their product can be written stop nothing.
func TestTinyValues(t *testing.T) {
	t.Parallel()
	h := newServer(t)
	start := time.Date(2026, 5, 1, 10, 0, 0, 0, time.UTC)
	var records []rec
	for i, tiny := range []float64{1e-200, -1e-310, 5e-324, 0, 3} {
		for _, left := range []string{"", "speed_ms", "power_w", "current_g_force", "distance_m", "energy_j"} { // what is then taken from elsewhere
			r := rec{"session_id": "race", "timestamp": record.FormatTime(start.Add(time.Duration(i*10+len(left)) * time.Second))}
			for _, c := range channel.All {
				if c.Charted && c.Name != left && (left == "" || c.Name != "latitude") {
					r[c.Name] = tiny
				}
			}
			records = append(records, r)
		}
	}
	h.insert(records...)
	h.refresh()
	if sum, err := h.store.Summary(t.Context(), "race"); err != nil || sum.Records != int64(len(records)) || *sum.MaxSpeed != 3*3.6 {
		t.Errorf("the summary is %+v, %v", sum, err)
	}
	if _, err := h.store.Analysis.Figures(t.Context(), "race"); err != nil {
		t.Error(err)
	}
	if _, err := h.store.Analysis.Refresh(t.Context()); err != nil {
		t.Error(err)
	}
}

// statements counts what a connection is asked.
type statements struct{ n atomic.Int64 }

func (s *statements) TraceQueryStart(ctx context.Context, _ *pgx.Conn, _ pgx.TraceQueryStartData) context.Context {
	s.n.Add(1)
	return ctx
}

func (*statements) TraceQueryEnd(context.Context, *pgx.Conn, pgx.TraceQueryEndData) {}

// The time between records of a run costs nothing, also where one of them was
// changed by a merge, which counts for half of that on both of its sides.
func TestSummaryOfYearsApart(t *testing.T) {
	t.Parallel()
	h := newServer(t)
	var all []rec
	at := time.Date(2004, 3, 21, 10, 0, 30, 0, time.UTC)
	for i, apart := range []time.Duration{0, 20 * 365 * 24 * time.Hour} {
		at = at.Add(apart)
		all = append(all, rec{"session_id": "s", "timestamp": record.FormatTime(at), "t": at, "speed_ms": float64(i), "quality_score": 50.0, "place": i})
	}
	for _, r := range all {
		h.insert(rec{"session_id": "s", "timestamp": r["timestamp"], "speed_ms": r["speed_ms"]})
	}
	var logger []rec
	for _, r := range all {
		logger = append(logger, rec{"timestamp": r["timestamp"], "quality_score": r["quality_score"]})
	}
	if _, err := h.merge(logger, merge.Options{Offset: new(time.Duration)}); err != nil {
		t.Fatal(err)
	}
	var asked statements
	config := h.pool.Config()
	config.ConnConfig.Tracer = &asked
	pool, err := pgxpool.NewWithConfig(t.Context(), config)
	if err != nil {
		t.Fatal(err)
	}
	defer pool.Close()
	got, err := timeseries.New(pool, timeseries.Options{}).Summary(t.Context(), "s")
	if err != nil {
		t.Fatal(err)
	}
	a, b := asNumbers(*got), asNumbers(figuresOf(all))
	for name := range b {
		if math.Abs(a[name]-b[name]) > 1e-9*(1+math.Abs(b[name])) {
			t.Errorf("%s is %v, want %v", name, a[name], b[name])
		}
	}
	if n := asked.n.Load(); n > 100 {
		t.Errorf("%d statements for two records", n)
	}
}

// What lies between the records of a sparse file stays in the summary when the file
// is merged, whether it fills any record or only brings some, and when that is undone.
func TestSummaryOfSparseMerge(t *testing.T) {
	t.Parallel()
	h := newServer(t)
	for hour := range 6 {
		h.insert(recordAt("s", time.Duration(hour)*time.Hour, 1+2*hour), recordAt("s", time.Duration(hour)*time.Hour+time.Second, 2+2*hour))
	}
	records := func(want int64) {
		t.Helper()
		if got, err := h.store.Summary(t.Context(), "s"); err != nil || got.Records != want {
			t.Errorf("the summary has %+v, %v; want %d records", got, err, want)
		}
	}
	records(12)
	stamp := func(after time.Duration) string { return record.FormatTime(raceStart.Add(after)) }
	for _, file := range [][]rec{
		{{"timestamp": stamp(30 * time.Second), "speed_ms": 1}, {"timestamp": stamp(5*time.Hour + 30*time.Second), "speed_ms": 1}},
		{{"timestamp": "1999-01-01T00:00:00Z", "speed_ms": 1}, {"timestamp": stamp(0), "speed_ms": 1}, {"timestamp": stamp(5 * time.Hour), "speed_ms": 1}},
	} {
		report, err := h.merge(file, merge.Options{Offset: new(time.Duration)})
		if err != nil || report.Filled != 0 || report.Added+report.SetAside == 0 {
			t.Fatalf("%+v, %v", report, err)
		}
		records(12 + int64(report.Added))
		if _, err := h.store.Merges.Undo(t.Context(), "s"); err != nil {
			t.Fatal(err)
		}
		records(12)
	}
}
