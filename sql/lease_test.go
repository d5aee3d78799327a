package schema_test

import (
	"context"
	"errors"
	"net"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/ecovolt/telemetryd/internal/dbtest"
	schema "github.com/ecovolt/telemetryd/sql"
)

// shortTTL lets leases change hands soon. On a machine with no time for the test
// they may also be lost without a cause, which no test here minds.
const shortTTL = 6 * time.Second

func leaseOf(t *testing.T, pool *pgxpool.Pool) schema.Lease {
	t.Helper()
	dbtest.NeedsBackends(t, "needs several connections")
	return schema.Lease{Pool: pool, Name: "work", TTL: shortTTL}
}

// lead lets n holders work, until ctx ends.
func lead(ctx context.Context, t *testing.T, n int, lease schema.Lease, work func(context.Context, schema.Fence) error) {
	t.Helper()
	var holders sync.WaitGroup
	for range n {
		holders.Go(func() {
			if err := lease.Lead(ctx, work); !errors.Is(err, context.Canceled) {
				t.Errorf("ended with %v", err)
			}
		})
	}
	t.Cleanup(holders.Wait)
}

func next[T any](t *testing.T, c <-chan T) T {
	t.Helper()
	select {
	case v := <-c:
		return v
	case <-t.Context().Done():
		t.Fatal("nothing came")
		panic("unreachable")
	}
}

// Of two holders one works. When its turn is taken from it, its work ends; the
// transactions of that turn that begin later are refused.
func TestLeaseTwoHolders(t *testing.T) {
	t.Parallel()
	pool := dbtest.New(t)
	lease := leaseOf(t, pool)
	began, ended := make(chan schema.Fence, 10), make(chan error, 10)
	ctx, stop := context.WithCancel(t.Context())
	turns := make(chan context.Context, 1)
	turns <- nil
	lead(ctx, t, 2, lease, func(ctx context.Context, fence schema.Fence) error {
		if last := <-turns; last != nil && last.Err() == nil {
			t.Error("two work at the same time")
		}
		turns <- ctx
		began <- fence
		<-ctx.Done()
		ended <- context.Cause(ctx)
		return ctx.Err()
	})
	first := next(t, began)
	if _, err := pool.Exec(t.Context(), `UPDATE leases SET fence = fence + 1, holder = 'somebody else', until = 'infinity'`); err != nil {
		t.Fatal(err)
	}
	if err := next(t, ended); !errors.Is(err, schema.ErrLeaseLost) {
		t.Errorf("the context ended with %v", err)
	}
	if _, err := pool.Exec(t.Context(), `UPDATE leases SET until = clock_timestamp()`); err != nil {
		t.Fatal(err)
	}
	next(t, began) // either of them
	err := pgx.BeginFunc(t.Context(), pool, func(tx pgx.Tx) error { return first.Check(t.Context(), tx) })
	if !errors.Is(err, schema.ErrLeaseLost) {
		t.Errorf("the check of a former turn: %v", err)
	}
	stop()
}

// A transaction that checked its fence keeps others from the lease, even if the
// holder died; renewing does not wait for it.
func TestLeaseCheckHolds(t *testing.T) {
	t.Parallel()
	pool := dbtest.New(t)
	lease := leaseOf(t, pool)
	lease.TTL = 0 // nothing runs out here
	led, err := lease.TryLead(t.Context(), func(ctx context.Context, fence schema.Fence) error {
		return pgx.BeginFunc(ctx, pool, func(tx pgx.Tx) error {
			if err := fence.Check(ctx, tx); err != nil {
				return err
			}
			// The holder's renewal, and then its end.
			if _, err := pool.Exec(ctx, `UPDATE leases SET until = clock_timestamp() - interval '1 second'`); err != nil {
				return err
			}
			led, err := lease.TryLead(ctx, func(context.Context, schema.Fence) error { return nil })
			if led {
				t.Error("taken beneath a transaction of the former holder")
			}
			return err
		})
	})
	if err != nil || !led {
		t.Errorf("led %v, %v", led, err)
	}
}

// The lease of a holder that was killed goes to the next when it runs out, and
// one that was given back at once.
func TestLeaseKilledHolder(t *testing.T) {
	t.Parallel()
	pool := dbtest.New(t)
	lease := leaseOf(t, pool)
	if _, err := pool.Exec(t.Context(), `
		INSERT INTO leases (name, holder, fence, until) VALUES ('work', 'killed', 7, clock_timestamp() + interval '1 second')`); err != nil {
		t.Fatal(err)
	}
	done := errors.New("done")
	if err := lease.Lead(t.Context(), func(ctx context.Context, fence schema.Fence) error {
		return pgx.BeginFunc(ctx, pool, func(tx pgx.Tx) error { return errors.Join(fence.Check(ctx, tx), done) })
	}); !errors.Is(err, done) || errors.Is(err, schema.ErrLeaseLost) {
		t.Fatal(err)
	}
	var free bool
	if err := pool.QueryRow(t.Context(), `
		SELECT until <= clock_timestamp() AND fence > 7 FROM leases WHERE name = 'work'`).Scan(&free); err != nil || !free {
		t.Errorf("free %v, %v", free, err)
	}
	// Before it runs out, nobody else has it.
	if _, err := pool.Exec(t.Context(), `UPDATE leases SET until = 'infinity'`); err != nil {
		t.Fatal(err)
	}
	lease.TTL = 0
	if led, err := lease.TryLead(t.Context(), func(context.Context, schema.Fence) error { return nil }); led || err != nil {
		t.Errorf("led %v, %v", led, err)
	}
}

// A holder that cannot reach the database ends its work, and works again when
// the database is back.
func TestLeaseUnreachableDatabase(t *testing.T) {
	t.Parallel()
	config := dbtest.New(t).Config()
	var cut atomic.Bool
	dial := config.ConnConfig.DialFunc
	config.ConnConfig.DialFunc = func(ctx context.Context, network, address string) (net.Conn, error) {
		if cut.Load() {
			return nil, errors.New("cut")
		}
		conn, err := dial(ctx, network, address)
		return &cuttable{conn, &cut}, err
	}
	pool, err := pgxpool.NewWithConfig(t.Context(), config)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(pool.Close)
	lease := leaseOf(t, pool)
	began, ended := make(chan struct{}, 10), make(chan error, 10)
	ctx, stop := context.WithCancel(t.Context())
	lead(ctx, t, 1, lease, func(ctx context.Context, _ schema.Fence) error {
		began <- struct{}{}
		<-ctx.Done()
		ended <- context.Cause(ctx)
		return ctx.Err()
	})
	next(t, began)
	cut.Store(true)
	if err := next(t, ended); !errors.Is(err, schema.ErrLeaseLost) {
		t.Errorf("the context ended with %v", err)
	}
	cut.Store(false)
	next(t, began)
	stop()
}

// cuttable is a connection that can fail.
type cuttable struct {
	net.Conn
	cut *atomic.Bool
}

func (c *cuttable) Write(b []byte) (int, error) {
	if c.cut.Load() {
		c.Close()
		return 0, net.ErrClosed
	}
	return c.Conn.Write(b)
}

// Uploads that keep all connections of the pool busy do not cost the lease.
func TestLeaseBusyPool(t *testing.T) {
	t.Parallel()
	config := dbtest.New(t).Config()
	config.MaxConns = 2
	pool, err := pgxpool.NewWithConfig(t.Context(), config)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(pool.Close)
	lease := leaseOf(t, pool)
	led, err := lease.TryLead(t.Context(), func(ctx context.Context, _ schema.Fence) error {
		busy := pool.AcquireAllIdle(ctx)
		for len(busy) < int(config.MaxConns) {
			conn, err := pool.Acquire(ctx)
			if err != nil {
				return err
			}
			busy = append(busy, conn)
		}
		defer func() {
			for _, conn := range busy {
				conn.Release()
			}
		}()
		const later = `SELECT until > $1 FROM leases`
		var first time.Time
		if err := busy[0].QueryRow(ctx, `SELECT until FROM leases`).Scan(&first); err != nil {
			return err
		}
		for renewed := false; !renewed; {
			if err := busy[0].QueryRow(ctx, later, first).Scan(&renewed); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil || !led {
		t.Errorf("led %v, %v", led, err)
	}
}

// Transactions that lock the same name go one after the other.
func TestLock(t *testing.T) {
	t.Parallel()
	dbtest.NeedsBackends(t, "needs several connections")
	pool := dbtest.New(t)
	var inside atomic.Int32
	var all sync.WaitGroup
	for range 4 {
		all.Go(func() {
			for range 10 {
				if err := pgx.BeginFunc(t.Context(), pool, func(tx pgx.Tx) error {
					if err := schema.Lock(t.Context(), tx, "section"); err != nil {
						return err
					}
					if inside.Add(1) > 1 {
						t.Error("two are inside")
					}
					_, err := tx.Exec(t.Context(), "SELECT")
					inside.Add(-1)
					return err
				}); err != nil {
					t.Error(err)
				}
			}
		})
	}
	all.Wait()
}
