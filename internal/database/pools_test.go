package database_test

import (
	"context"
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/ecovolt/telemetryd/internal/database"
	"github.com/ecovolt/telemetryd/internal/dbtest"
	"github.com/ecovolt/telemetryd/internal/fault"
	"github.com/ecovolt/telemetryd/internal/load"
)

// The total is divided, each kind of work has its bounds, and what the URL says
// goes before them.
func TestPoolsAreApart(t *testing.T) {
	t.Parallel()
	dbtest.NeedsBackends(t, "the server has one backend, and so one pool")
	pools, err := database.OpenPools(t.Context(), dbtest.With(dbtest.URL(t), "pool_max_conns=16&lock_timeout=7s"))
	if err != nil {
		t.Fatal(err)
	}
	defer pools.Close()
	sizes := map[string]int32{"ingest": 8, "reads": 5, "exports": 3}
	bounds := map[string]string{"ingest": "5min 7s 5min auto", "reads": "30s 7s 30s force_custom_plan", "exports": "1min 7s 1min force_custom_plan"}
	for name, pool := range pools.Names() {
		if got := pool.Config().MaxConns; got != sizes[name] {
			t.Errorf("%s has %d connections, want %d", name, got, sizes[name])
		}
		var got string
		err := pool.QueryRow(t.Context(), `
			SELECT concat_ws(' ', current_setting('statement_timeout'), current_setting('lock_timeout'), current_setting('idle_in_transaction_session_timeout'),
				current_setting('plan_cache_mode'))`).Scan(&got)
		if err != nil || got != bounds[name] {
			t.Errorf("%s is bounded by %s, want %s: %v", name, got, bounds[name], err)
		}
	}
	few, err := database.OpenPools(t.Context(), dbtest.With(dbtest.URL(t), "pool_max_conns=5"))
	if err != nil {
		t.Fatal(err)
	}
	defer few.Close()
	if few.Ingest != few.Exports || few.Ingest.Config().MaxConns != 5 {
		t.Error("five connections are not one pool of five")
	}
}

// Whoever holds what one caller may hold waits, and gets the queue's refusal
// from whatever asked for a connection; others get theirs meanwhile.
func TestPoolsWaitByCaller(t *testing.T) {
	t.Parallel()
	dbtest.NeedsBackends(t, "the server has one backend, and so one pool")
	pools, err := database.OpenPools(t.Context(), dbtest.With(dbtest.URL(t), "pool_max_conns=10"))
	if err != nil {
		t.Fatal(err)
	}
	defer pools.Close()
	flood, crew := load.WithCaller(t.Context(), "flood"), load.WithCaller(t.Context(), "crew")
	var held [2]*pgxpool.Conn // of three
	for i := range held {
		if held[i], err = pools.Reads.Acquire(flood); err != nil {
			t.Fatal(err)
		}
	}
	waiting, stop := context.WithCancel(flood)
	refused := make(chan error, 200)
	for range cap(refused) {
		go func() {
			_, err := pools.Reads.Exec(waiting, "SELECT")
			refused <- err
		}()
	}
	for range cap(refused) - 128 { // as many as may not even wait
		if err := <-refused; !fault.Is(err, fault.Unavailable) {
			t.Errorf("one too many: %v", err)
		}
	}
	for range 50 {
		if err := pools.Reads.Ping(crew); err != nil {
			t.Fatalf("another caller: %v", err)
		}
	}
	stop()
	for range 128 {
		<-refused
	}
	if waits := database.Waits(pools.Reads); waits.TurnedAway != 72 {
		t.Errorf("%d were turned away, want 72", waits.TurnedAway)
	}
	for _, conn := range held {
		conn.Release()
	}
	// A connection that breaks while it is held gives its place back, too.
	for range 5 {
		conn, err := pools.Reads.Acquire(flood)
		if err != nil {
			t.Fatal(err)
		}
		_ = conn.Conn().Close(t.Context())
		conn.Release()
	}
	ctx, cancel := context.WithTimeout(crew, 3*time.Minute)
	defer cancel()
	if err := pools.Reads.Ping(ctx); err != nil {
		t.Error(err)
	}
}
