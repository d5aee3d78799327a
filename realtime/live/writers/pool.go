// Package writers decides when connections are written to, so that a message for
// thousands does not take the machine. A Pool is safe for concurrent use.
package writers

import (
	"runtime"
	"sync"
	"time"
)

// Conn is a connection that can be written to.
type Conn interface {
	// Flush writes what waits for the client, which may block.
	Flush()
}

// Pool writes to connections, as many at a time as there are processors.
// While uploads are at work it is half of them, so that a message for a
// thousand connections does not stand between an upload and the answers it
// waits for. (While all of the scheduler's processors have something to run, it
// looks for what has arrived from the network only every 10 ms.)
//
// A write that blocks, because a client does not read, must not hold up the
// others: a worker that makes no progress for a moment is replaced.
type Pool struct {
	wake chan struct{} // there is a worker to watch
	quit chan struct{}

	mu      sync.Mutex
	limit   int
	ready   []Conn // to be written to, from head on
	head    int
	workers map[*worker]struct{} // those that are not stuck
	writing int                  // connections that workers have taken
	stuck   int                  // of those, the ones whose clients do not read
}

// worker writes to one connection after the other.
type worker struct {
	taken int // connections so far
	seen  int // taken, when it was last looked at
	stuck bool
}

// stuckAfter is how long the pool waits for a write to end.
const stuckAfter = 2 * time.Millisecond

// New makes a pool that has nothing to do.
func New() *Pool {
	return &Pool{
		limit: runtime.GOMAXPROCS(0),
		wake:  make(chan struct{}, 1), quit: make(chan struct{}),
		workers: map[*worker]struct{}{},
	}
}

// Add lets a connection be written to when its turn comes.
func (pool *Pool) Add(c Conn) {
	pool.mu.Lock()
	defer pool.mu.Unlock()
	pool.ready = append(pool.ready, c)
	pool.hire()
}

// hire sees to it that there is a worker; pool.mu is held.
func (pool *Pool) hire() {
	if len(pool.workers) >= pool.limit || pool.head == len(pool.ready) {
		return
	}
	w := &worker{}
	pool.workers[w] = struct{}{}
	go pool.work(w)
	notify(pool.wake)
}

// Waiting is the number of connections that are, or are to be, written to, but
// for those whose clients do not read.
func (pool *Pool) Waiting() int {
	pool.mu.Lock()
	defer pool.mu.Unlock()
	return len(pool.ready) - pool.head + pool.writing - pool.stuck
}

func (pool *Pool) work(w *worker) {
	for {
		c := pool.next(w)
		if c == nil {
			return
		}
		c.Flush()
		pool.mu.Lock()
		pool.writing--
		if w.stuck {
			pool.stuck--
		}
		pool.mu.Unlock()
	}
}

// next returns a connection for the worker, or nil when it is not needed any more.
func (pool *Pool) next(w *worker) Conn {
	pool.mu.Lock()
	defer pool.mu.Unlock()
	if w.stuck { // it goes on unless its place was taken
		if len(pool.workers) >= pool.limit {
			return nil
		}
		w.stuck = false
		pool.workers[w] = struct{}{}
		notify(pool.wake)
	}
	if pool.head == len(pool.ready) {
		pool.ready, pool.head = pool.ready[:0], 0
		delete(pool.workers, w)
		return nil
	}
	c := pool.ready[pool.head]
	pool.ready[pool.head] = nil
	pool.head++
	pool.writing++
	w.taken++
	return c
}

// Run replaces workers that are stuck, until Stop.
func (pool *Pool) Run() {
	ticker := time.NewTicker(stuckAfter)
	defer ticker.Stop()
	for {
		select {
		case <-pool.quit:
			return
		case <-ticker.C:
		}
		if pool.look() {
			continue
		}
		ticker.Stop()
		select {
		case <-pool.wake:
		case <-pool.quit:
			return
		}
		ticker.Reset(stuckAfter)
	}
}

// look replaces workers that made no progress since the last time, and reports
// whether there are others.
func (pool *Pool) look() (more bool) {
	pool.mu.Lock()
	defer pool.mu.Unlock()
	for w := range pool.workers {
		if w.taken != w.seen || w.taken == 0 {
			w.seen = w.taken
			continue
		}
		w.stuck = true
		pool.stuck++
		delete(pool.workers, w)
	}
	pool.hire()
	return len(pool.workers) > 0
}

// Share says whether others need half of the processors.
func (pool *Pool) Share(half bool) {
	pool.mu.Lock()
	defer pool.mu.Unlock()
	pool.limit = runtime.GOMAXPROCS(0)
	if half {
		pool.limit = max(1, pool.limit/2)
	}
}

// Stop ends Run.
func (pool *Pool) Stop() { close(pool.quit) }

// notify sets a flag that is a channel.
func notify(c chan struct{}) {
	select {
	case c <- struct{}{}:
	default:
	}
}
