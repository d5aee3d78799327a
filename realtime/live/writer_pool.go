package live

import (
	"runtime"
	"sync"
	"time"
)

// writerPool writes to connections, as many at a time as there are processors.
// While uploads are at work it is half of them, so that a message for a
// thousand connections does not stand between an upload and the answers it
// waits for. (While all of the scheduler's processors have something to run, it
// looks for what has arrived from the network only every 10 ms.)
//
// A write that blocks, because a client does not read, must not hold up the
// others: a worker that makes no progress for a moment is replaced.
type writerPool struct {
	wake chan struct{} // there is a worker to watch
	quit chan struct{}

	mu      sync.Mutex
	limit   int
	ready   []*conn // to be written to, from head on
	head    int
	workers map[*poolWorker]struct{} // those that are not stuck
	writing int                      // connections that workers have taken
	stuck   int                      // of those, the ones whose clients do not read
}

// poolWorker writes to one connection after the other.
type poolWorker struct {
	taken int // connections so far
	seen  int // taken, when it was last looked at
	stuck bool
}

// stuckAfter is how long the pool waits for a write to end.
const stuckAfter = 2 * time.Millisecond

func newWriterPool() *writerPool {
	return &writerPool{
		limit: runtime.GOMAXPROCS(0),
		wake:  make(chan struct{}, 1), quit: make(chan struct{}),
		workers: map[*poolWorker]struct{}{},
	}
}

// add lets a connection be written to when its turn comes.
func (c *writerPool) add(p *conn) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.ready = append(c.ready, p)
	c.hire()
}

// hire sees to it that there is a worker; c.mu is held.
func (c *writerPool) hire() {
	if len(c.workers) >= c.limit || c.head == len(c.ready) {
		return
	}
	w := &poolWorker{}
	c.workers[w] = struct{}{}
	go c.work(w)
	notify(c.wake)
}

// waiting is the number of connections that are, or are to be, written to, but
// for those whose clients do not read.
func (c *writerPool) waiting() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return len(c.ready) - c.head + c.writing - c.stuck
}

func (c *writerPool) work(w *poolWorker) {
	for {
		p := c.next(w)
		if p == nil {
			return
		}
		p.flush()
		c.mu.Lock()
		c.writing--
		if w.stuck {
			c.stuck--
		}
		c.mu.Unlock()
	}
}

// next gives the worker a connection, or nil when it is not needed any more.
func (c *writerPool) next(w *poolWorker) *conn {
	c.mu.Lock()
	defer c.mu.Unlock()
	if w.stuck { // it goes on unless its place was taken
		if len(c.workers) >= c.limit {
			return nil
		}
		w.stuck = false
		c.workers[w] = struct{}{}
		notify(c.wake)
	}
	if c.head == len(c.ready) {
		c.ready, c.head = c.ready[:0], 0
		delete(c.workers, w)
		return nil
	}
	p := c.ready[c.head]
	c.ready[c.head] = nil
	c.head++
	c.writing++
	w.taken++
	return p
}

// run replaces workers that are stuck, until stop.
func (c *writerPool) run() {
	ticker := time.NewTicker(stuckAfter)
	defer ticker.Stop()
	for {
		select {
		case <-c.quit:
			return
		case <-ticker.C:
		}
		if c.look() {
			continue
		}
		ticker.Stop()
		select {
		case <-c.wake:
		case <-c.quit:
			return
		}
		ticker.Reset(stuckAfter)
	}
}

// look replaces workers that made no progress since the last time, and reports
// whether there are others.
func (c *writerPool) look() (more bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for w := range c.workers {
		if w.taken != w.seen || w.taken == 0 {
			w.seen = w.taken
			continue
		}
		w.stuck = true
		c.stuck++
		delete(c.workers, w)
	}
	c.hire()
	return len(c.workers) > 0
}

// share says whether others need half of the processors.
func (c *writerPool) share(half bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.limit = runtime.GOMAXPROCS(0)
	if half {
		c.limit = max(1, c.limit/2)
	}
}

func (c *writerPool) stop() { close(c.quit) }

// notify sets a flag that is a channel.
func notify(c chan struct{}) {
	select {
	case c <- struct{}{}:
	default:
	}
}
