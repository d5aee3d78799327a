package timeseries_test

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/ecovolt/telemetryd/internal/dbtest"
	"github.com/ecovolt/telemetryd/internal/fault"
	schema "github.com/ecovolt/telemetryd/sql"
	"github.com/ecovolt/telemetryd/timeseries"
	"github.com/ecovolt/telemetryd/timeseries/book"
	"github.com/ecovolt/telemetryd/timeseries/ingest"
)

func (h *server) edit(id string, change timeseries.SessionChange) *timeseries.Session {
	h.t.Helper()
	run, err := h.store.EditSession(h.t.Context(), id, change)
	if err != nil {
		h.t.Fatal(err)
	}
	return run
}

func (h *server) found(f timeseries.SessionFilter) (ids []string) {
	h.t.Helper()
	list, err := h.store.Sessions(h.t.Context(), f)
	if err != nil {
		h.t.Fatal(err)
	}
	for _, s := range list {
		ids = append(ids, s.ID)
	}
	return ids
}

// What people say of a run stays with it, whatever comes later and whenever it
// was; another run of the same id knows nothing of it.
func TestBookFollowsItsRun(t *testing.T) {
	t.Parallel()
	dbtest.NeedsBackends(t, "plain tables: the same on both editions")
	h := newServer(t)
	h.insert(recordAt("s", 0, 1))
	name, driver, wh := "By hand", "Ann", 60.0
	run := h.edit("s", timeseries.SessionChange{Name: &name, Book: book.Change{PlanChange: book.PlanChange{Energy: &wh}, Driver: &driver, Tags: &[]string{"rain"}, Fields: map[string]string{"wing": "2"}}})
	if *run.Name != name || *run.Book.Driver != "Ann" || run.Book.Revision != 1 || strings.HasSuffix(run.Version(), ".1.0") {
		t.Errorf("%+v", run)
	}
	if v, err := h.store.Deltas.Versions(t.Context(), []string{schema.TopicBook("s")}); err != nil || v[schema.TopicBook("s")] != "1" {
		t.Errorf("watchers are told %v, %v", v, err)
	}
	h.insert(rec{"session_id": "s", "timestamp": "2026-03-21T12:00:00Z", "session_name": "By radio"})
	if _, err := h.store.Writer.Repair(t.Context(), ingest.Repair{Session: "s", Shift: -time.Hour, All: true}); err != nil {
		t.Fatal(err)
	}
	if _, err := h.store.PurgeDeleted(t.Context()); err != nil {
		t.Fatal(err)
	}
	run, err := h.store.SessionWithFigures(t.Context(), "s")
	if err != nil || *run.Name != name || run.Book.Driver == nil || *run.Book.Driver != "Ann" || !slices.Equal(run.Book.Tags, []string{"rain"}) || run.Book.Fields["wing"] != "2" || run.Book.Energy == nil || *run.Book.Energy != wh {
		t.Errorf("after all that: %+v, %v", run, err)
	}
	if _, err := h.store.DeleteSession(t.Context(), "s"); err != nil {
		t.Fatal(err)
	}
	h.insert(recordAt("s", 0, 1))
	if run, err = h.store.SessionWithFigures(t.Context(), "s"); err != nil || run.Book.Driver != nil || run.Book.Revision != 0 {
		t.Errorf("another run: %+v, %v", run, err)
	}
	if _, err := h.store.PurgeDeleted(t.Context()); err != nil {
		t.Fatal(err)
	}
	if n := h.count("SELECT count(*) FROM run_book"); n != 0 {
		t.Errorf("%d entries of deleted runs are left", n)
	}
	if _, err := h.store.EditSession(t.Context(), "none", timeseries.SessionChange{Name: &name}); !fault.Is(err, fault.NotFound) {
		t.Error(err)
	}
	if _, err := h.store.EditSession(t.Context(), "s", timeseries.SessionChange{}); !fault.Is(err, fault.Invalid) {
		t.Error(err)
	}
}

// Of two who edit what they both have seen, the second is told; of those who do not
// say what they have seen, the last one is right.
func TestTwoEditors(t *testing.T) {
	t.Parallel()
	dbtest.NeedsBackends(t, "plain tables: the same on both editions")
	h := newServer(t)
	h.insert(recordAt("s", 0, 1))
	ann, ben := "Ann", "Ben"
	seen := h.edit("s", timeseries.SessionChange{Book: book.Change{Car: &ann}}).Book.Revision
	h.edit("s", timeseries.SessionChange{Book: book.Change{Driver: &ann}, Seen: &seen})
	_, err := h.store.EditSession(t.Context(), "s", timeseries.SessionChange{Book: book.Change{Driver: &ben}, Seen: &seen})
	if f := fault.As(err); f == nil || f.Code != "BOOK_CONFLICT" || f.Kind != fault.Conflict {
		t.Errorf("%v", err)
	}
	if run := h.edit("s", timeseries.SessionChange{Book: book.Change{Driver: &ben}}); *run.Book.Driver != "Ben" || *run.Book.Car != "Ann" {
		t.Errorf("%+v", run.Book)
	}
}

// Nobody can write what lists could not read.
func TestBookByHand(t *testing.T) {
	t.Parallel()
	dbtest.NeedsBackends(t, "plain tables: the same on both editions")
	h := newServer(t)
	h.insert(recordAt("s", 0, 1))
	for fields, ok := range map[string]bool{`{"wing": "2"}`: true, `{"wing": 2}`: false, `{"wing": null}`: false, `["wing"]`: false, `{"wing": {"a": "b"}}`: false} {
		_, err := h.pool.Exec(t.Context(), "INSERT INTO run_book (session, fields) SELECT session, $1 FROM sessions ON CONFLICT (session) DO UPDATE SET fields = $1", fields)
		if (err == nil) != ok {
			t.Errorf("%s: %v", fields, err)
		}
	}
	if got := h.found(timeseries.SessionFilter{Book: book.Filter{Fields: map[string]string{"wing": "2"}}}); len(got) != 1 {
		t.Error(got)
	}
}

func TestRunsByTheBook(t *testing.T) {
	t.Parallel()
	dbtest.NeedsBackends(t, "plain tables: the same on both editions")
	h := newServer(t)
	for i, run := range []struct{ id, driver, tyres, tag string }{{"a", "Ann", "soft", "rain"}, {"b", "Ben", "hard", ""}, {"c", "ann", "hard", "Rain"}} {
		h.insert(recordAt(run.id, time.Duration(i)*24*time.Hour, 1), recordAt(run.id, time.Duration(i)*24*time.Hour+time.Duration(10-i)*time.Second, 2))
		h.edit(run.id, timeseries.SessionChange{Book: book.Change{Driver: &run.driver, Tyres: &run.tyres, Tags: &[]string{run.tag}, Fields: map[string]string{"wing": fmt.Sprint(i)}}})
	}
	h.insert(recordAt("d", -time.Hour, 1))
	for name, test := range map[string]struct {
		filter timeseries.SessionFilter
		want   []string
	}{
		"all":       {timeseries.SessionFilter{}, []string{"c", "b", "a", "d"}},
		"driver":    {timeseries.SessionFilter{Book: book.Filter{Driver: "ANN"}}, []string{"c", "a"}},
		"both":      {timeseries.SessionFilter{Book: book.Filter{Driver: "Ann", Tyres: "hard"}}, []string{"c"}},
		"tag":       {timeseries.SessionFilter{Book: book.Filter{Tag: "rain"}}, []string{"c", "a"}},
		"field":     {timeseries.SessionFilter{Book: book.Filter{Fields: map[string]string{"wing": "1"}}}, []string{"b"}},
		"words":     {timeseries.SessionFilter{Book: book.Filter{Words: []string{"HAR", "ben"}}}, []string{"b"}},
		"no match":  {timeseries.SessionFilter{Book: book.Filter{Words: []string{"%"}}}, nil},
		"before":    {timeseries.SessionFilter{StartedBefore: raceStart.Add(time.Minute)}, []string{"a", "d"}},
		"by driver": {timeseries.SessionFilter{Sort: "driver"}, []string{"c", "a", "b", "d"}},
		"by length": {timeseries.SessionFilter{Sort: "-duration_s", Offset: 1, Limit: 2}, []string{"b", "c"}},
		"by name":   {timeseries.SessionFilter{Sort: "name"}, []string{"a", "b", "c", "d"}},
	} {
		if diff := cmp.Diff(test.want, h.found(test.filter)); diff != "" {
			t.Errorf("%s: %s", name, diff)
		}
	}
	if _, err := h.store.Sessions(t.Context(), timeseries.SessionFilter{Sort: "luck"}); !fault.Is(err, fault.Invalid) {
		t.Error(err)
	}
}

// A season's figures are those that SQL has.
func TestSeason(t *testing.T) {
	t.Parallel()
	dbtest.NeedsBackends(t, "plain tables: the same on both editions")
	h := newServer(t)
	for i, driver := range []string{"Ann", "Ben", "Ann", ""} {
		id := fmt.Sprint("r", i)
		var records []rec
		for k := range 60 {
			records = append(records, rec{"session_id": id, "timestamp": raceStart.Add(time.Duration(i*24)*time.Hour + time.Duration(k)*time.Second).Format(time.RFC3339), "speed_ms": 10, "power_w": 100 + 20*i})
		}
		h.insert(records...)
		h.edit(id, timeseries.SessionChange{Book: book.Change{Driver: &driver, Car: &id}})
		if _, err := h.store.Analysis.Update(t.Context(), id); err != nil {
			t.Fatal(err)
		}
	}
	h.insert(rec{"session_id": "still", "timestamp": "2026-03-21T12:00:00Z", "voltage_v": 48})
	season, err := h.store.Season(t.Context(), timeseries.SessionFilter{}, "efficiency_km_kwh", "driver", time.UTC)
	if err != nil || len(season.Groups) != 3 || season.Without != 1 {
		t.Fatalf("%+v, %v", season, err)
	}
	for _, g := range season.Groups {
		var n int
		var mean float64
		var spread *float64
		if err := h.pool.QueryRow(t.Context(), `
			SELECT count(efficiency_km_kwh), avg(efficiency_km_kwh), stddev_samp(efficiency_km_kwh)
			FROM analytics.run_book WHERE driver IS NOT DISTINCT FROM $1 AND session_id <> 'still'`, g.Value).Scan(&n, &mean, &spread); err != nil {
			t.Fatal(err)
		}
		near := func(a, b float64) bool { return a-b < 1e-9 && b-a < 1e-9 }
		if n != len(g.Points) || !near(mean, g.Mean) || (spread == nil) != (g.Spread == nil) || spread != nil && !near(*spread, *g.Spread) {
			t.Errorf("%v: %+v, in SQL %d, %g, %v", g.Value, g, n, mean, spread)
		}
	}
	for _, wrong := range [][2]string{{"luck", "driver"}, {"distance_km", "luck"}} {
		if _, err := h.store.Season(context.WithoutCancel(t.Context()), timeseries.SessionFilter{}, wrong[0], wrong[1], time.UTC); !fault.Is(err, fault.Invalid) {
			t.Errorf("%v: %v", wrong, err)
		}
	}
}
