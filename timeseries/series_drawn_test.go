package timeseries_test

import (
	"fmt"
	"maps"
	"math"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"github.com/ecovolt/telemetryd/internal/dbtest"
	"github.com/ecovolt/telemetryd/timeseries"
	"github.com/ecovolt/telemetryd/timeseries/channel"
	"github.com/ecovolt/telemetryd/timeseries/record"
	"github.com/ecovolt/telemetryd/timeseries/series"
	"github.com/ecovolt/telemetryd/timeseries/series/usual"
)

// point is one sample of one channel.
type point struct {
	at    time.Time
	value float64
}

// oddRun makes records as real cars send them: a coarse clock that repeats,
// bursts, silences, a lone record between two of them, and channels that are in
// every record, in some, begin late or come by chance.
func oddRun(rng *rand.Rand, session string, n int) (records []rec, channels map[string][]point) {
	channels = map[string][]point{}
	at := time.Date(2026, 6, 3, 10, 0, 0, 0, time.UTC)
	step := time.Duration(1+rng.IntN(2000)) * time.Millisecond
	coarse, burst, every := rng.IntN(3) == 0, rng.IntN(3) == 0, 2+rng.IntN(20)
	late := rng.IntN(n)
	for i := range n {
		switch {
		case rng.IntN(60) == 0:
			at = at.Add(time.Duration(rng.Int64N(int64(100 * step))))
		case burst && i%10 != 0:
			at = at.Add(time.Millisecond)
		case burst:
			at = at.Add(10 * step)
		default:
			at = at.Add(time.Duration((0.5 + rng.Float64()) * float64(step)))
		}
		stamp := at.Truncate(time.Microsecond)
		if coarse {
			stamp = at.Truncate(time.Second)
		}
		r := rec{"session_id": session, "timestamp": record.FormatTime(stamp), "distance_m": float64(i)}
		carry := func(name string) {
			value := math.Round(1000*rng.NormFloat64()) / 8
			r[name] = value
			channels[name] = append(channels[name], point{stamp, value})
		}
		carry("speed_ms")
		if i%every == 0 {
			carry("motor_temp_c")
		}
		if i >= late {
			carry("voltage_v")
		}
		if rng.IntN(7) == 0 {
			carry("power_w")
		}
		records = append(records, r)
	}
	return records, channels
}

// silences are the steps between the samples of a channel that the rule calls gaps.
func silences(points []point) (gaps [][2]float64) {
	var steps []time.Duration
	for i := 1; i < len(points); i++ {
		steps = append(steps, points[i].at.Sub(points[i-1].at))
	}
	after := channel.GapAfter(channel.UsualStep(slices.Clone(steps)))
	for i, step := range steps {
		if step > after {
			gaps = append(gaps, [2]float64{float64(points[i].at.UnixMicro()) / 1e3, float64(points[i+1].at.UnixMicro()) / 1e3})
		}
	}
	return gaps
}

// Every sample lies between minimum and maximum of a column that is drawn,
// whatever the run and the zoom; and a line is broken where the channel was
// silent for longer than it usually is, and nowhere else.
func TestWhatIsStoredIsDrawn(t *testing.T) {
	t.Parallel()
	for seed := range fewer(t, 4, 2) {
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			t.Parallel()
			rng := rand.New(rand.NewPCG(seed, 40))
			s := timeseries.New(dbtest.New(t), timeseries.Options{})
			n := 20 + rng.IntN(3000)
			records, channels := oddRun(rng, "odd", n)
			storeRecords(t, s, records)
			for range 2 { // from the records, and then from the rollups
				for name, points := range channels {
					for _, columns := range []int{1, 10, 97, 400, 2000} {
						for _, mode := range []series.Mode{series.ModeMinMax, series.ModeM4} {
							got, err := s.Series.Read(t.Context(), series.Request{Sessions: []string{"odd"}, Metrics: []string{name}, Points: columns, Mode: mode})
							if err != nil {
								t.Fatal(err)
							}
							checkDrawn(t, got.Sessions[0], points)
							if t.Failed() {
								t.Fatalf("%s of %d records in %d columns, %v, level %s", name, n, columns, mode, got.Sessions[0].Level)
							}
						}
					}
				}
				checkTogether(t, s, channels)
				refresh(t, s)
			}
		})
	}
}

// checkDrawn holds one metric that was asked for alone against its samples.
func checkDrawn(t *testing.T, got series.Session, points []point) {
	t.Helper()
	m := got.Metrics[0]
	rest := points
	wide := got.Width
	for i, x := range got.X {
		if m.Count[i] == 0 {
			if math.IsNaN(m.Avg[i]) != true {
				t.Errorf("a value at %v, where no sample is", x)
			}
			inGap := func(gap [2]float64) bool { return gap[0] <= x && x < gap[1] }
			if !slices.ContainsFunc(m.Gaps, inGap) {
				t.Errorf("a hole at %v is in no gap of %v", x, m.Gaps)
			}
			continue
		}
		for range m.Count[i] {
			if len(rest) == 0 {
				t.Errorf("column %v counts more samples than there are", x)
				return
			}
			at := float64(rest[0].at.UnixMicro()) / 1e3
			if at < x-1e-3 || !got.Points && at > x+wide+1e-3 || rest[0].value < m.Min[i] || rest[0].value > m.Max[i] {
				t.Errorf("the sample %v at %v is not in the column at %v, %v to %v", rest[0].value, at, x, m.Min[i], m.Max[i])
			}
			rest = rest[1:]
		}
	}
	if len(rest) > 0 {
		t.Errorf("%d samples are in no column", len(rest))
	}
	want := silences(points)
	if got.Points || m.First != nil || wide < 2000/3 {
		// Known to the sample but for those within a column.
		missed := 0
		for _, gap := range want {
			if !slices.ContainsFunc(m.Gaps, func(g [2]float64) bool { return g[0] <= gap[1] && gap[0] <= g[1] }) && gap[1]-gap[0] > 2*wide {
				missed++
			}
		}
		if missed > 0 {
			t.Errorf("%d of %d gaps are not listed: %v", missed, len(want), m.Gaps)
		}
	}
	for _, gap := range m.Gaps {
		if !slices.ContainsFunc(want, func(g [2]float64) bool {
			return g[0] <= gap[0]+1e-3 && gap[1] <= g[1]+1e-3 || gap[0] <= g[0]+1e-3 && g[1] <= gap[1]+1e-3
		}) {
			t.Errorf("%v is no gap; those are %v", gap, want)
		}
	}
}

// checkTogether holds all metrics on one axis, by time and by distance, against
// the number of their samples: none is lost for what another one lacks.
func checkTogether(t *testing.T, s *timeseries.Store, channels map[string][]point) {
	t.Helper()
	var names []string
	for name := range channels {
		names = append(names, name)
	}
	for _, align := range []series.Align{series.AlignTime, series.AlignElapsed, series.AlignDistance} {
		for _, columns := range []int{7, 300, 4000} {
			got, err := s.Series.Read(t.Context(), series.Request{Sessions: []string{"odd"}, Metrics: names, Points: columns, Align: align})
			if err != nil {
				t.Fatal(err)
			}
			for m, col := range got.Sessions[0].Metrics {
				count, low, high := int64(0), math.Inf(1), math.Inf(-1)
				for i, n := range col.Count {
					if count += n; n > 0 {
						low, high = min(low, col.Min[i]), max(high, col.Max[i])
					}
				}
				byValue := func(a, b point) int { return int(min(max(a.value-b.value, -1), 1)) }
				points := channels[names[m]]
				if count != int64(len(points)) || low != slices.MinFunc(points, byValue).value || high != slices.MaxFunc(points, byValue).value {
					t.Errorf("%s by %v in %d columns: %d samples from %v to %v, want %d", names[m], align, columns, count, low, high, len(points))
				}
			}
		}
	}
}

// A lap of a run that is too long to be read whole is drawn from its records.
func TestDistanceAtLapZoom(t *testing.T) {
	t.Parallel()
	dbtest.NeedsBackends(t, "the same on both editions: it is worked out of what was read")
	s := timeseries.New(dbtest.New(t), timeseries.Options{})
	records := steady("race", time.Date(2026, 3, 21, 12, 0, 0, 0, time.UTC), 24_000, nil) // 48 km
	storeRecords(t, s, records)
	refresh(t, s)
	start, end := 20_000.0, 21_600.0
	got, err := s.Series.Read(t.Context(), series.Request{
		Sessions: []string{"race"}, Metrics: []string{"power_w"}, Points: 1000, Align: series.AlignDistance, Start: &start, End: &end,
	})
	if err != nil {
		t.Fatal(err)
	}
	one := got.Sessions[0]
	if len(one.X) != 800 || one.Width != 2 {
		t.Fatalf("%d columns of %v m, want one for each record of 1,600 m: 800", len(one.X), one.Width)
	}
	for i, x := range one.X {
		if x != start+2*float64(i) || one.Metrics[0].Min[i] != x/2 || one.Metrics[0].Max[i] != x/2 {
			t.Fatalf("column %d at %v m holds %v to %v", i, x, one.Metrics[0].Min[i], one.Metrics[0].Max[i])
		}
	}
}

// What a run has follows from what its records carry, not from the newest one.
func TestSummaryListsChannels(t *testing.T) {
	t.Parallel()
	s := timeseries.New(dbtest.New(t), timeseries.Options{})
	start := time.Date(2026, 6, 3, 10, 0, 0, 0, time.UTC)
	var records []rec
	for i := range 600 { // as in a log of 10 Hz: each sensor at a rate of its own
		r := rec{"session_id": "sparse", "timestamp": record.FormatTime(start.Add(time.Duration(i) * 100 * time.Millisecond)), "voltage_v": 48.0}
		if i%5 == 0 {
			r["speed_ms"] = 8.0
		}
		if i%10 == 0 {
			r["motor_temp_c"] = 40.0
		}
		records = append(records, r)
	}
	storeRecords(t, s, records)
	got, err := s.Summary(t.Context(), "sparse")
	if err != nil {
		t.Fatal(err)
	}
	want := []usual.Channel{
		{Name: "speed_ms", Records: 120, Step: 0.5, Gap: 2.5},
		{Name: "voltage_v", Records: 600, Step: 0.1, Gap: 2},
		{Name: "motor_temp_c", Records: 60, Step: 1, Gap: 5},
	}
	if !slices.Equal(got.Channels, want) || got.Step != 0.1 || got.Gap != 2 || len(got.Gaps) != 0 {
		t.Errorf("channels %+v, step %v, gaps %v", got.Channels, got.Step, got.Gaps)
	}
}

// A long run's steps are not measured anew each time, but a sensor or a state
// that is fitted while it drives is listed with the next summary.
func TestSummaryOfLongRunListsLateChannels(t *testing.T) {
	t.Parallel()
	h := newServer(t)
	at := 0
	add := func(n int, also rec) {
		records := make([]rec, n)
		for i := range records {
			records[i] = recordAt("long", time.Duration(at)*100*time.Millisecond, at)
			maps.Copy(records[i], also)
			at++
		}
		h.insert(records...)
	}
	names := func() (list []string) {
		t.Helper()
		got, err := h.store.Summary(t.Context(), "long")
		if err != nil {
			t.Fatal(err)
		}
		for _, c := range got.Channels {
			if c.Step != 0.1 {
				t.Errorf("%s has a step of %v s", c.Name, c.Step)
			}
			if c.Name == "speed_ms" && c.Records != int64(at) {
				t.Errorf("%d of %d records have a speed", c.Records, at)
			}
			list = append(list, c.Name)
		}
		return list
	}
	for _, c := range []struct {
		also rec
		want []string
	}{
		{rec{}, []string{"speed_ms"}},
		{rec{"motor_temp_c": 40.5}, []string{"speed_ms", "motor_temp_c"}},
		{rec{"motor_temp_c": 40.5, "driver_mode": "race"}, []string{"speed_ms", "motor_temp_c", "driver_mode"}},
	} {
		if at == 0 {
			add(17_000, c.also)
		} else {
			add(500, c.also)
		}
		if got := names(); !slices.Equal(got, c.want) {
			t.Errorf("after %d records: %v, want %v", at, got, c.want)
		}
	}
}
