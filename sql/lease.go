package schema

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"os"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/ecovolt/telemetryd/internal/retry"
)

// errLeaseLost is the cause with which the context of a holder ends that could
// not renew its lease in time, and what Check returns from then on.
var errLeaseLost = errors.New("the lease was lost")

// Lease is work that one instance at a time does. Its holder renews a row of
// the table leases; no connection is held in between. Times are the database's.
//
//	free ──TryLead──▶ held, until now + TTL ──every TTL/3──▶ held, until now + TTL
//	 ▲                  │ work returns       │ no renewal for 4/5 of TTL: the context of work ends
//	 └──────────────────┴────────────────────┘ from TTL on another instance may take it
type Lease struct {
	Pool *pgxpool.Pool
	// Name says what work it is.
	Name string
	// TTL is how long after its last renewal the lease of a holder that died
	// is free. Default 15 s.
	TTL time.Duration
	// Log gets a line when the lease is taken, and when it is lost. Default:
	// none.
	Log *slog.Logger
}

// Fence tells the turns of a lease apart. It rises with each.
type Fence struct {
	lease  string
	number int64
}

// Check returns errLeaseLost if another holder may have the lease. Otherwise
// nobody can take it before tx ends, whatever happens to the holder.
func (f Fence) Check(ctx context.Context, tx pgx.Tx) error {
	if f.lease == "" {
		return nil // the turn of an only instance
	}
	tag, err := tx.Exec(ctx, "SELECT FROM leases WHERE name = $1 AND fence = $2 FOR KEY SHARE", f.lease, f.number)
	if err != nil {
		return fmt.Errorf("check the lease %s: %w", f.lease, err)
	}
	if tag.RowsAffected() == 0 {
		return fmt.Errorf("%s: %w", f.lease, errLeaseLost)
	}
	return nil
}

// Lead waits for its turn and runs work, again if the lease was lost meanwhile.
// It returns the error of work, or that of ctx when it ends.
func (l Lease) Lead(ctx context.Context, work func(context.Context, Fence) error) error {
	l = l.withDefaults()
	for {
		led, err := l.TryLead(ctx, work)
		if ctx.Err() != nil {
			return ctx.Err()
		}
		if led && !errors.Is(err, errLeaseLost) {
			return err
		}
		if err != nil && !led {
			l.Log.Debug("the lease cannot be asked for", "lease", l.Name, "error", err)
		}
		if retry.Pause(ctx, jitter(l.TTL/6)) != nil {
			return ctx.Err()
		}
	}
}

// TryLead runs work if the lease is free, and reports whether it did. The
// context of work ends, with errLeaseLost as its cause, before anybody else can
// have the lease; TryLead returns that error then, once work has returned. What
// work does to the database after its context has ended, Fence.Check prevents.
//
// A pool of one connection, which work may need for long, is taken for that of
// an only instance.
func (l Lease) TryLead(ctx context.Context, work func(context.Context, Fence) error) (led bool, err error) {
	if l.Pool.Config().MaxConns < 2 {
		return true, work(ctx, Fence{})
	}
	l = l.withDefaults()
	asked := time.Now()
	fence, err := l.take(ctx)
	if err != nil || fence.number == 0 {
		return false, err
	}
	l.Log.Debug("took the lease", "lease", l.Name, "fence", fence.number)
	turn, end := context.WithCancelCause(ctx)
	held := make(chan struct{})
	go func() {
		defer close(held)
		l.hold(turn, end, fence, asked)
	}()
	err = work(turn, fence)
	lost := context.Cause(turn)
	end(nil)
	<-held
	if errors.Is(lost, errLeaseLost) {
		return true, lost
	}
	l.release(ctx, fence)
	return true, err
}

func (l Lease) withDefaults() Lease {
	if l.TTL <= 0 {
		l.TTL = 15 * time.Second
	}
	if l.Log == nil {
		l.Log = slog.New(slog.DiscardHandler)
	}
	return l
}

// take returns the fence of a new turn, or none if somebody else has the lease.
func (l Lease) take(ctx context.Context) (Fence, error) {
	ctx, cancel := context.WithTimeout(ctx, l.TTL/3)
	defer cancel()
	host, _ := os.Hostname() // for people who look; without it the process has to do
	fence := Fence{lease: l.Name}
	// Transactions that still hold on to the last turn are not waited for.
	err := l.Pool.QueryRow(ctx, `
		WITH free AS (
			SELECT name FROM leases WHERE name = $1 AND until < clock_timestamp()
			FOR UPDATE SKIP LOCKED
		), taken AS (
			UPDATE leases SET holder = $2, fence = fence + 1, until = clock_timestamp() + $3::interval
			FROM free WHERE leases.name = free.name
			RETURNING fence
		), made AS (
			INSERT INTO leases (name, holder, fence, until)
			SELECT $1, $2, 1, clock_timestamp() + $3::interval
			WHERE NOT EXISTS (SELECT FROM leases WHERE name = $1)
			ON CONFLICT DO NOTHING
			RETURNING fence
		)
		SELECT fence FROM taken UNION ALL SELECT fence FROM made`,
		l.Name, fmt.Sprintf("%s:%d", host, os.Getpid()), l.TTL).Scan(&fence.number)
	if err != nil && !errors.Is(err, pgx.ErrNoRows) {
		return Fence{}, fmt.Errorf("take the lease %s: %w", l.Name, err)
	}
	return fence, nil
}

// hold renews the lease, which was last asked for at that time, until ctx ends.
// When it cannot, it ends the turn.
func (l Lease) hold(ctx context.Context, end context.CancelCauseFunc, fence Fence, asked time.Time) {
	pause := l.TTL / 3
	for {
		last := asked.Add(l.TTL * 4 / 5) // the rest is for work to end
		if retry.Pause(ctx, min(jitter(pause), time.Until(last))) != nil {
			return
		}
		begun := time.Now()
		limited, cancel := context.WithDeadline(ctx, last)
		renewed, err := l.renew(limited, fence, l.TTL)
		cancel()
		switch {
		case ctx.Err() != nil:
			return
		case renewed:
			asked, pause = begun, l.TTL/3
			continue
		case err != nil && time.Now().Before(last):
			pause = l.TTL / 15
			continue
		case err == nil:
			err = errors.New("another instance has taken it")
		}
		l.Log.Warn("lost the lease", "lease", l.Name, "error", err)
		end(fmt.Errorf("%s: %w: %w", l.Name, errLeaseLost, err))
		return
	}
}

// release frees the lease at once. If that fails, it will be free in time.
func (l Lease) release(ctx context.Context, fence Fence) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), l.TTL/5)
	defer cancel()
	if _, err := l.renew(ctx, fence, 0); err != nil {
		l.Log.Debug("the lease runs out by itself", "lease", l.Name, "error", err)
	}
}

// renew lets the lease end after so much time from now, and reports whether it
// was still held. It asks on a connection of its own where those of the pool
// are all busy with uploads that take longer than the lease.
func (l Lease) renew(ctx context.Context, fence Fence, left time.Duration) (bool, error) {
	const renewal = "UPDATE leases SET until = clock_timestamp() + $3::interval WHERE name = $1 AND fence = $2"
	soon, cancel := context.WithTimeout(ctx, l.TTL/15)
	defer cancel()
	var conn interface {
		Exec(context.Context, string, ...any) (pgconn.CommandTag, error)
	}
	pooled, err := l.Pool.Acquire(soon)
	if err == nil {
		defer pooled.Release()
		conn = pooled
	} else {
		own, err := pgx.ConnectConfig(ctx, l.Pool.Config().ConnConfig)
		if err != nil {
			return false, err
		}
		defer own.Close(context.WithoutCancel(ctx))
		conn = own
	}
	tag, err := conn.Exec(ctx, renewal, fence.lease, fence.number, left)
	return err == nil && tag.RowsAffected() == 1, err
}

// jitter returns a time that is up to a tenth shorter or longer.
func jitter(d time.Duration) time.Duration {
	return d*9/10 + rand.N(d/5+1)
}
