package timeseries_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/ecovolt/telemetryd/internal/await"
	"github.com/ecovolt/telemetryd/internal/dbtest"
	"github.com/ecovolt/telemetryd/internal/fault"
	schema "github.com/ecovolt/telemetryd/sql"
	"github.com/ecovolt/telemetryd/timeseries"
	"github.com/ecovolt/telemetryd/timeseries/rollup"
)

// Batches come in order, late, out of order and from last year, sessions go,
// refreshes run in between and are stopped half-way: afterwards every level
// holds exactly what a GROUP BY over the records gives.
func TestRefreshIsExact(t *testing.T) {
	t.Parallel()
	for seed := range fewer(t, 3, 2) {
		t.Run("", func(t *testing.T) {
			t.Parallel()
			rng := rand.New(rand.NewPCG(seed, 1))
			pool := dbtest.New(t)
			s := timeseries.New(pool, timeseries.Options{})
			base := time.Date(2026, 3, 21, 21, 41, 0, 0, time.UTC)
			var late []func()
			for step := range 25 {
				id := []string{"a", "b", "c"}[rng.IntN(3)]
				samples := run(rng, base.Add(time.Duration(step)*7*time.Minute), 50+rng.IntN(600))
				switch rng.IntN(6) {
				case 0: // last year's
					for i := range samples {
						samples[i].time = samples[i].time.AddDate(-1, 0, rng.IntN(2))
					}
				case 1: // one stray timestamp
					samples[len(samples)/2].time = base.AddDate(0, -2, rng.IntN(5))
				}
				send := func() { store(t, s, id, samples) }
				if rng.IntN(3) == 0 {
					late = append(late, send)
				} else {
					send()
				}
				switch rng.IntN(8) {
				case 0, 1:
					refresh(t, s)
				case 2: // killed at some moment
					ctx, cancel := context.WithTimeout(t.Context(), time.Duration(rng.IntN(200))*time.Millisecond)
					_, _ = s.Rollups.Refresh(ctx)
					cancel()
				case 3:
					if _, err := s.DeleteSession(t.Context(), id); err != nil && !fault.Is(err, fault.NotFound) {
						t.Fatal(err)
					}
				case 4:
					if _, err := s.PurgeDeleted(t.Context()); err != nil {
						t.Fatal(err)
					}
				case 5:
					if len(late) > 0 {
						late[0]()
						late = late[1:]
					}
				}
			}
			for _, send := range late {
				send()
			}
			if _, err := s.PurgeDeleted(t.Context()); err != nil {
				t.Fatal(err)
			}
			if seed > 0 { // by two connections, since nothing came in to this one
				s = timeseries.New(pool, timeseries.Options{LargeRefresh: 1})
			}
			refresh(t, s)
			levelsEqualRecords(t, pool)
			if again := refresh(t, s); again.Windows != 0 || again.Sessions != 0 {
				t.Errorf("a second refresh found work: %+v", again)
			}
		})
	}
}

// What a refresh of a few seconds reads goes by those, not by how much of the day
// has been driven.
func TestRefreshReadsAFewSeconds(t *testing.T) {
	t.Parallel()
	dbtest.NeedsBackends(t, "the same on both editions: what is not in the columnstore has the same index")
	pool := dbtest.New(t)
	_, err := pool.Exec(t.Context(), `
		WITH run AS (
			INSERT INTO sessions (id, name, first_time, last_time, records, batch)
			VALUES ('day', 'day', '2026-03-21T00:00:00Z', '2026-03-21T01:06:40Z', 200000, 1) RETURNING session
		), log AS (
			INSERT INTO ingest_batches (session, batch, digest, min_time, max_time, records, source)
			SELECT session, 1, '', '2026-03-21T00:00:00Z', '2026-03-21T01:06:40Z', 200000, 'test' FROM run
		)
		INSERT INTO telemetry (time, session, batch, ord, speed_ms)
		SELECT TIMESTAMPTZ '2026-03-21T00:00:00Z' + i * INTERVAL '20 ms', session, 1, i, i FROM run, generate_series(0, 199999) i`)
	if err != nil {
		t.Fatal(err)
	}
	refresh(t, timeseries.New(pool, timeseries.Options{}))
	if _, err := pool.Exec(t.Context(), "ANALYZE telemetry"); err != nil {
		t.Fatal(err)
	}
	blocks := func(from, to string) (n int) {
		var text string
		err := pool.QueryRow(t.Context(), fmt.Sprintf(`
			EXPLAIN (ANALYZE, BUFFERS, FORMAT JSON)
			SELECT session, time_bucket(INTERVAL '1 s', time), min(speed_ms) FROM telemetry
			WHERE time >= '2026-03-21T%sZ' AND time < '2026-03-21T%sZ' GROUP BY 1, 2`, from, to)).Scan(&text)
		if err != nil {
			t.Fatal(err)
		}
		var plan []struct {
			Plan struct {
				Hit  int `json:"Shared Hit Blocks"`
				Read int `json:"Shared Read Blocks"`
			}
		}
		if err := json.Unmarshal([]byte(text), &plan); err != nil {
			t.Fatal(err)
		}
		return plan[0].Plan.Hit + plan[0].Plan.Read
	}
	if all, few := blocks("00:00:00", "02:00:00"), blocks("01:00:00", "01:00:05"); few > all/10 {
		t.Errorf("5 s are %d blocks of %d", few, all)
	}
}

// A refresh of one late record covers one bucket of each level.
func TestRefreshCoversWhatChanged(t *testing.T) {
	t.Parallel()
	pool := dbtest.New(t)
	s := timeseries.New(pool, timeseries.Options{})
	rng := rand.New(rand.NewPCG(1, 2))
	base := time.Date(2026, 3, 21, 12, 0, 0, 0, time.UTC)
	store(t, s, "a", run(rng, base, 2000))
	refresh(t, s)
	speed := 99.0
	store(t, s, "a", []runSample{{time: base.AddDate(0, 0, -6), speed: &speed}})
	want := len(allRollups()) + 1
	if dbtest.Edition(t, pool) == "apache" {
		want -= 3 // the finest are not stored: 1 s, also of states, and 5 s
	}
	if got := refresh(t, s); got.Windows != want {
		t.Errorf("refreshed %d windows, want %d: one of each rollup and of their ends", got.Windows, want)
	}
	// A year without records is no work: what happened in it is forgotten at once.
	for year := range 2 {
		store(t, s, "years", run(rng, base.AddDate(-year, 0, 2), 200))
	}
	refresh(t, s)
	if _, err := s.DeleteSession(t.Context(), "years"); err != nil {
		t.Fatal(err)
	}
	if _, err := s.PurgeDeleted(t.Context()); err != nil {
		t.Fatal(err)
	}
	if got := refresh(t, s); got.Windows > 150 {
		t.Errorf("%d windows were refreshed to forget two drives", got.Windows)
	}
	levelsEqualRecords(t, pool)
}

// Where there is one connection, whoever waits for it gets it between two windows
// of a long pass.
func TestRefreshSharesItsConnection(t *testing.T) {
	t.Parallel()
	dbtest.NeedsBackends(t, "one transaction at a time: nothing can hold up a window")
	pool, ctx := dbtest.New(t), t.Context()
	lone, err := pgxpool.New(ctx, dbtest.With(dbtest.URL(t), "pool_max_conns=1&application_name=lone"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(lone.Close)
	s := timeseries.New(lone, timeseries.Options{})
	store(t, s, "a", run(rand.New(rand.NewPCG(1, 3)), time.Date(2026, 3, 21, 12, 0, 0, 0, time.UTC), 500))
	_, tx := heldUp(t, pool, s)
	passed := make(chan error, 1)
	go func() {
		_, err := s.Rollups.Refresh(ctx)
		passed <- err
	}()
	longer := func(than time.Duration) bool {
		var held bool
		err := pool.QueryRow(ctx, `
			SELECT EXISTS (
				SELECT FROM pg_stat_activity
				WHERE datname = current_database() AND application_name = 'lone' AND wait_event_type = 'Lock'
				  AND clock_timestamp() > query_start + $1::interval)`, than).Scan(&held)
		if err != nil {
			t.Fatal(err)
		}
		return held
	}
	await.Until(t, "a window is held up", func() bool { return longer(0) })
	done := make(chan bool, 1)
	go func() {
		var refreshed bool
		if err := lone.QueryRow(ctx, "SELECT EXISTS (SELECT FROM rollup_progress)").Scan(&refreshed); err != nil {
			t.Error(err)
		}
		done <- refreshed
	}()
	await.Until(t, "its turn is over", func() bool { return longer(time.Second / 2) })
	if err := tx.Rollback(ctx); err != nil {
		t.Fatal(err)
	}
	if <-done {
		t.Error("the connection was free only after the pass")
	}
	if err := <-passed; err != nil {
		t.Fatal(err)
	}
	levelsEqualRecords(t, pool)
}

// heldUp holds up the windows of a level, until its transaction ends.
func heldUp(t *testing.T, pool *pgxpool.Pool, s *timeseries.Store) (*rollup.Catalog, pgx.Tx) {
	t.Helper()
	catalog, err := s.Rollups.Catalog(t.Context(), pool)
	if err != nil {
		t.Fatal(err)
	}
	tx, err := pool.Begin(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = tx.Rollback(context.Background()) })
	if _, err := tx.Exec(t.Context(), "LOCK TABLE "+catalog.Tables["telemetry_10s"]+" IN EXCLUSIVE MODE"); err != nil {
		t.Fatal(err)
	}
	return catalog, tx
}

// A large refresh does what it can while one of its windows is held up.
func TestLargeRefreshGoesOnBeside(t *testing.T) {
	t.Parallel()
	dbtest.NeedsBackends(t, "one transaction at a time: nothing can hold up a window")
	pool, ctx := dbtest.New(t), t.Context()
	small := timeseries.New(pool, timeseries.Options{})
	analyst, err := pool.Begin(ctx)
	if err != nil {
		t.Fatal(err)
	}
	defer analyst.Rollback(context.WithoutCancel(ctx))
	if _, err := analyst.Exec(ctx, "LOCK TABLE analytics.records IN ACCESS SHARE MODE"); err != nil {
		t.Fatal(err)
	}
	storeJSON(t, small, []byte(`[{"session_id":"sensor","timestamp":"2026-03-20T12:00:00Z","oil_c":80}]`))
	refresh(t, small)
	store(t, small, "a", run(rand.New(rand.NewPCG(1, 3)), time.Date(2026, 3, 21, 12, 0, 0, 0, time.UTC), 500))
	s := timeseries.New(pool, timeseries.Options{LargeRefresh: 1}) // to which nothing came in
	catalog, tx := heldUp(t, pool, s)
	passed, free := make(chan error, 1), make(chan bool)
	go func() {
		s.Rollups.Yield(ctx, time.Hour)
		close(free)
	}()
	go func() {
		_, err := s.Rollups.Refresh(ctx)
		passed <- err
	}()
	// Either connection may be the one that is held up.
	await.Until(t, "the states are there", func() (found bool) {
		err := tx.QueryRow(ctx, "SELECT EXISTS (SELECT FROM "+catalog.Tables["telemetry_states_10m"]+")").Scan(&found)
		if err != nil {
			t.Fatal(err)
		}
		return found
	})
	// What an analyst's lock kept from an earlier pass does not wait for this one.
	if err := analyst.Rollback(ctx); err != nil {
		t.Fatal(err)
	}
	await.Until(t, "analysts have the sensor by its name", func() (found bool) {
		err := tx.QueryRow(ctx, "SELECT EXISTS (SELECT FROM pg_attribute WHERE attrelid = 'analytics.records'::regclass AND attname = 'oil_c')").Scan(&found)
		if err != nil {
			t.Fatal(err)
		}
		return found
	})
	select {
	case <-free:
		t.Error("what can wait did not")
	default:
	}
	if err := tx.Rollback(ctx); err != nil {
		t.Fatal(err)
	}
	if err := <-passed; err != nil {
		t.Fatal(err)
	}
	<-free
	levelsEqualRecords(t, pool)
	if sum, err := s.Summary(ctx, "a"); err != nil || sum.Records != 500 || len(sum.Channels) == 0 {
		t.Errorf("%+v, %v", sum, err)
	}
}

// A long run leaves the records and the rollups when it is deleted, from the
// columnstore too, where a plain DELETE of so many records is refused.
func TestDeletedRunLeavesTheColumnstore(t *testing.T) {
	t.Parallel()
	dbtest.NeedsCommunity(t, dbtest.New(t), "the Apache edition has no columnstore")
	// As many as one statement may unpack, where 100,000 are the default.
	pool, err := pgxpool.New(t.Context(), dbtest.With(dbtest.URL(t), "timescaledb.max_tuples_decompressed_per_dml_transaction=1000"))
	if err != nil {
		t.Fatal(err)
	}
	defer pool.Close()
	s := timeseries.New(pool, timeseries.Options{})
	base := time.Date(2026, 3, 21, 12, 0, 0, 0, time.UTC)
	_, err = pool.Exec(t.Context(), `
		WITH run AS (
			INSERT INTO sessions (id, first_time, last_time, records, batch)
			VALUES ('long', $1::timestamptz, $1::timestamptz + INTERVAL '6000 seconds', 6001, 1) RETURNING session
		), log AS (
			INSERT INTO ingest_batches (session, batch, digest, min_time, max_time, records, source)
			SELECT session, 1, '', $1, $1::timestamptz + INTERVAL '6000 seconds', 6001, 'test' FROM run
		)
		INSERT INTO telemetry (time, session, batch, ord, speed_ms)
		SELECT $1::timestamptz + i * INTERVAL '1 second', session, 1, i, i FROM run, generate_series(0, 6000) i`, base)
	if err != nil {
		t.Fatal(err)
	}
	store(t, s, "short", run(rand.New(rand.NewPCG(5, 5)), base, 500))
	refresh(t, s)
	if _, err := pool.Exec(t.Context(), "SELECT compress_chunk(c) FROM show_chunks('telemetry') c"); err != nil {
		t.Fatal(err)
	}
	levelsEqualRecords(t, pool)
	if _, err := s.DeleteSession(t.Context(), "long"); err != nil {
		t.Fatal(err)
	}
	if n, err := s.PurgeDeleted(t.Context()); err != nil || n != 1 {
		t.Fatalf("purged %d sessions, error %v", n, err)
	}
	refresh(t, s)
	levelsEqualRecords(t, pool)
	var left int
	if err := pool.QueryRow(t.Context(), "SELECT count(*) FROM telemetry").Scan(&left); err != nil || left != 500 {
		t.Errorf("%d records are left, want the other run's 500; error %v", left, err)
	}
}

// Only one instance refreshes at a time; the other says so and leaves.
func TestRefreshOneAtATime(t *testing.T) {
	t.Parallel()
	pool := dbtest.New(t)
	dbtest.NeedsBackends(t, "needs two connections")
	s := timeseries.New(pool, timeseries.Options{})
	store(t, s, "a", run(rand.New(rand.NewPCG(6, 6)), time.Date(2026, 3, 21, 12, 0, 0, 0, time.UTC), 10))
	lease := schema.Lease{Pool: pool, Name: rollup.LeaseName}
	led, err := lease.TryLead(t.Context(), func(ctx context.Context, _ schema.Fence) error {
		result, err := s.Rollups.Refresh(ctx)
		if err != nil || !result.Busy {
			t.Errorf("result %+v, error %v; want busy", result, err)
		}
		return nil
	})
	if err != nil || !led {
		t.Fatalf("no lease: %v", err)
	}
	if result := refresh(t, s); result.Sessions != 1 {
		t.Errorf("result %+v; want the session refreshed", result)
	}
}

// Run brings a late batch into every level by the pass after its commit, even
// beside uploads that never stop: those hold a pass up and prevent none.
func TestRefresherKeepsUp(t *testing.T) {
	t.Parallel()
	dbtest.NeedsBackends(t, "needs two connections")
	pool := dbtest.New(t)
	s := timeseries.New(pool, timeseries.Options{})
	passes := make(chan error)
	refresher := rollup.New(pool, rollup.Options{OnPass: func(result rollup.Result, err error) {
		if !result.Busy {
			passes <- err
		}
	}})
	ctx, stop := context.WithCancel(t.Context())
	done := make(chan struct{})
	go func() { defer close(done); refresher.Run(ctx) }()
	defer func() {
		stop()
		for {
			select {
			case <-passes:
			case <-done:
				return
			}
		}
	}()
	rng := rand.New(rand.NewPCG(3, 4))
	base := time.Date(2026, 3, 21, 12, 0, 0, 0, time.UTC)
	for _, start := range []time.Time{base, base.Add(-6 * time.Hour), base.AddDate(-1, 0, 0)} {
		store(t, s, "a", run(rng, start, 500))
		for range 2 { // one may have looked before the commit
			if err := <-passes; err != nil {
				t.Fatal(err)
			}
		}
		levelsEqualRecords(t, pool)
		var behind bool
		// Before its first refresh a rollup shows all records as they are: that
		// the numbers agree does not say that it is done.
		if err := pool.QueryRow(t.Context(), `
			SELECT count(*) > 0 FROM sessions s LEFT JOIN rollup_progress p USING (session)
			WHERE s.batch > coalesce(p.batch, 0)`).Scan(&behind); err != nil || behind {
			t.Errorf("behind after the next pass: %v, error %v", behind, err)
		}
	}
}

// TimescaleDB logs what each refresh of an aggregate did; ours does so without the
// server's log, and the connection logs as before afterwards.
func TestRefreshIsQuiet(t *testing.T) {
	t.Parallel()
	h := newServer(t)
	var table string
	err := h.pool.QueryRow(t.Context(), `
		SELECT format('%I.%I', materialization_hypertable_schema, materialization_hypertable_name)
		FROM timescaledb_information.continuous_aggregates
		WHERE view_name = 'telemetry_1s'`).Scan(&table)
	if errors.Is(err, pgx.ErrNoRows) {
		t.Skip("this edition has no continuous aggregates")
	}
	if err != nil {
		t.Fatal(err)
	}
	_, err = h.pool.Exec(t.Context(), `
		CREATE TABLE public.seen (level text);
		CREATE FUNCTION note() RETURNS trigger LANGUAGE plpgsql AS $$
		BEGIN
			INSERT INTO public.seen VALUES (current_setting('log_min_messages'));
			RETURN NULL;
		END
		$$;
		CREATE TRIGGER note AFTER INSERT ON `+table+` FOR EACH ROW EXECUTE FUNCTION note()`)
	if err != nil {
		t.Fatal(err)
	}
	var before string // fatal, too, on test servers
	if err := h.pool.QueryRow(t.Context(), "SHOW log_min_messages").Scan(&before); err != nil {
		t.Fatal(err)
	}
	h.insert(recordAt("run", 0, 1))
	h.refresh()
	if n := h.count("SELECT count(*) FROM public.seen WHERE level = 'fatal'"); n != 1 {
		t.Errorf("%d refreshes were quiet, want 1; %d in all", n, h.count("SELECT count(*) FROM public.seen"))
	}
	for range 4 {
		var level string
		if err := h.pool.QueryRow(t.Context(), "SHOW log_min_messages").Scan(&level); err != nil || level != before {
			t.Errorf("afterwards a connection logs from %s on, %v", level, err)
		}
	}
}
