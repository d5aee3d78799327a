package timeseries_test

import (
	"encoding/json"
	"math"
	"testing"
	"time"

	"github.com/ecovolt/telemetryd/internal/dbtest"
	"github.com/ecovolt/telemetryd/timeseries"
	"github.com/ecovolt/telemetryd/timeseries/record"
	"github.com/ecovolt/telemetryd/timeseries/series"
)

// steady drives at 10 m/s and 5 Hz; the value of power tells where it is.
func steady(session string, start time.Time, n int, hole func(i int) bool) []rec {
	var records []rec
	for i := range n {
		if hole != nil && hole(i) {
			continue
		}
		records = append(records, rec{
			"session_id": session, "timestamp": record.FormatTime(start.Add(time.Duration(i) * 200 * time.Millisecond)),
			"speed_ms": 10.0, "power_w": float64(i), "distance_m": float64(i) * 2,
		})
	}
	return records
}

func storeRecords(t *testing.T, s *timeseries.Store, records []rec) {
	t.Helper()
	text, err := json.Marshal(records)
	if err != nil {
		t.Fatal(err)
	}
	storeJSON(t, s, text)
}

// Runs that began at different times lie over another by elapsed time and by
// distance, on one grid.
func TestSeriesCompareRuns(t *testing.T) {
	t.Parallel()
	s := timeseries.New(dbtest.New(t), timeseries.Options{})
	storeRecords(t, s, steady("a", time.Date(2026, 3, 21, 12, 0, 0, 0, time.UTC), 6000, nil))
	storeRecords(t, s, steady("b", time.Date(2025, 7, 2, 8, 13, 20, 0, time.UTC), 6000, nil))
	refresh(t, s)
	for _, align := range []series.Align{series.AlignElapsed, series.AlignDistance} {
		start, end := 100.0, 700.0
		got, err := s.Series.Read(t.Context(), series.Request{
			Sessions: []string{"a", "b"}, Metrics: []string{"power_w"}, Points: 60, Align: align, Start: &start, End: &end,
		})
		if err != nil {
			t.Fatal(err)
		}
		a, b := got.Sessions[0], got.Sessions[1]
		if a.Width != 10 || len(a.X) != 60 || len(b.X) != 60 {
			t.Fatalf("%v: %d and %d buckets of %v", align, len(a.X), len(b.X), a.Width)
		}
		perUnit := 5.0 // records per second
		if align == series.AlignDistance {
			perUnit = 0.5 // per metre
		}
		for i := range a.X {
			if a.X[i] != b.X[i] || a.X[i] != start+10*float64(i) {
				t.Errorf("%v: bucket %d at %v and %v", align, i, a.X[i], b.X[i])
			}
			first := a.X[i] * perUnit
			if a.Metrics[0].Min[i] != first || a.Metrics[0].Max[i] != first+10*perUnit-1 {
				t.Errorf("%v: bucket %d holds %v to %v, want from %v", align, i, a.Metrics[0].Min[i], a.Metrics[0].Max[i], first)
			}
			if a.Metrics[0].Max[i] != b.Metrics[0].Max[i] || a.Metrics[0].Count[i] != b.Metrics[0].Count[i] {
				t.Errorf("%v: equal runs differ in bucket %d", align, i)
			}
		}
	}
	// Without a window, both runs whole.
	for _, align := range []series.Align{series.AlignTime, series.AlignElapsed, series.AlignDistance} {
		got, err := s.Series.Read(t.Context(), series.Request{Sessions: []string{"a", "b"}, Metrics: []string{"power_w"}, Points: 500, Align: align})
		if err != nil {
			t.Fatal(err)
		}
		for _, one := range got.Sessions {
			total := int64(0)
			for _, n := range one.Metrics[0].Count {
				total += n
			}
			if total != 6000 {
				t.Errorf("%v: %d records of %s", align, total, one.ID)
			}
		}
	}
}

// A silence is one empty point by default, one for each bucket with fill=null,
// and the last value with fill=locf.
func TestSeriesGaps(t *testing.T) {
	t.Parallel()
	s := timeseries.New(dbtest.New(t), timeseries.Options{})
	start := time.Date(2026, 3, 21, 12, 0, 0, 0, time.UTC)
	// Ten minutes, of which the second to the fourth are missing.
	storeRecords(t, s, steady("race", start, 3000, func(i int) bool { return i >= 300 && i < 1200 }))
	for _, points := range []int{60, 5000} {
		for fill, want := range map[series.Fill][2]int{series.FillGap: {1, 0}, series.FillNull: {18, 0}, series.FillLOCF: {0, 18}} {
			if points == 5000 { // the records themselves: no grid to fill
				want = map[series.Fill][2]int{series.FillGap: {1, 0}, series.FillNull: {1, 0}, series.FillLOCF: {0, 0}}[fill]
			}
			got, err := s.Series.Read(t.Context(), series.Request{
				Sessions: []string{"race"}, Metrics: []string{"power_w"}, From: start, To: start.Add(10 * time.Minute), Points: points, Fill: fill,
			})
			if err != nil {
				t.Fatal(err)
			}
			one := got.Sessions[0]
			if one.Points != (points == 5000) {
				t.Fatalf("%d points: records one by one: %v", points, one.Points)
			}
			empty, carried := 0, 0
			for i, n := range one.Metrics[0].Count {
				switch {
				case n > 0:
				case math.IsNaN(one.Metrics[0].Avg[i]):
					empty++
				default:
					carried++
					if one.Metrics[0].Avg[i] != one.Metrics[0].Avg[i-1] {
						t.Errorf("%v is carried on as %v", one.Metrics[0].Avg[i-1], one.Metrics[0].Avg[i])
					}
				}
			}
			if empty != want[0] || carried != want[1] {
				t.Errorf("%d points, fill %v: %d empty and %d carried, want %v", points, fill, empty, carried, want)
			}
		}
	}
}

// A series reads back from its JSON as it was.
func TestSeriesJSON(t *testing.T) {
	t.Parallel()
	dbtest.NeedsBackends(t, "the same on both editions: it is worked out of what was read")
	s := timeseries.New(dbtest.New(t), timeseries.Options{})
	start := time.Date(2026, 3, 21, 12, 0, 0, 123456000, time.UTC)
	storeRecords(t, s, steady("ra\"ce", start, 50, func(i int) bool { return i > 10 && i < 40 }))
	got, err := s.Series.Read(t.Context(), series.Request{Sessions: []string{"ra\"ce"}, Metrics: []string{"speed_ms", "power_w"}, Points: 100, Mode: series.ModeM4})
	if err != nil {
		t.Fatal(err)
	}
	var back struct {
		From, To float64
		Sessions []struct {
			ID      string `json:"session_id"`
			Level   string
			T       []float64
			Metrics map[string]struct {
				Unit                                        string
				Min, Max, Avg, First, Last, First_T, Last_T []*float64
				Count                                       []int64
			}
		}
	}
	if err := json.Unmarshal(got.JSON(), &back); err != nil {
		t.Fatalf("%v in %s", err, got.JSON())
	}
	one := back.Sessions[0]
	power := one.Metrics["power_w"]
	if back.From != float64(start.UnixMicro())/1e3 || one.ID != "ra\"ce" || one.Level != "raw" || len(one.T) != 22 || len(power.Max) != 22 || power.Unit != "W" {
		t.Errorf("series: %+v", back)
	}
	if one.T[1] != float64(start.UnixMicro()+200_000)/1e3 || *power.Last[1] != 1 || *power.First_T[1] != one.T[1] || power.Max[11] != nil || power.Count[11] != 0 {
		t.Errorf("points: %v, %v", one.T[:2], power.Max[11])
	}
}
