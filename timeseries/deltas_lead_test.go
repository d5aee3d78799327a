package timeseries_test

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/ecovolt/telemetryd/internal/dbtest"
	"github.com/ecovolt/telemetryd/timeseries"
)

// Of two instances one leads; when it loses its connection, its work is ended
// before the other one begins.
func TestLead(t *testing.T) {
	t.Parallel()
	if dbtest.SingleBackend(t) {
		t.Skip("needs several connections")
	}
	pool := dbtest.New(t)
	deltas := timeseries.NewDeltas(pool)
	began, ended := make(chan int, 10), make(chan int, 10)
	lead := func(ctx context.Context, who int) chan error {
		done := make(chan error, 1)
		go func() {
			done <- deltas.Lead(ctx, func(ctx context.Context) error {
				began <- who
				<-ctx.Done()
				ended <- who
				return ctx.Err()
			})
		}()
		return done
	}
	next := func(c chan int) int {
		t.Helper()
		select {
		case who := <-c:
			return who
		case <-time.After(20 * time.Second):
			t.Fatal("nobody")
			return 0
		}
	}
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	first := lead(ctx, 1)
	if who := next(began); who != 1 {
		t.Fatalf("%d leads", who)
	}
	second := lead(ctx, 2)
	if _, err := pool.Exec(ctx, `
		SELECT pg_terminate_backend(pid) FROM pg_locks
		WHERE locktype = 'advisory' AND granted AND database = (SELECT oid FROM pg_database WHERE datname = current_database())`); err != nil {
		t.Fatal(err)
	}
	if who := next(ended); who != 1 {
		t.Fatalf("%d ended", who)
	}
	next(began) // either of them
	cancel()
	for _, done := range []chan error{first, second} {
		if err := <-done; !errors.Is(err, context.Canceled) {
			t.Errorf("ended with %v", err)
		}
	}
}
