package timeseries_test

import (
	"log/slog"
	"math"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/ecovolt/telemetryd/internal/dbtest"
	"github.com/ecovolt/telemetryd/internal/fault"
	"github.com/ecovolt/telemetryd/timeseries"
	"github.com/ecovolt/telemetryd/timeseries/column"
	"github.com/ecovolt/telemetryd/timeseries/series"
)

// scene is a database with one session of interest in all the states that its
// records can be in: in the rollups, late, not refreshed yet.
type scene struct {
	pool    *pgxpool.Pool
	store   *timeseries.Store
	records []runSample // by time
}

func newScene(t testing.TB, seed uint64) *scene {
	t.Helper()
	rng := rand.New(rand.NewPCG(seed, 9))
	sc := &scene{pool: dbtest.New(t)}
	sc.store = timeseries.New(sc.pool, timeseries.Options{Columns: column.New([]int{64 << 20, 0, 200 << 10}[seed%3], slog.New(slog.DiscardHandler))})
	base := time.Date(2026, 3, 21, 21, 41, 10, 272851000, time.UTC)
	var late [][]runSample
	for i := range 8 {
		part := run(rng, base.Add(time.Duration(i)*37*time.Minute), 200+rng.IntN(800))
		sc.records = append(sc.records, part...)
		if rng.IntN(3) == 0 {
			late = append(late, part)
		} else {
			store(t, sc.store, "race", part)
		}
		store(t, sc.store, "other", run(rng, base.Add(time.Duration(i)*31*time.Minute), 100))
		if rng.IntN(2) == 0 {
			refresh(t, sc.store)
		}
	}
	refresh(t, sc.store)
	if rng.IntN(2) == 0 && dbtest.Edition(t, sc.pool) == "community" {
		// What comes now lands in a chunk that is in the columnstore already.
		if _, err := sc.pool.Exec(t.Context(), "SELECT compress_chunk(c) FROM show_chunks('telemetry') c"); err != nil {
			t.Fatal(err)
		}
	}
	for _, part := range late {
		store(t, sc.store, "race", part)
		if rng.IntN(2) == 0 {
			refresh(t, sc.store)
		}
	}
	slices.SortStableFunc(sc.records, func(a, b runSample) int { return a.time.Compare(b.time) })
	return sc
}

// window returns a random window: the whole, long, short, aligned or not, beside it.
func (sc *scene) window(rng *rand.Rand) (from, to time.Time) {
	first, last := sc.records[0].time, sc.records[len(sc.records)-1].time
	span := last.Sub(first)
	switch rng.IntN(6) {
	case 0:
		return first, last.Add(time.Microsecond)
	case 1: // around a record, short
		at := sc.records[rng.IntN(len(sc.records))].time
		return at.Add(-time.Duration(rng.Int64N(int64(5 * time.Second)))).Truncate(time.Microsecond), at.Add(time.Duration(1+rng.Int64N(int64(20*time.Second))) + time.Microsecond).Truncate(time.Microsecond)
	case 2: // round
		from = first.Add(time.Duration(rng.Int64N(int64(span)))).Truncate(time.Minute)
		return from, from.Add(time.Duration(1+rng.IntN(180)) * time.Minute)
	case 3: // from a record exactly to a record exactly, half-open
		a, b := sc.records[rng.IntN(len(sc.records))].time, sc.records[rng.IntN(len(sc.records))].time
		if b.Before(a) {
			a, b = b, a
		}
		if a.Equal(b) {
			b = b.Add(time.Microsecond)
		}
		return a, b
	default:
		from = first.Add(time.Duration(rng.Int64N(int64(span))) - 10*time.Minute).Truncate(time.Microsecond)
		return from, from.Add(time.Duration(1+rng.Int64N(int64(span))) + time.Microsecond).Truncate(time.Microsecond)
	}
}

func speedOf(s runSample) *float64 { return s.speed }
func powerOf(s runSample) *float64 { return s.power }

func micros(x float64) int64 { return int64(math.Round(x * 1e3)) }

// Whatever the window and the number of points, every bucket of a series says
// of its records what a loop over them says.
func TestSeriesEqualsRecords(t *testing.T) {
	t.Parallel()
	for seed := range uint64(3) {
		t.Run("", func(t *testing.T) {
			t.Parallel()
			sc := newScene(t, seed)
			rng := rand.New(rand.NewPCG(seed, 11))
			levels := map[string]int{}
			for range fewer(t, 60, 20) {
				from, to := sc.window(rng)
				req := series.Request{
					Sessions: []string{"race"}, Metrics: []string{"speed_ms", "power_w"}, From: from, To: to,
					Points: []int{1, 2, 7, 50, 300, 1000, 3000}[rng.IntN(7)], Fill: series.Fill(rng.IntN(3)),
				}
				got, err := sc.store.Series.Read(t.Context(), req)
				if err != nil {
					t.Fatalf("%v to %v: %v", from, to, err)
				}
				one := got.Sessions[0]
				levels[one.Level]++
				sc.checkSeries(t, req, one)
				if t.Failed() {
					t.Fatalf("level %s, width %v ms, %d points, %v, from %v to %v", one.Level, one.Width, req.Points, req.Fill, from, to)
				}
			}
			t.Logf("served by %v", levels)
		})
	}
}

func (sc *scene) checkSeries(t *testing.T, req series.Request, got series.Session) {
	t.Helper()
	var inside []runSample
	for _, r := range sc.records {
		if !r.time.Before(req.From) && r.time.Before(req.To) {
			inside = append(inside, r)
		}
	}
	if got.Points != (len(inside) <= req.Points) && len(inside) > 0 {
		t.Errorf("records one by one: %v, with %d records in the window and %d points", got.Points, len(inside), req.Points)
	}
	if req.Fill == series.FillGap { // what carries neither is not drawn
		inside = slices.DeleteFunc(inside, func(r runSample) bool { return r.speed == nil && r.power == nil })
	}
	if !got.Points && len(got.X) > req.Points {
		t.Errorf("%d points, asked for %d", len(got.X), req.Points)
	}
	if !slices.IsSorted(got.X) {
		t.Error("x is not in order")
	}
	for m, value := range []func(runSample) *float64{speedOf, powerOf} {
		col := got.Metrics[m]
		if len(col.Min) != len(got.X) || len(col.Max) != len(got.X) || len(col.Avg) != len(got.X) || len(col.Count) != len(got.X) {
			t.Fatal("columns have different lengths")
		}
		counted, rest := int64(0), inside
		for i, x := range got.X {
			start, end := micros(x), micros(x)
			if got.Points {
				end++
			} else {
				width := micros(got.Width)
				end = start + width
				if i == 0 { // the first bucket may begin before the window
					const origin = 946857600_000_000
					end -= ((start-origin)%width + width) % width
				}
			}
			low, high, sum, n := math.NaN(), math.NaN(), 0.0, int64(0)
			take := func(v *float64) {
				if v != nil {
					if n == 0 {
						low, high = *v, *v
					}
					low, high = min(low, *v), max(high, *v)
					sum += *v
					n++
				}
			}
			if got.Points {
				hole := len(rest) == 0 || rest[0].time.UnixMicro() != start
				if !hole {
					take(value(rest[0]))
					rest = rest[1:]
				}
			} else {
				for len(rest) > 0 && rest[0].time.UnixMicro() < end {
					if rest[0].time.UnixMicro() < start {
						t.Errorf("the record at %v is in no bucket", rest[0].time)
					}
					take(value(rest[0]))
					rest = rest[1:]
				}
			}
			counted += n
			if col.Count[i] != n {
				t.Errorf("%s at %v: count %d, want %d", col.Name, x, col.Count[i], n)
			}
			if n == 0 {
				if req.Fill != series.FillLOCF && !math.IsNaN(col.Min[i]) {
					t.Errorf("%s at %v: %v where no record is", col.Name, x, col.Min[i])
				}
				continue
			}
			if col.Min[i] != low || col.Max[i] != high {
				t.Errorf("%s at %v: %v to %v, want %v to %v", col.Name, x, col.Min[i], col.Max[i], low, high)
			}
			if avg := sum / float64(n); math.Abs(col.Avg[i]-avg) > 1e-9*(1+math.Abs(avg)+math.Abs(high)+math.Abs(low)) {
				t.Errorf("%s at %v: mean %v, want %v", col.Name, x, col.Avg[i], avg)
			}
		}
		if len(rest) > 0 {
			t.Errorf("%s: %d records behind the last bucket", col.Name, len(rest))
		}
	}
}

// One sample that stands out is on the chart at every zoom.
func TestSeriesKeepsSpikes(t *testing.T) {
	t.Parallel()
	pool := dbtest.New(t)
	s := timeseries.New(pool, timeseries.Options{})
	base := time.Date(2026, 3, 21, 0, 0, 0, 0, time.UTC)
	var records []runSample
	for i := range 12_000 { // 40 minutes at 5 Hz
		v := 10.0
		switch i {
		case 5_771:
			v = 500
		case 7_456:
			v = -500
		}
		records = append(records, runSample{time: base.Add(time.Duration(i) * 200 * time.Millisecond), speed: &v})
	}
	store(t, s, "race", records)
	for range 2 { // before the refresh and after
		for points := 1; points <= 14_000; points = points*3 + 1 {
			got, err := s.Series.Read(t.Context(), series.Request{Sessions: []string{"race"}, Metrics: []string{"speed_ms"}, Points: points})
			if err != nil {
				t.Fatal(err)
			}
			col := got.Sessions[0].Metrics[0]
			if slices.Max(col.Max) != 500 || slices.Min(col.Min) != -500 {
				t.Errorf("at %d points, level %s: %v to %v", points, got.Sessions[0].Level, slices.Min(col.Min), slices.Max(col.Max))
			}
		}
		refresh(t, s)
	}
}

// Panning by a part of the window meets the same buckets again.
func TestSeriesBucketsAreStable(t *testing.T) {
	t.Parallel()
	sc := newScene(t, 77)
	base := sc.records[0].time.Truncate(time.Hour)
	ask := func(from time.Time) map[float64]float64 {
		got, err := sc.store.Series.Read(t.Context(), series.Request{
			Sessions: []string{"race"}, Metrics: []string{"speed_ms"}, From: from, To: from.Add(2 * time.Hour), Points: 200})
		if err != nil {
			t.Fatal(err)
		}
		at := map[float64]float64{}
		for i, x := range got.Sessions[0].X[:len(got.Sessions[0].X)-1] {
			if i > 0 && got.Sessions[0].Metrics[0].Count[i] > 0 {
				at[x] = got.Sessions[0].Metrics[0].Max[i]
			}
		}
		return at
	}
	a, b := ask(base), ask(base.Add(17*time.Minute+3*time.Second+7*time.Microsecond))
	shared := 0
	for x, v := range b {
		if w, ok := a[x]; ok {
			shared++
			if v != w {
				t.Errorf("bucket at %v: %v, then %v", x, w, v)
			}
		}
	}
	if shared < len(b)/2 {
		t.Errorf("only %d of %d buckets are shared", shared, len(b))
	}
}

func TestSeriesRefuses(t *testing.T) {
	t.Parallel()
	dbtest.NeedsBackends(t, "the same on both editions: it is worked out of what was read")
	sc := newScene(t, 5)
	good := series.Request{Sessions: []string{"race"}, Metrics: []string{"speed_ms"}, Points: 100}
	minus := -1.0
	for name, spoil := range map[string]func(*series.Request){
		"no session":     func(r *series.Request) { r.Sessions = nil },
		"no metric":      func(r *series.Request) { r.Metrics = nil },
		"unknown metric": func(r *series.Request) { r.Metrics = []string{"speed_ms; DROP TABLE telemetry"} },
		"text metric":    func(r *series.Request) { r.Metrics = []string{"session_name"} },
		"state in m4":    func(r *series.Request) { r.Metrics, r.Mode = []string{"driver_mode"}, series.ModeM4 },
		"state by metres": func(r *series.Request) {
			r.Metrics, r.Align = []string{"driver_mode"}, series.AlignDistance
		},
		"metric twice":    func(r *series.Request) { r.Metrics = []string{"speed_ms", "speed_ms"} },
		"no points":       func(r *series.Request) { r.Points = 0 },
		"a million":       func(r *series.Request) { r.Points = 1_000_000 },
		"backward window": func(r *series.Request) { r.From, r.To = time.Unix(20, 0), time.Unix(10, 0) },
		"empty window":    func(r *series.Request) { r.From, r.To = time.Unix(20, 0), time.Unix(20, 0) },
		"wrong axis":      func(r *series.Request) { r.Start = &minus },
		"before start":    func(r *series.Request) { r.Align, r.Start = series.AlignElapsed, &minus },
	} {
		req := good
		spoil(&req)
		if _, err := sc.store.Series.Read(t.Context(), req); !fault.Is(err, fault.Invalid) {
			t.Errorf("%s: %v", name, err)
		}
	}
	req := good
	req.Sessions = []string{"race", "nobody"}
	if _, err := sc.store.Series.Read(t.Context(), req); !fault.Is(err, fault.NotFound) {
		t.Errorf("unknown session: %v", err)
	}
	req = good
	req.From, req.To = time.Date(1999, 1, 1, 0, 0, 0, 0, time.UTC), time.Date(2000, 1, 1, 0, 0, 0, 0, time.UTC)
	if got, err := sc.store.Series.Read(t.Context(), req); err != nil || len(got.Sessions[0].X) != 0 {
		t.Errorf("a window beside the session: %v, %v", got, err)
	}
}

// A text state is the newest that the records of a bucket have.
func TestSeriesOfStates(t *testing.T) {
	t.Parallel()
	sc := newScene(t, 31)
	rng := rand.New(rand.NewPCG(31, 7))
	// The scene's records all have a mode; these often have none.
	start := sc.records[len(sc.records)-1].time.Add(time.Hour).Truncate(time.Second)
	var quiet []runSample
	for i := range 4000 {
		s := runSample{time: start.Add(time.Duration(i) * 700 * time.Millisecond)}
		if rng.IntN(30) == 0 {
			s.mode = []string{"eco", "normal", "coasting"}[rng.IntN(3)]
		}
		quiet = append(quiet, s)
	}
	store(t, sc.store, "race", quiet[:3000])
	refresh(t, sc.store)
	store(t, sc.store, "race", quiet[3000:])
	sc.records = append(sc.records, quiet...)
	for range fewer(t, 60, 20) {
		from, to := sc.window(rng)
		req := series.Request{
			Sessions: []string{"race"}, Metrics: []string{"driver_mode", "speed_ms"}, From: from, To: to,
			Points: []int{1, 7, 50, 300, 5000}[rng.IntN(5)], Fill: series.Fill(rng.IntN(3)),
		}
		if rng.IntN(3) == 0 {
			req.Metrics = req.Metrics[:1]
		}
		got, err := sc.store.Series.Read(t.Context(), req)
		if err != nil {
			t.Fatal(err)
		}
		one := got.Sessions[0]
		if len(one.States) != 1 || one.States[0].Name != "driver_mode" || len(one.States[0].Last) != len(one.X) || len(one.Metrics) != len(req.Metrics)-1 {
			t.Fatalf("%d states, %d metrics, %d points", len(one.States), len(one.Metrics), len(one.X))
		}
		var inside []runSample
		for _, r := range sc.records {
			// By default what carries none of the metrics is not drawn.
			drawn := req.Fill != series.FillGap || r.mode != "" || len(req.Metrics) == 2 && r.speed != nil
			if !r.time.Before(from) && r.time.Before(to) && drawn {
				inside = append(inside, r)
			}
		}
		carried := map[string]bool{}
		for i, x := range one.X {
			end := int64(math.MaxInt64)
			if i+1 < len(one.X) {
				end = micros(one.X[i+1])
			}
			// Records that share a timestamp are equally new.
			newest, at := map[string]bool{}, int64(0)
			for len(inside) > 0 && (inside[0].time.UnixMicro() < end || one.Points && inside[0].time.UnixMicro() == micros(x)) {
				r := inside[0]
				inside = inside[1:]
				if r.mode != "" {
					if r.time.UnixMicro() != at || one.Points {
						clear(newest)
					}
					newest[r.mode], at = true, r.time.UnixMicro()
				}
				if one.Points {
					break
				}
			}
			if len(newest) == 0 {
				if req.Fill == series.FillLOCF && len(carried) > 0 {
					newest = carried
				} else {
					newest[""] = true
				}
			}
			if state := one.States[0].Last[i]; !newest[state] {
				t.Fatalf("level %s, %v, %d points, %v to %v: %q at %v, want one of %v", one.Level, req.Fill, req.Points, from, to, state, x, newest)
			}
			carried = map[string]bool{one.States[0].Last[i]: one.States[0].Last[i] != ""}
			if one.States[0].Last[i] == "" {
				carried = map[string]bool{}
			}
		}
	}
}
