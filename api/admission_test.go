package api_test

import (
	"net/http"
	"testing"

	"github.com/ecovolt/telemetryd/api"
	"github.com/ecovolt/telemetryd/internal/dbtest"
)

// An upload that finds no place within the patience of load.Gate is turned away
// with a time to come back, and is taken then.
func TestUploadAdmission(t *testing.T) {
	t.Parallel()
	if dbtest.SingleBackend(t) {
		t.Skip("the server has one backend: nobody can wait for another's lock")
	}
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
