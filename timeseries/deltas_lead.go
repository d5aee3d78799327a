package timeseries

import (
	"context"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"
)

// relayLock is the advisory lock of the instance that relays live records.
const relayLock = 0x74656c656d5f726c

// Lead runs work on one instance at a time: it waits for its turn, and ends
// the context of work when the turn is lost with the database connection that
// holds it. It returns when work has returned, with its error, or when ctx
// ends. A pool of one connection has none to spare and is taken for the only
// instance.
func (d *Deltas) Lead(ctx context.Context, work func(context.Context) error) error {
	if d.pool.Config().MaxConns < 2 {
		return work(ctx)
	}
	for {
		mine, err := d.lead(ctx, work)
		if mine || ctx.Err() != nil {
			return err
		}
		select { // another instance leads, or the database is away
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(2 * time.Second):
		}
	}
}

func (d *Deltas) lead(ctx context.Context, work func(context.Context) error) (mine bool, err error) {
	conn, err := d.pool.Acquire(ctx)
	if err != nil {
		return false, fmt.Errorf("take a connection to lead: %w", err)
	}
	defer conn.Release()
	if err := conn.QueryRow(ctx, "SELECT pg_try_advisory_lock($1)", int64(relayLock)).Scan(&mine); err != nil || !mine {
		return false, err
	}
	turn, end := context.WithCancel(ctx)
	defer end()
	done := make(chan error, 1)
	go func() { done <- work(turn) }()
	beat := time.NewTicker(2 * time.Second)
	defer beat.Stop()
	for {
		select {
		case err := <-done:
			unlock(ctx, conn)
			return true, err
		case <-beat.C:
			alive, cancel := context.WithTimeout(ctx, 5*time.Second)
			err := conn.Conn().Ping(alive)
			cancel()
			if err != nil { // the lock went with the connection
				end()
				<-done
				return ctx.Err() != nil, err
			}
		}
	}
}

// unlock gives the turn back, or the connection up.
func unlock(ctx context.Context, conn *pgxpool.Conn) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), 2*time.Second)
	defer cancel()
	if _, err := conn.Exec(ctx, "SELECT pg_advisory_unlock($1)", int64(relayLock)); err != nil {
		_ = conn.Conn().Close(ctx) // the server gives the lock up with it
	}
}
