package timeseries_test

import (
	"math"
	"math/rand/v2"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/ecovolt/telemetryd/internal/dbtest"
	"github.com/ecovolt/telemetryd/internal/fault"
	schema "github.com/ecovolt/telemetryd/sql"
	"github.com/ecovolt/telemetryd/timeseries"
)

func topicVersion(t *testing.T, pool *pgxpool.Pool, topic string) int {
	t.Helper()
	var v int
	if err := pool.QueryRow(t.Context(), "SELECT coalesce(max(version), 0) FROM changes WHERE topic = $1", topic).Scan(&v); err != nil {
		t.Fatal(err)
	}
	return v
}

func ptr[T any](v T) *T { return &v }

func activeRun(id string) timeseries.LiveReport {
	return timeseries.LiveReport{Status: timeseries.LiveActive, SessionID: id, StartedAt: "2026-03-21T21:41:10+00:00"}
}

func endedRun(id string) timeseries.LiveReport {
	r := activeRun(id)
	r.Status, r.EndedAt, r.Reason = timeseries.LiveEnded, ptr("2026-03-21T22:00:00.5+00:00"), ptr(timeseries.ReasonInterrupt)
	return r
}

func TestLiveStateRules(t *testing.T) {
	t.Parallel()
	dbtest.NeedsBackends(t, "the same on both editions: it is in plain tables")
	pool := dbtest.New(t)
	store := timeseries.New(pool, timeseries.Options{})
	ctx := t.Context()
	if state, err := store.LiveState(ctx); state != nil || err != nil {
		t.Fatalf("before any report: %+v, %v", state, err)
	}
	named := activeRun("a")
	named.SessionName, named.RecordCount = ptr("Morning"), 12.9
	named.EndedAt, named.Reason = ptr("x"), ptr(timeseries.ReasonInterrupt) // not kept while active
	negative := activeRun("b")
	negative.RecordCount = -3
	a := timeseries.LiveState{Status: "active", SessionID: "a", SessionName: ptr("Morning"), StartedAt: named.StartedAt, RecordCount: 12}
	aEnded := timeseries.LiveState{Status: "ended", SessionID: "a", StartedAt: named.StartedAt,
		EndedAt: ptr("2026-03-21T22:00:00.5+00:00"), Reason: ptr("user_interrupt")}
	b := timeseries.LiveState{Status: "active", SessionID: "b", StartedAt: named.StartedAt}
	for i, step := range []struct {
		name    string
		report  timeseries.LiveReport
		want    timeseries.LiveState
		ignored bool
	}{
		{"first", named, a, false},
		{"end of another session", endedRun("z"), a, true},
		{"end", endedRun("a"), aEnded, false},
		{"active after its end", activeRun("a"), aEnded, true},
		{"next session", negative, b, false},
		{"end of the session before", endedRun("a"), b, true},
		{"the session before is begun again", named, a, false},
	} {
		before := topicVersion(t, pool, schema.TopicLive)
		got, err := store.ReportLive(ctx, step.report)
		if err != nil {
			t.Fatalf("%d %s: %v", i, step.name, err)
		}
		if diff := cmp.Diff(&step.want, got, cmpopts.IgnoreFields(timeseries.LiveState{}, "UpdatedAt")); diff != "" {
			t.Errorf("%s: answer (-want +got):\n%s", step.name, diff)
		}
		stored, err := store.LiveState(ctx)
		if diff := cmp.Diff(got, stored); diff != "" || err != nil {
			t.Errorf("%s: the answer is not what is stored (error %v):\n%s", step.name, err, diff)
		}
		if at, err := time.Parse("2006-01-02T15:04:05.000Z", got.UpdatedAt); err != nil || time.Since(at).Abs() > time.Minute {
			t.Errorf("%s: updated_at %q is not the server's time", step.name, got.UpdatedAt)
		}
		if announced := topicVersion(t, pool, schema.TopicLive) > before; announced == step.ignored {
			t.Errorf("%s: announced %v", step.name, announced)
		}
	}
}

func TestEndBeforeAnyStateIsStored(t *testing.T) {
	t.Parallel()
	dbtest.NeedsBackends(t, "the same on both editions: it is in plain tables")
	store := timeseries.New(dbtest.New(t), timeseries.Options{})
	got, err := store.ReportLive(t.Context(), endedRun("a"))
	if err != nil || got.Status != "ended" || got.SessionID != "a" {
		t.Errorf("%+v, %v", got, err)
	}
}

func TestEndMarksTheSessionOnce(t *testing.T) {
	t.Parallel()
	dbtest.NeedsBackends(t, "the same on both editions: it is in plain tables")
	pool := dbtest.New(t)
	var told []string
	store := timeseries.New(pool, timeseries.Options{OnCommit: func(ids ...string) { told = append(told, ids...) }})
	ctx := t.Context()
	if _, err := pool.Exec(ctx, "INSERT INTO sessions (id) VALUES ('a')"); err != nil {
		t.Fatal(err)
	}
	for _, report := range []timeseries.LiveReport{activeRun("a"), endedRun("a"), endedRun("a"), activeRun("a")} {
		if _, err := store.ReportLive(ctx, report); err != nil {
			t.Fatal(err)
		}
	}
	var endedAt time.Time
	var revision int
	if err := pool.QueryRow(ctx, "SELECT ended_at, revision FROM sessions WHERE id = 'a'").Scan(&endedAt, &revision); err != nil {
		t.Fatal(err)
	}
	if want := time.Date(2026, 3, 21, 22, 0, 0, 5e8, time.UTC); !endedAt.Equal(want) || revision != 1 {
		t.Errorf("ended at %v with revision %d, want %v and 1", endedAt.UTC(), revision, want)
	}
	if diff := cmp.Diff([]string{"a"}, told); diff != "" {
		t.Errorf("told of commits (-want +got):\n%s", diff)
	}
}

func TestAnEndWithoutATimeTakesTheServers(t *testing.T) {
	t.Parallel()
	dbtest.NeedsBackends(t, "the same on both editions: it is in plain tables")
	pool := dbtest.New(t)
	store := timeseries.New(pool, timeseries.Options{})
	if _, err := pool.Exec(t.Context(), "INSERT INTO sessions (id) VALUES ('a')"); err != nil {
		t.Fatal(err)
	}
	report := endedRun("a")
	report.EndedAt, report.Reason = nil, nil
	if _, err := store.ReportLive(t.Context(), report); err != nil {
		t.Fatal(err)
	}
	var age time.Duration
	if err := pool.QueryRow(t.Context(), "SELECT clock_timestamp() - ended_at FROM sessions").Scan(&age); err != nil || age > time.Minute {
		t.Errorf("ended %v ago, error %v", age, err)
	}
}

func TestReportsAtOnceKeepOneState(t *testing.T) {
	t.Parallel()
	dbtest.NeedsBackends(t, "the same on both editions: it is in plain tables")
	pool := dbtest.New(t)
	store := timeseries.New(pool, timeseries.Options{})
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			if _, err := store.ReportLive(t.Context(), activeRun("a")); err != nil {
				t.Error(err)
			}
			if _, err := store.ReportLive(t.Context(), endedRun("a")); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	state, err := store.LiveState(t.Context())
	if err != nil || state.Status != "ended" {
		t.Errorf("an end must last: %+v, %v", state, err)
	}
}

func TestInvalidReports(t *testing.T) {
	t.Parallel()
	dbtest.NeedsBackends(t, "the same on both editions: it is in plain tables")
	pool := dbtest.New(t)
	store := timeseries.New(pool, timeseries.Options{})
	for _, test := range []struct {
		field string
		alter func(*timeseries.LiveReport)
	}{
		{"status", func(r *timeseries.LiveReport) { r.Status = "paused" }},
		{"session_id", func(r *timeseries.LiveReport) { r.SessionID = "" }},
		{"session_id", func(r *timeseries.LiveReport) { r.SessionID = "a\x00" }},
		{"session_name", func(r *timeseries.LiveReport) { r.SessionName = ptr(strings.Repeat("x", 1025)) }},
		{"started_at", func(r *timeseries.LiveReport) { r.StartedAt = strings.Repeat("x", 129) }},
		{"ended_at", func(r *timeseries.LiveReport) { r.EndedAt = ptr("\x00") }},
		{"reason", func(r *timeseries.LiveReport) { r.Reason = ptr("tired") }},
		{"record_count", func(r *timeseries.LiveReport) { r.RecordCount = math.NaN() }},
		{"record_count", func(r *timeseries.LiveReport) { r.RecordCount = math.Inf(1) }},
	} {
		report := activeRun("a")
		test.alter(&report)
		_, err := store.ReportLive(t.Context(), report)
		e := fault.As(err)
		if e == nil || e.Kind != fault.Invalid || len(e.Problems) != 1 || e.Problems[0].Field != test.field {
			t.Errorf("%s: error %v", test.field, err)
		}
	}
	if state, err := store.LiveState(t.Context()); state != nil || err != nil {
		t.Errorf("a refused report was stored: %+v, %v", state, err)
	}
}

// A run's archive is pending exactly while its newest record is within five minutes
// of the server's clock and was stored within five, or the live state says that it
// is active, whatever it was and whoever asks when.
func TestArchiveStatusOfAnyRun(t *testing.T) {
	t.Parallel()
	random := rand.New(rand.NewPCG(8, 8))
	near := func() time.Duration { // often at the edges
		edges := []time.Duration{-24 * time.Hour, -5 * time.Minute, 0, 5 * time.Minute, 24 * time.Hour}
		return edges[random.IntN(len(edges))] + time.Duration(random.IntN(5)-2)*time.Second
	}
	now := time.Now()
	for range 2000 {
		ahead, stored := near(), near().Abs()
		s := timeseries.Session{ID: "a", ReadAt: now, End: now.Add(ahead), UpdatedAt: now.Add(-stored)}
		state := []*timeseries.LiveState{nil, {SessionID: "a", Status: timeseries.LiveActive}, {SessionID: "b", Status: timeseries.LiveActive}, {SessionID: "a", Status: timeseries.LiveEnded}}[random.IntN(4)]
		live := ahead.Abs() <= 5*time.Minute && stored <= 5*time.Minute
		want := "complete"
		if live || state != nil && state.SessionID == "a" && state.Status == timeseries.LiveActive {
			want = "pending"
		}
		got, until := s.Live()
		if got != live || s.ArchiveStatus(state) != want {
			t.Fatalf("newest record %v ahead, stored %v ago, %+v: live %v, %s, want %s", ahead, stored, state, got, s.ArchiveStatus(state), want)
		}
		later := s
		if later.ReadAt = until.Add(time.Microsecond); live {
			if ends, _ := later.Live(); ends {
				t.Fatalf("newest record %v ahead, stored %v ago: live after %v", ahead, stored, until.Sub(now))
			}
		}
	}
}

// The newest record counts by its own time, whichever run has it and whenever it
// came; a clock that is ahead makes none of a negative age.
func TestNewestAge(t *testing.T) {
	t.Parallel()
	h := newServer(t)
	age := func() time.Duration {
		t.Helper()
		age, err := h.store.NewestAge(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		return age
	}
	if got := age(); got >= 0 {
		t.Errorf("without records it is %v, want none", got)
	}
	store := func(session string, ago time.Duration) {
		h.insert(recordAt(session, time.Since(raceStart)-ago, 1))
	}
	store("new", time.Hour)
	store("old", 48*time.Hour)
	if got := age().Round(time.Hour); got != time.Hour {
		t.Errorf("an hour ago is %v", got)
	}
	h.remove("new")
	if got := age().Round(time.Hour); got != 48*time.Hour {
		t.Errorf("two days ago is %v", got)
	}
	store("ahead", -time.Hour)
	if got := age(); got != 0 {
		t.Errorf("in an hour is %v, want 0", got)
	}
}
