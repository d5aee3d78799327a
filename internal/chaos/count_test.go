package chaos

import (
	"testing"
	"time"

	"github.com/ecovolt/telemetryd/internal/dbtest"
	"github.com/ecovolt/telemetryd/timeseries"
	"github.com/ecovolt/telemetryd/timeseries/decode"
	"github.com/ecovolt/telemetryd/timeseries/ingest"
	"github.com/ecovolt/telemetryd/timeseries/rollup"
)

// What is wrong is counted as what it is.
func TestCount(t *testing.T) {
	t.Parallel()
	if _, err := dbtest.New(t).Exec(t.Context(), `
		WITH s AS (INSERT INTO sessions (id) VALUES ('bridge 0') RETURNING session)
		INSERT INTO telemetry (time, session, batch, ord, message_id)
		SELECT '2026-06-03T10:00:00Z'::timestamptz + m * INTERVAL '1 second', session, b, m, m
		FROM s, (VALUES (1, 0), (1, 1), (2, 1), (3, 11)) row (b, m)`); err != nil {
		t.Fatal(err)
	}
	r := &run{url: dbtest.URL(t)}
	r.batches = []batch{
		{session: "bridge 0", from: 0, to: 5, acknowledged: true}, // 3 are missing
		{session: "bridge 0", from: 10, to: 15},                   // torn
		{session: "bridge 0", from: 20, to: 25},                   // absent
	}
	all, err := r.stored(t.Context(), "bridge 0")
	if err != nil || len(all) != 4 {
		t.Fatalf("%v, %v", all, err)
	}
	if err := r.count(t.Context(), []*diary{{session: "bridge 0", ids: all[:2]}, {session: "bridge 0", ids: []string{all[1], all[0], all[2], all[3]}}}); err != nil {
		t.Fatal(err)
	}
	got := r.report
	// No batch is noted for these, so they are in no chart.
	if got.Acknowledged != 5 || got.Lost != 3 || got.Doubled != 1 || got.Torn != 1 || got.Unseen != 2+2 || got.Charts != 1 || got.OK() {
		t.Errorf("%+v", got)
	}
	// Nor is what comes into a bucket that is drawn already.
	batch := decode.NewBatch()
	defer batch.Release()
	if err := decode.Records([]byte(`[{"session_id":"drawn","timestamp":"2026-06-05T10:00:00Z","speed_ms":3}]`), batch, time.Now()); err != nil {
		t.Fatal(err)
	}
	pool := dbtest.New(t)
	if _, err := timeseries.New(pool, timeseries.Options{}).Writer.Ingest(t.Context(), batch, ingest.Options{Source: "test"}); err != nil {
		t.Fatal(err)
	}
	// A daemon that died in the middle of a pass still has the lease, for a moment.
	if _, err := pool.Exec(t.Context(), `
		INSERT INTO leases (name, holder, fence, until)
		VALUES ($1, 'dead', 1, clock_timestamp() + INTERVAL '1 second')
		ON CONFLICT (name) DO UPDATE
		SET until = excluded.until`, rollup.LeaseName); err != nil {
		t.Fatal(err)
	}
	for want := 1; want <= 2; want++ {
		if err := r.charts(t.Context(), pool); err != nil || r.report.Charts != want {
			t.Errorf("%d buckets differ, want %d, %v", r.report.Charts, want, err)
		}
		if _, err := pool.Exec(t.Context(), `
			INSERT INTO telemetry (time, session, batch, ord)
			SELECT '2026-06-05T10:00:30Z', session, 100, 1
			FROM sessions
			WHERE id = 'drawn'`); err != nil {
			t.Fatal(err)
		}
	}
	if nothing := (&Report{}); !nothing.OK() {
		t.Errorf("%+v", nothing)
	}
}

// A page that grows is noted once, and one that lost a record is wrong.
func TestPages(t *testing.T) {
	t.Parallel()
	stored := []string{"a", "b", "c", "d"}
	for name, c := range map[string]struct {
		pages  [][]string // each behind the first one's first record
		missed int
	}{
		"grows":           {[][]string{{"b"}, {"b", "c"}, {"b", "c", "d"}}, 0},
		"ends too early":  {[][]string{{"b"}, {"b", "c"}}, 1},
		"loses one":       {[][]string{{"b", "c"}, {"b"}, {"b", "c", "d"}}, 1},
		"changes a place": {[][]string{{"c"}, {"b", "c", "d"}}, 1},
		"has one twice":   {[][]string{{"b", "b", "c", "d"}}, 3},
	} {
		d := &diary{}
		d.page(0, stored[:1])
		for _, ids := range c.pages {
			d.page(1, ids)
		}
		if got := d.missed(stored); got != c.missed {
			t.Errorf("a page that %s: %d missed, want %d", name, got, c.missed)
		}
	}
}
