package timeseries_test

import (
	"math"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/ecovolt/telemetryd/internal/dbtest"
	"github.com/ecovolt/telemetryd/timeseries/rollup"
	"github.com/ecovolt/telemetryd/timeseries/series"
)

// bitmap is a chart of one line in one colour.
type bitmap struct {
	width, height int
	set           []bool
}

// vertex is a corner of the line: x in pixel columns, y in rows, fractional.
type vertex struct{ x, y float64 }

// line draws from a to b: in each column that it passes, every row between
// where it enters the column and where it leaves it.
func (b *bitmap) line(p, q vertex) {
	first, last := int(math.Floor(p.x)), int(math.Floor(q.x))
	for column := max(first, 0); column <= min(last, b.width-1); column++ {
		at := func(x float64) float64 {
			if q.x == p.x {
				return p.y
			}
			return p.y + (q.y-p.y)*(x-p.x)/(q.x-p.x)
		}
		y0, y1 := p.y, q.y
		if column > first {
			y0 = at(float64(column))
		}
		if column < last {
			y1 = at(float64(column + 1))
		}
		low, high := int(math.Floor(min(y0, y1))), int(math.Floor(max(y0, y1)))
		for row := max(low, 0); row <= min(high, b.height-1); row++ {
			b.set[column*b.height+row] = true
		}
	}
}

func draw(width, height int, line []vertex) *bitmap {
	b := &bitmap{width, height, make([]bool, width*height)}
	for i, p := range line {
		if i == 0 {
			b.line(p, p)
			continue
		}
		b.line(line[i-1], p)
	}
	return b
}

// columnsOf returns where a moment lies in the columns of an answer, as a fraction of
// them, and how many there are: whole buckets of a level, or exactly as many as were
// asked for.
func columnsOf(one series.Session, from, to time.Time, points int) (place func(micro int64) float64, columns int) {
	span := to.Sub(from)
	if width := time.Duration(math.Round(one.Width*1e3)) * time.Microsecond; width%time.Second == 0 && width != 0 && width.Microseconds() != span.Microseconds()/int64(points) {
		origin := rollup.Floor(from, width)
		return func(micro int64) float64 {
			return float64(micro-origin.UnixMicro()) / float64(width.Microseconds())
		}, int(rollup.Ceil(to, width).Sub(origin) / width)
	}
	return func(micro int64) float64 {
		return float64(micro-from.UnixMicro()) * float64(points) / float64(span.Microseconds())
	}, points
}

// The line through first, minimum, maximum and last of each column colours the
// very pixels that the line through all records does.
func TestM4DrawsTheSamePixels(t *testing.T) {
	t.Parallel()
	dbtest.NeedsBackends(t, "the same on both editions: it is worked out of what was read")
	const height = 300
	for seed := range uint64(4) {
		t.Run("", func(t *testing.T) {
			t.Parallel()
			sc := newScene(t, 100+seed)
			rng := rand.New(rand.NewPCG(seed, 13))
			for range 60 {
				from, to := sc.window(rng)
				points := 100 + rng.IntN(1901)
				if rng.IntN(2) == 0 {
					points = 10 + rng.IntN(90) // coarse enough for the rollups
				}
				got, err := sc.store.Series.Read(t.Context(), series.Request{
					Sessions: []string{"race"}, Metrics: []string{"speed_ms", "power_w"}, From: from, To: to, Points: points, Mode: series.ModeM4,
				})
				if err != nil {
					t.Fatal(err)
				}
				column, points := columnsOf(got.Sessions[0], from, to, points)
				for m, value := range []func(runSample) *float64{speedOf, powerOf} {
					row := func(v float64) float64 { return (v + 50) * height / 100 }
					var raw, m4 []vertex
					for _, r := range sc.records {
						if v := value(r); v != nil && !r.time.Before(from) && r.time.Before(to) {
							raw = append(raw, vertex{column(r.time.UnixMicro()), row(*v)})
						}
					}
					one := got.Sessions[0]
					col := one.Metrics[m]
					for i := range one.X {
						if col.Count[i] == 0 {
							continue
						}
						first, last := column(micros(col.FirstX[i])), column(micros(col.LastX[i]))
						middle := (first + last) / 2
						m4 = append(m4, vertex{first, row(col.First[i])}, vertex{middle, row(col.Min[i])}, vertex{middle, row(col.Max[i])}, vertex{last, row(col.Last[i])})
					}
					if !slices.Equal(draw(points, height, raw).set, draw(points, height, m4).set) {
						t.Fatalf("%s, level %s, %d columns, %d records, from %v to %v: pixels differ", col.Name, one.Level, points, len(raw), from, to)
					}
				}
			}
		})
	}
}

// M4 reads the rollups where a window is long, and is as exact there.
func TestM4FromRollups(t *testing.T) {
	t.Parallel()
	sc := newScene(t, 300)
	// A long quick run, so that it is not read record by record.
	rng := rand.New(rand.NewPCG(1, 1))
	start := time.Date(2026, 5, 1, 0, 0, 0, 0, time.UTC)
	var all []runSample
	speed := 0.0
	for part := range 4 {
		var records []runSample
		for i := range 25_000 {
			speed += rng.Float64() - 0.5
			v := speed
			s := runSample{time: start.Add(time.Duration(part*25_000+i) * 50 * time.Millisecond)}
			if rng.IntN(20) > 0 {
				s.speed = &v
			}
			records = append(records, s)
		}
		store(t, sc.store, "long", records)
		if part < 3 {
			refresh(t, sc.store)
		}
		all = append(all, records...)
	}
	rounds := fewer(t, 40, 12)
	for round := range rounds {
		if round == rounds/2 {
			// With its summary current, the store knows that no two records share a
			// timestamp, and has the database find first and last.
			if _, err := sc.store.Summary(t.Context(), "long"); err != nil {
				t.Fatal(err)
			}
		}
		from := start.Add(time.Duration(rng.Int64N(int64(5 * time.Minute)))).Truncate(time.Microsecond)
		to := from.Add(75*time.Minute + time.Duration(rng.Int64N(int64(10*time.Minute)))).Truncate(time.Microsecond)
		points := []int{7, 60, 333, 1000}[rng.IntN(4)]
		got, err := sc.store.Series.Read(t.Context(), series.Request{
			Sessions: []string{"long"}, Metrics: []string{"speed_ms"}, From: from, To: to, Points: points, Mode: series.ModeM4,
		})
		if err != nil {
			t.Fatal(err)
		}
		one := got.Sessions[0]
		col := one.Metrics[0]
		type ends struct {
			First, Last, Min, Max float64
			FirstT, LastT, Count  int64
		}
		want := map[int64]ends{}
		place, _ := columnsOf(one, from, to, points)
		for _, r := range all {
			if r.speed == nil || r.time.Before(from) || !r.time.Before(to) {
				continue
			}
			t, v := r.time.UnixMicro(), *r.speed
			i := int64(place(t))
			e, ok := want[i]
			if !ok {
				e = ends{v, v, v, v, t, t, 0}
			}
			e.Last, e.LastT, e.Min, e.Max = v, t, min(e.Min, v), max(e.Max, v)
			e.Count++
			want[i] = e
		}
		have := map[int64]ends{}
		for i, x := range one.X {
			if col.Count[i] > 0 {
				have[int64(place(micros(x)))] = ends{col.First[i], col.Last[i], col.Min[i], col.Max[i], micros(col.FirstX[i]), micros(col.LastX[i]), col.Count[i]}
			}
		}
		if diff := cmp.Diff(want, have); diff != "" {
			t.Fatalf("level %s, %d columns, from %v to %v (-want +got):\n%s", one.Level, points, from, to, diff)
		}
	}
}
