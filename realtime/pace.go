package realtime

import (
	"runtime"
	"sync"
	"sync/atomic"
	"time"
)

// pace starts the flushers of connections a few at a time. A message for a
// thousand connections would otherwise put a thousand goroutines before
// everything else that the daemon has to do, an upload among them.
//
// A write that blocks, because a client does not read, must not hold up the
// others: writers that make no progress for a moment no longer count.
type pace struct {
	limit int64
	wake  chan struct{} // something is ready
	freed chan struct{} // a flusher has ended
	quit  chan struct{}

	pending atomic.Int64 // connections that are, or are to be, written to
	running atomic.Int64 // flushers

	mu    sync.Mutex
	ready []*peer
}

// stuckAfter is how long the pace waits for a flusher to end.
const stuckAfter = 2 * time.Millisecond

func newPace() *pace {
	return &pace{
		limit: int64(4 * runtime.GOMAXPROCS(0)),
		wake:  make(chan struct{}, 1), freed: make(chan struct{}, 1), quit: make(chan struct{}),
	}
}

// add lets a connection be written to when its turn comes.
func (c *pace) add(p *peer) {
	c.pending.Add(1)
	c.mu.Lock()
	c.ready = append(c.ready, p)
	c.mu.Unlock()
	notify(c.wake)
}

// done is the end of a flusher.
func (c *pace) done() {
	c.pending.Add(-1)
	c.running.Add(-1)
	notify(c.freed)
}

// waiting is the number of connections that are, or are to be, written to.
func (c *pace) waiting() int64 { return c.pending.Load() }

func (c *pace) stop() { close(c.quit) }

// run starts flushers until stop.
func (c *pace) run() {
	timer := time.NewTimer(stuckAfter)
	defer timer.Stop()
	var batch []*peer
	stuck := int64(0) // running, but waiting for slow clients
	for {
		c.mu.Lock()
		batch, c.ready = c.ready, batch[:0]
		c.mu.Unlock()
		if len(batch) == 0 {
			select {
			case <-c.wake:
			case <-c.quit:
				return
			}
			continue
		}
		for i, p := range batch {
			for {
				running := c.running.Load()
				stuck = min(stuck, running)
				if running-stuck < c.limit {
					break
				}
				timer.Reset(stuckAfter)
				select {
				case <-c.freed:
				case <-timer.C:
					stuck = c.running.Load()
				}
			}
			batch[i] = nil
			c.running.Add(1)
			go p.flush()
		}
	}
}

// notify sets a flag that is a channel.
func notify(c chan struct{}) {
	select {
	case c <- struct{}{}:
	default:
	}
}
