package e2e

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/ecovolt/telemetryd/internal/await"
	"github.com/ecovolt/telemetryd/internal/dbtest"
	"github.com/ecovolt/telemetryd/timeseries/decode"
	"github.com/ecovolt/telemetryd/timeseries/ingest"
)

// A sensor that nobody has heard of is charted, and has levels, while an import, a dump
// and an analyst who went for lunch hold what there is, and the bridge waits for none of
// it. SQL has it by its name once the analyst lets go of the view.
func TestNewSensorBesideWhoeverHoldsTables(t *testing.T) {
	t.Parallel()
	dbtest.NeedsBackends(t, "the server has one backend")
	h := newServer(t, nil)
	sent := 0
	bridge := func(more string) {
		t.Helper()
		ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
		defer cancel()
		sent++
		record := fmt.Sprintf(`{"session_id":"race","timestamp":"2026-05-01T10:00:%02d.%03dZ","speed_ms":5%s}`, sent/100%60, sent%100, more)
		a, err := sendTo(ctx, http.DefaultClient, h.url, call("mutation", "telemetry:insertTelemetryBatch", []byte(`{"records":[`+record+`]}`), nil))
		if err != nil || a.status != 200 {
			t.Fatalf("the bridge: %v, %v", a, err)
		}
	}
	bridge("")

	hold := func(options pgx.TxOptions, statements ...string) (release func()) {
		conn, err := pgx.Connect(t.Context(), dbtest.URL(t))
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { conn.Close(context.WithoutCancel(t.Context())) })
		tx, err := conn.BeginTx(t.Context(), options)
		if err != nil {
			t.Fatal(err)
		}
		for _, statement := range statements {
			if _, err := tx.Exec(t.Context(), statement); err != nil {
				t.Fatalf("%s: %v", statement, err)
			}
		}
		return func() {
			if err := tx.Rollback(t.Context()); err != nil {
				t.Fatal(err)
			}
		}
	}
	hold(pgx.TxOptions{IsoLevel: pgx.RepeatableRead}, `
		DO $$
		DECLARE one regclass;
		BEGIN
			FOR one IN SELECT oid FROM pg_class WHERE relkind = 'r' AND relnamespace::regnamespace::text !~ '^(pg_|information_schema)' LOOP
				EXECUTE format('LOCK TABLE ONLY %s IN ACCESS SHARE MODE', one);
			END LOOP;
		END
		$$`)
	back := hold(pgx.TxOptions{AccessMode: pgx.ReadOnly}, "SET LOCAL ROLE telemetry_analyst", "SELECT count(*) FROM analytics.records")
	body, file := io.Pipe()
	imported := make(chan error)
	go func() {
		_, err := h.daemon.Store.Writer.Import(t.Context(), decode.New(body, decode.Options{}), ingest.Options{Source: "import"})
		imported <- err
	}()
	for i := range 2*ingest.ChunkRecords + 1 {
		fmt.Fprintf(file, `{"session_id":"old","timestamp":%q,"speed_ms":5,"oil_c":80}`+"\n", time.Date(2026, 4, 1, 0, 0, i, 0, time.UTC).Format(time.RFC3339))
	}

	seen := func(sql string) func() bool {
		return func() bool {
			bridge(`,"battery_temp_c":31.5`)
			var there bool
			err := h.pool.QueryRow(t.Context(), sql).Scan(&there)
			return err == nil && there
		}
	}
	await.Until(t, "the sensor has levels", seen("SELECT EXISTS (SELECT FROM member_levels JOIN level_members USING (session, slot) WHERE member = 'battery_temp_c' AND width = 600)"))
	if a := h.send(request{method: "GET", path: "/api/v1/sessions/race/series?points=1&metrics=battery_temp_c"}); a.status != 200 || !strings.Contains(string(a.body), "31.5") {
		t.Errorf("it is charted as %v", a)
	}
	back()
	await.Until(t, "analysts have it by its name", seen("SELECT EXISTS (SELECT FROM analytics.records WHERE battery_temp_c = 31.5)"))
	select {
	case err := <-imported:
		t.Errorf("the import did not last as long: %v", err)
	default:
	}
	file.Close()
	if err := <-imported; err != nil {
		t.Error(err)
	}
}
