package timeseries_test

import (
	"log/slog"
	"testing"
	"time"

	"github.com/ecovolt/telemetryd/internal/dbtest"
	"github.com/ecovolt/telemetryd/timeseries"
	"github.com/ecovolt/telemetryd/timeseries/column"
	"github.com/ecovolt/telemetryd/timeseries/series"
)

// What a retention policy drops is drawn by the levels, whatever was read before and is
// held in memory, and by whom.
func TestChartsOfDroppedRecords(t *testing.T) {
	t.Parallel()
	pool := dbtest.New(t)
	held := column.New(64<<20, slog.New(slog.DiscardHandler))
	s := timeseries.New(pool, timeseries.Options{Columns: held})
	day := time.Date(2026, 3, 1, 0, 0, 0, 0, time.UTC)
	begin := day.Add(17*time.Second + 137*time.Millisecond) // within a bucket of each level
	const n = 24_000                                        // so many that their ends are kept, in 33 hours
	var records []runSample
	for i := range n {
		v := float64(i)
		records = append(records, runSample{time: begin.Add(time.Duration(i) * 5 * time.Second), speed: &v})
	}
	store(t, s, "run", records)
	if _, err := pool.Exec(t.Context(), "UPDATE sessions SET ended_at = now()"); err != nil {
		t.Fatal(err)
	}
	refresh(t, s)
	check := func(when string, s *timeseries.Store) {
		t.Helper()
		for _, mode := range []series.Mode{series.ModeMinMax, series.ModeM4} {
			for fill := range 2 * series.Fill(3) { // no answer of before is asked for
				req := series.Request{Sessions: []string{"run"}, Metrics: []string{"speed_ms"}, Points: 100, Mode: mode, Fill: fill % 3}
				if fill >= 3 {
					req.From = day.Add(-37 * time.Minute)
				}
				got, err := s.Series.Read(t.Context(), req)
				if err != nil {
					t.Fatal(err)
				}
				held.Wait()
				total := int64(0)
				run := &got.Sessions[0]
				m := &run.Metrics[0]
				for i, n := range m.Count {
					total += n
					if mode == series.ModeM4 && n > 0 && !(m.Min[i] <= m.First[i] && m.First[i] <= m.Max[i] && m.Min[i] <= m.Last[i] && m.Last[i] <= m.Max[i] && run.X[i] <= m.FirstX[i] && m.LastX[i] < run.X[i]+run.Width+1e-3) {
						t.Fatalf("%s: from %v at %v to %v at %v, in a column of %v from %v on with values from %v to %v", when, m.First[i], m.FirstX[i], m.Last[i], m.LastX[i], run.Width, run.X[i], m.Min[i], m.Max[i])
					}
				}
				// What a level's bucket had on either side of a pixel column's edge is gone.
				if total < n*98/100 || mode != series.ModeM4 && total != n {
					t.Errorf("%s, %v, %v, level %s: %d of %d records are known", when, mode, fill, run.Level, total, n)
				}
			}
		}
	}
	check("whole", s)
	before := timeseries.New(pool, timeseries.Options{Columns: column.New(64<<20, slog.New(slog.DiscardHandler))})
	if _, err := before.Rollups.Catalog(t.Context(), pool); err != nil {
		t.Fatal(err)
	}
	if _, err := pool.Exec(t.Context(), "SELECT drop_chunks('telemetry', $1::timestamptz)", day.AddDate(0, 0, 1)); err != nil {
		t.Fatal(err)
	}
	check("dropped, what is held", s)
	check("dropped, to who knew the records before", before)
	check("dropped, with memory", timeseries.New(pool, timeseries.Options{Columns: held}))
	check("dropped, without", timeseries.New(pool, timeseries.Options{}))
}
