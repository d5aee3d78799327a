package rollup

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync/atomic"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
	"golang.org/x/sync/errgroup"

	"github.com/ecovolt/telemetryd/internal/load"
	"github.com/ecovolt/telemetryd/internal/retry"
	schema "github.com/ecovolt/telemetryd/sql"
)

// Options tune Rollups. The zero value is fit for use.
type Options struct {
	// Logger takes what operators should know. Nil discards it.
	Logger *slog.Logger
	// InFlight are the uploads that Run yields to. Nil: there are none.
	InFlight *load.InFlight
	// Also is further work of whoever refreshes, at the end of each pass.
	Also []Work
	// Meanwhile is work of Also that takes a moment: a long pass does it each second or
	// so. Nil is none.
	Meanwhile func(context.Context, *pgx.Conn) error
	// Large is from how many new records on a refresh is a large one: it moves days that
	// are over to the columnstore first, and takes two connections. Default 200,000.
	Large int64
	// Ahead begins with work of Also that needs no rollups while a large refresh goes
	// on. Nil is none.
	Ahead func(context.Context, *pgx.Conn) error
	// OnPass is told how each pass of Run ended. Nil is no call.
	OnPass func(Result, error)
}

// Work is what else the refresher does.
type Work interface {
	// Due reports whether there is any, at little cost.
	Due(context.Context, *pgx.Conn) (bool, error)
	// Do does it.
	Do(context.Context, *pgx.Conn) error
}

// Rollups are those of one database: what is known of them, and what keeps
// them up to date. They are safe for concurrent use.
type Rollups struct {
	pool    *pgxpool.Pool
	opt     Options
	catalog atomic.Pointer[Catalog]
	looked  atomic.Int64 // when FindDropped last did, ns since 1970
}

// New returns the Rollups of a migrated database.
func New(pool *pgxpool.Pool, opt Options) *Rollups {
	if opt.Logger == nil {
		opt.Logger = slog.New(slog.DiscardHandler)
	}
	if opt.InFlight == nil {
		opt.InFlight = new(load.InFlight)
	}
	if opt.Large <= 0 {
		opt.Large = bulkRecords
	}
	if opt.OnPass == nil {
		opt.OnPass = func(Result, error) {}
	}
	return &Rollups{pool: pool, opt: opt}
}

// Result says what one pass of the refresher did.
type Result struct {
	Busy       bool // another instance is at it; nothing was done
	Sessions   int  // sessions brought up to date
	Windows    int  // windows refreshed, over all levels
	Compressed int  // chunks moved to the columnstore
	More       bool // the most was done that one pass takes; the next has work
	Took       time.Duration
}

// pause is how long Run waits between two looks for changes.
const pause = time.Second

// Run keeps the rollups up to date until ctx ends. Any number of instances may
// run it; one at a time works.
func (r *Rollups) Run(ctx context.Context) {
	backoff := retry.Backoff(pause, 30*time.Second)
	for {
		wait := pause
		result, err := r.Refresh(ctx)
		switch {
		case ctx.Err() != nil:
			return
		case err != nil:
			wait = backoff.NextBackOff()
			r.opt.Logger.Error("refreshing rollups failed", slog.Any("error", err), slog.Duration("retry_in", wait))
		default:
			backoff.Reset()
			if result.More {
				wait = 0
			}
			if result.Took > 5*time.Second || result.Compressed > 0 {
				r.opt.Logger.Info("rollups refreshed", slog.Int("sessions", result.Sessions), slog.Int("windows", result.Windows),
					slog.Int("compressed_chunks", result.Compressed), slog.Duration("took", result.Took))
			}
		}
		r.opt.OnPass(result, err)
		if retry.Pause(ctx, wait) != nil {
			return
		}
		if err == nil && !result.More {
			r.opt.InFlight.Yield(ctx, mostPatience-wait-2*result.Took)
		}
	}
}

// mostPatience bounds how long a commit may wait for its refresh to be done,
// with what that takes itself. The rollups promise 5 s. Until then uploads go
// first: a burst is stored sooner when no refresh competes with it, and charts
// read from the records meanwhile what the rollups lack.
const mostPatience = 2500 * time.Millisecond

// LeaseName is the name of the lease under which one instance refreshes.
const LeaseName = "rollups"

// Refresh brings the rollups up to what is committed now, and no more than the
// ranges that changed. It may be stopped at any moment: what was not finished
// is found again, since progress is recorded after the refresh. Where nothing
// changed it writes nothing.
func (r *Rollups) Refresh(ctx context.Context) (result Result, err error) {
	start := time.Now()
	defer func() { result.Took = time.Since(start) }()
	var due bool
	err = r.pool.AcquireFunc(ctx, func(conn *pgxpool.Conn) (err error) {
		due, err = r.due(ctx, conn.Conn())
		return err
	})
	if err != nil || !due {
		return result, err
	}
	lease := schema.Lease{Pool: r.pool, Name: LeaseName, Log: r.opt.Logger}
	led, err := lease.TryLead(ctx, func(ctx context.Context, fence schema.Fence) error {
		p := &pass{log: r.opt.Logger, bulk: r.opt.Large, fence: fence, result: &result}
		both, ctx := errgroup.WithContext(ctx)
		refreshed := func(err error) error {
			if err != nil {
				r.catalog.Store(nil)
				err = fmt.Errorf("refresh rollups: %w", err)
			}
			return err
		}
		both.Go(func() (err error) {
			for more := true; more && err == nil; {
				if ready, over := p.windows.state(); !ready && !over { // what is needed is made beside
					err = retry.Pause(ctx, besidePause)
					continue
				}
				found := p.catalog != nil
				err = r.pool.AcquireFunc(ctx, func(conn *pgxpool.Conn) error {
					return schema.Unbounded(ctx, conn.Conn(), func() (err error) {
						if more, err = r.turn(ctx, p, conn); err != nil {
							return refreshed(err)
						}
						if more {
							r.try(ctx, conn, r.opt.Meanwhile)
							return nil
						}
						result.Windows = p.windows.count
						for _, w := range r.opt.Also { // one that fails keeps none from its work
							err = errors.Join(err, w.Do(ctx, conn.Conn()))
						}
						return err
					})
				})
				if more && !found && p.large && r.pool.Config().MaxConns >= besideConnections {
					both.Go(func() error { return refreshed(r.beside(ctx, p)) })
				}
			}
			return err
		})
		return both.Wait()
	})
	result.Busy = !led && err == nil
	return result, err
}

// try does work of Also before the end of a pass; nil is none. What it leaves, or fails
// at, is done then, and reported.
func (r *Rollups) try(ctx context.Context, conn *pgxpool.Conn, work func(context.Context, *pgx.Conn) error) {
	if work == nil {
		return
	}
	if err := work(ctx, conn.Conn()); err != nil {
		r.opt.Logger.Debug("work beside a refresh failed", slog.Any("error", err))
	}
}

// due reports whether anything changed since the last pass.
func (r *Rollups) due(ctx context.Context, conn *pgx.Conn) (due bool, err error) {
	err = conn.QueryRow(ctx, `
		SELECT EXISTS (SELECT `+behind+`) OR EXISTS (SELECT FROM rollup_dirty)
		OR EXISTS (SELECT FROM emptied WHERE try_at <= clock_timestamp())`).Scan(&due)
	if err != nil {
		return false, fmt.Errorf("look for what the rollups lack: %w", err)
	}
	for _, w := range r.opt.Also {
		if due || err != nil {
			break
		}
		due, err = w.Due(ctx, conn)
	}
	return due, err
}

// turn goes on with a pass on a connection, while no other instance refreshes,
// and reports whether there is more to do.
func (r *Rollups) turn(ctx context.Context, p *pass, conn *pgxpool.Conn) (more bool, err error) {
	since := time.Now()
	p.conn = conn
	if p.catalog == nil {
		catalog, err := r.Catalog(ctx, conn)
		if err != nil {
			return false, err
		}
		version, err := definitionVersion(ctx, conn, "")
		if err != nil {
			return false, err
		}
		if version != catalog.version { // another instance made them anew
			r.catalog.Store(nil)
			if catalog, err = r.Catalog(ctx, conn); err != nil {
				return false, err
			}
		}
		if !catalog.Stored() {
			return false, nil
		}
		p.catalog = catalog
		if err := p.find(ctx); err != nil {
			return false, err
		}
		if ready, _ := p.windows.state(); ready && p.large {
			return true, nil
		}
	}
	if err := p.refresh(ctx, conn, since); err != nil {
		return false, err
	}
	if _, over := p.windows.state(); !over {
		return true, nil
	}
	if err := p.advance(ctx); err != nil {
		return false, err
	}
	return false, p.dropEmptied(ctx)
}
