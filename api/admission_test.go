package api_test

import (
	"log/slog"
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/ecovolt/telemetryd/internal/load"

	"github.com/ecovolt/telemetryd/api"
	"github.com/ecovolt/telemetryd/auth"
	"github.com/ecovolt/telemetryd/internal/dbtest"
	"github.com/ecovolt/telemetryd/timeseries"
)

// An upload that finds no place within the patience of load.Gate is turned away
// with a time to come back, and is taken then.
func TestUploadAdmission(t *testing.T) {
	t.Parallel()
	dbtest.NeedsBackends(t, "the server has one backend: nobody can wait for another's lock")
	s := open(t, api.Config{MaxIngests: 1})
	ctx, key := t.Context(), "Convex ingest|key:1"
	upload := func(session, at string) reply {
		return s.call(t, "POST", "/api/v1/telemetry", key, `[{"session_id":"`+session+`","timestamp":"2026-03-21T10:00:`+at+`Z","speed_ms":1}]`)
	}
	if got := upload("held", "00"); got.status != http.StatusOK {
		t.Fatalf("the first upload: %+v", got)
	}
	// Whoever holds the session's row keeps the next upload to it in its place.
	tx, err := s.pool.Begin(ctx)
	if err != nil {
		t.Fatal(err)
	}
	defer tx.Rollback(ctx)
	if _, err := tx.Exec(ctx, `SELECT FROM sessions WHERE id = 'held' FOR UPDATE`); err != nil {
		t.Fatal(err)
	}
	held := make(chan reply, 1)
	go func() { held <- upload("held", "01") }()
	for waiting := false; !waiting; {
		if err := s.pool.QueryRow(ctx, `
			SELECT EXISTS (
				SELECT FROM pg_stat_activity
				WHERE datname = current_database() AND wait_event_type = 'Lock')`).Scan(&waiting); err != nil {
			t.Fatal(err)
		}
	}
	turned := upload("other", "02")
	if turned.status != http.StatusServiceUnavailable || turned.header.Get("Retry-After") != "1" || turned.body["detail"] != "too many uploads at once; try again" {
		t.Errorf("an upload without a place: %+v", turned)
	}
	if err := tx.Rollback(ctx); err != nil {
		t.Fatal(err)
	}
	if got := <-held; got.status != http.StatusOK {
		t.Errorf("the upload that had the place: %+v", got)
	}
	if got := upload("other", "02"); got.status != http.StatusOK || got.body["inserted"] != 1.0 {
		t.Errorf("when it comes back: %+v", got)
	}
}

// Answers that wait for their clients share a bound: one that finds no room is
// turned away with a time to come back.
func TestHeldAnswers(t *testing.T) {
	t.Parallel()
	s := open(t, api.Config{})
	got := s.call(t, "POST", "/api/v1/telemetry", "Convex ingest|key:1", `[{"session_id":"a","timestamp":"2026-03-21T10:00:00Z","speed_ms":1}]`)
	if got.status != http.StatusOK {
		t.Fatalf("%+v", got)
	}
	results := load.NewBudget(100_000)
	handler, err := api.New(api.Deps{Store: timeseries.New(s.pool, timeseries.Options{}), Auth: s.auth, Results: results, Log: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	server := httptest.NewServer(handler)
	t.Cleanup(server.Close)
	s.url = server.URL
	token := s.as(t, auth.Internal)
	for _, path := range []string{"/series?metrics=speed_ms", "/laps", "/track", "/summary"} {
		if !results.Take("deaf", 100_000) { // as deaf clients would
			t.Fatal("the budget is not whole")
		}
		if got := s.call(t, "GET", "/api/v1/sessions/a"+path, token, nil); got.status != http.StatusServiceUnavailable || got.header.Get("Retry-After") != "1" {
			t.Errorf("%s without room: %+v", path, got)
		}
		results.Give("deaf", 100_000)
		if got := s.call(t, "GET", "/api/v1/sessions/a"+path, token, nil); got.status != http.StatusOK {
			t.Errorf("%s with room: %+v", path, got)
		}
	}
}
