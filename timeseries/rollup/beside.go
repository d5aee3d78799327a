package rollup

import (
	"context"
	"slices"
	"sync"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/ecovolt/telemetryd/internal/retry"
	schema "github.com/ecovolt/telemetryd/sql"
)

// windows are those that a pass has to aggregate anew, which two connections share.
type windows struct {
	mu      sync.Mutex
	left    []window
	running []window
	count   int // that are done
}

// next is the place of the first window whose finer ones are done; -1 where there is
// none now. mu is held.
func (ws *windows) next() int {
	return slices.IndexFunc(ws.left, func(w window) bool {
		return !slices.ContainsFunc(ws.left, w.needs) && !slices.ContainsFunc(ws.running, w.needs)
	})
}

// needs reports whether w is made of that window's relation.
func (w window) needs(other window) bool {
	if w.name == EndsTable {
		return slices.ContainsFunc(Levels, func(l Level) bool { return l.Ends && l.Relation == other.name })
	}
	return other.name == w.finer
}

// take returns a window that can be aggregated now.
func (ws *windows) take() (w window, ok bool) {
	ws.mu.Lock()
	defer ws.mu.Unlock()
	if i := ws.next(); i >= 0 {
		w, ok = ws.left[i], true
		ws.left = slices.Delete(ws.left, i, i+1)
		ws.running = append(ws.running, w)
	}
	return w, ok
}

// done notes that a window is aggregated anew.
func (ws *windows) done(w window) {
	ws.mu.Lock()
	defer ws.mu.Unlock()
	ws.running = slices.DeleteFunc(ws.running, func(other window) bool { return other.name == w.name && other.Span == w.Span })
	ws.count++
}

// state tells whether a window can be aggregated now, and whether all are done.
func (ws *windows) state() (ready, over bool) {
	ws.mu.Lock()
	defer ws.mu.Unlock()
	return ws.next() >= 0, len(ws.left)+len(ws.running) == 0
}

const (
	// besideConnections is how many connections a pool has at least of which a large
	// pass takes two.
	besideConnections = 4
	// besidePause is how long a connection waits for windows that the other one makes.
	besidePause = 20 * time.Millisecond
)

// beside does part of a large pass on a connection of its own, as long as no records
// come in: the states beside the metrics, then what needs no window, then the ends
// with the rest. What cannot wait for the pass it does whether or not records come.
func (r *Rollups) beside(ctx context.Context, p *pass) error {
	early, last := r.opt.Ahead, time.Now()
	for {
		ready, over := p.windows.state()
		if over {
			return nil
		}
		if time.Since(last) >= pause {
			if err := r.pool.AcquireFunc(ctx, func(conn *pgxpool.Conn) error {
				r.try(ctx, conn, r.opt.Meanwhile)
				return ctx.Err()
			}); err != nil {
				return err
			}
			last = time.Now()
			continue
		}
		if (ready || early != nil) && r.opt.InFlight.Idle() {
			err := r.pool.AcquireFunc(ctx, func(conn *pgxpool.Conn) error {
				return schema.Unbounded(ctx, conn.Conn(), func() error {
					if ready {
						return p.refresh(ctx, conn, time.Now())
					}
					r.try(ctx, conn, early)
					early = nil
					return ctx.Err()
				})
			})
			if err != nil {
				return err
			}
			continue
		}
		if err := retry.Pause(ctx, besidePause); err != nil {
			return err
		}
	}
}

// Yield waits until no large refresh is due or goes on, whichever instance does it, but
// no longer than patience, or until ctx ends.
func (r *Rollups) Yield(ctx context.Context, patience time.Duration) {
	for until := time.Now().Add(patience); time.Now().Before(until); {
		var large bool
		err := r.pool.QueryRow(ctx, "SELECT coalesce(sum("+ahead+"), 0) >= $1 "+behind, r.opt.Large).Scan(&large)
		if err != nil || !large || retry.Pause(ctx, time.Second/2) != nil {
			return
		}
	}
}
