package doctor_test

import (
	"strings"
	"testing"
	"time"

	"github.com/ecovolt/telemetryd/internal/await"
	"github.com/ecovolt/telemetryd/internal/dbtest"
	"github.com/ecovolt/telemetryd/internal/doctor"
	"github.com/ecovolt/telemetryd/timeseries"
	"github.com/ecovolt/telemetryd/timeseries/decode"
	"github.com/ecovolt/telemetryd/timeseries/ingest"
	"github.com/ecovolt/telemetryd/timeseries/record"
)

// TestContents finds nothing in a good database, and each thing that is not as it
// should be.
func TestContents(t *testing.T) {
	t.Parallel()
	pool := dbtest.New(t)
	find := func(subject string) doctor.Finding {
		t.Helper()
		findings, err := doctor.Contents(t.Context(), pool)
		if err != nil {
			t.Fatal(err)
		}
		for _, f := range findings {
			if f.Subject == subject {
				return f
			}
		}
		return doctor.Finding{}
	}
	execute := func(sql string, args ...any) {
		t.Helper()
		if _, err := pool.Exec(t.Context(), sql, args...); err != nil {
			t.Fatal(err)
		}
	}
	for _, subject := range []string{"Chunks", "Set aside"} { // jobs of TimescaleDB's own may fail
		if f := find(subject); f.Found != "" {
			t.Errorf("in an empty database: %+v", f)
		}
	}
	writer := timeseries.New(pool, timeseries.Options{}).Writer
	text := `{"session_id":"odd","timestamp":"` + record.FormatTime(time.Date(2026, 3, 21, 10, 0, 0, 0, time.UTC)) + `","speed_ms":1}
{"session_id":"odd","timestamp":"1980-01-06T00:00:00Z","speed_ms":1}`
	if _, err := writer.IngestStream(t.Context(), decode.New(strings.NewReader(text), decode.Options{}), ingest.Options{Source: "test"}); err != nil {
		t.Fatal(err)
	}
	if f := find("Set aside"); f.Level != doctor.Warning || !strings.Contains(f.Found, "1 records") || !strings.Contains(f.Found, "odd") {
		t.Errorf("records set aside: %+v", f)
	}
	if f := find("Chunks"); f.Found != "" {
		t.Errorf("with records: %+v", f)
	}
	if f := find("Channels"); f.Found != "" {
		t.Errorf("with no channels but the contract's: %+v", f)
	}
	execute("INSERT INTO session_members SELECT session, member, 1, 1, 0, now(), now() FROM sessions, (VALUES ('a'), ('b')) m (member)")
	execute("INSERT INTO level_members SELECT session, 1, 'a' FROM sessions")
	execute("INSERT INTO member_level_progress SELECT session, batch, 0, 0 FROM sessions")
	if f := find("Channels"); f.Level != doctor.Warning || !strings.Contains(f.Found, "odd") {
		t.Errorf("with a channel that has no levels: %+v", f)
	}
	execute("DELETE FROM telemetry")
	if f := find("Chunks"); f.Level != doctor.Warning || !strings.Contains(f.Found, "1 of 1 hold no records: 2026-03-21") {
		t.Errorf("without records: %+v", f)
	}
	dbtest.NeedsBackends(t, "the server has no background workers")
	execute("CREATE PROCEDURE broken(job_id int, config jsonb) LANGUAGE plpgsql AS $$ BEGIN RAISE EXCEPTION 'it is broken'; END $$")
	var job int
	if err := pool.QueryRow(t.Context(), "SELECT add_job('broken', '1 hour', initial_start => now())").Scan(&job); err != nil {
		t.Skipf("this edition has no jobs of others: %v", err)
	}
	await.Until(t, "the job has failed", func() bool {
		return strings.Contains(find("Jobs").Found, "it is broken")
	})
}
