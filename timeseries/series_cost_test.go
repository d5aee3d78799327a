package timeseries_test

import (
	"regexp"
	"strconv"
	"testing"
	"time"

	"github.com/ecovolt/telemetryd/internal/dbtest"
	"github.com/ecovolt/telemetryd/internal/fault"
	"github.com/ecovolt/telemetryd/timeseries/series"
)

// What a read may cost depends on whose it is and is known before it begins; the
// refusal names what fits, and that is let in.
func TestSeriesCostIsKnownBefore(t *testing.T) {
	t.Parallel()
	h := newServer(t)
	h.insert(recordAt("long", 0, 1), recordAt("long", 28*time.Hour, 2))
	read := func(class series.Class, points int, from time.Duration) error {
		_, err := h.store.Series.Read(t.Context(), series.Request{
			Class: class, Sessions: []string{"long"}, Metrics: []string{"speed_ms", "power_w", "voltage_v", "current_a"},
			Mode: series.ModeM4, Points: points, From: raceStart.Add(from),
		})
		return err
	}
	// What fits is points, or where the records must be read (on the Apache
	// edition there are no levels of 1 s) a window. Of fewer than 20 records in 1 s
	// nobody keeps the ends.
	community := dbtest.Edition(t, h.pool) == "community"
	said := regexp.MustCompile(`at most (\d+) points fit|a window of (\S+) fits`)
	for _, test := range []struct {
		class   series.Class
		points  int
		records int
		fits    bool
	}{
		{series.Member, 24_000, 5_000_000, true},
		{series.Guest, 24_000, 5_000_000, community},
		{series.Guest, 24_000, 1_900_000, false},
		{series.Member, 100_000, 5_000_000, false}, // values in all
		{series.Guest, 2000, 5_000_000, true},
	} {
		// It looks like a run of so many records, which nobody has to store.
		if _, err := h.pool.Exec(t.Context(), "UPDATE sessions SET records = $1, revision = revision + 1 WHERE id = 'long'", test.records); err != nil {
			t.Fatal(err)
		}
		// All but the last minutes are in the rollups.
		if _, err := h.store.Rollups.Refresh(t.Context()); err != nil {
			t.Fatal(err)
		}
		err := read(test.class, test.points, 0)
		if test.fits {
			if err != nil {
				t.Errorf("class %d, %d points: %v", test.class, test.points, err)
			}
			continue
		}
		if !fault.Is(err, fault.Invalid) {
			t.Fatalf("class %d, %d points: %v", test.class, test.points, err)
		}
		fits := said.FindStringSubmatch(err.Error())
		if fits == nil {
			t.Fatalf("it does not say what fits: %v", err)
		}
		if points, err := strconv.Atoi(fits[1]); err == nil {
			// With fewer points a coarser level may do, and more would fit.
			if points < test.points/3 || points >= test.points {
				t.Errorf("class %d: of %d points %d fit", test.class, test.points, points)
			}
			if err := read(test.class, points, 0); err != nil {
				t.Errorf("class %d: what fits: %v", test.class, err)
			}
		} else if window, err := time.ParseDuration(fits[2]); err != nil {
			t.Error(err)
		} else if err := read(test.class, test.points, 28*time.Hour-window); err != nil {
			t.Errorf("class %d: the window that fits: %v", test.class, err)
		}
	}
}

// A window that is asked for again is the same answer while its run stays the same,
// and another one when that changes.
func TestSeriesAskedForAgain(t *testing.T) {
	t.Parallel()
	h := newServer(t)
	h.insert(numberedRun("run", 500, 0)...)
	read := func(change func(*series.Request)) *series.Answer {
		t.Helper()
		req := series.Request{Sessions: []string{"run"}, Metrics: []string{"speed_ms"}, Points: 50}
		if change != nil {
			change(&req)
		}
		answer, err := h.store.Series.Read(t.Context(), req)
		if err != nil {
			t.Fatal(err)
		}
		return answer
	}
	first := read(nil)
	if again := read(nil); again != first {
		t.Error("it was worked out again")
	}
	start := 3.0
	for what, change := range map[string]func(*series.Request){
		"points":  func(r *series.Request) { r.Points = 51 },
		"mode":    func(r *series.Request) { r.Mode = series.ModeM4 },
		"fill":    func(r *series.Request) { r.Fill = series.FillNull },
		"window":  func(r *series.Request) { r.To = first.Request.To.Add(-time.Second) },
		"start":   func(r *series.Request) { r.Align, r.Start = series.AlignElapsed, &start },
		"metrics": func(r *series.Request) { r.Metrics = []string{"speed_ms", "voltage_v"} },
		"class":   func(r *series.Request) { r.Class = series.Guest },
	} {
		if read(change) == first {
			t.Errorf("another %s is the same answer", what)
		}
	}
	h.insert(numberedRun("run", 1, 500)...)
	if after := read(nil); after == first || after.Sessions[0].Version == first.Sessions[0].Version {
		t.Error("a record came, and the answer is the old one")
	}
}
