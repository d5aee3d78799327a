package gate

import (
	"context"
	"runtime"
	"sync"
	"time"

	"github.com/ecovolt/telemetryd/internal/fault"
	"github.com/ecovolt/telemetryd/internal/retry"
)

// Gate bounds the work of checking passwords, so that a flood of sign-ins can
// exhaust neither memory nor processors nor database connections: at most
// slots callers are inside, at most queue wait, and of those at most a quarter
// from one client address. The rest is turned away, most of it after a pause:
// a flood from many connections is then slowed down by its own answers, instead
// of asking again at the full speed of the network.
type Gate struct {
	slots chan struct{}
	queue int

	mu      sync.Mutex
	waiting int
	from    map[string]int // waiting, by client address
	held    int            // being turned away, after their pause
}

const (
	maxGateWait = 10 * time.Second
	turnAway    = time.Second     // the pause
	maxHeld     = 1000            // who comes beyond is turned away at once: each holds a connection
	gateRetry   = 2 * time.Second // what those turned away are told
	// A scrypt check takes 128 MiB, so more slots than this cost too much
	// memory whatever the number of processors.
	maxDefaultSlots = 4
	defaultQueue    = 64
)

// New makes a gate for that many at once, and that many that wait. Zero means half of
// the processors, at most 4, and 64.
func New(slots, queue int) *Gate {
	if slots <= 0 {
		// Half of the processors stay free for ingest.
		slots = min(maxDefaultSlots, max(1, runtime.GOMAXPROCS(0)/2))
	}
	if queue <= 0 {
		queue = defaultQueue
	}
	return &Gate{slots: make(chan struct{}, slots), queue: queue, from: map[string]int{}}
}

// Enter waits for a slot, or fails with fault.Unavailable. The caller must call leave when err is nil.
func (g *Gate) Enter(ctx context.Context, address string) (leave func(), err error) {
	leave = func() { <-g.slots }
	select {
	case g.slots <- struct{}{}:
		return leave, nil
	default:
	}
	if !g.line(address) {
		return nil, g.refuse(ctx)
	}
	defer g.unline(address)
	patience := time.NewTimer(maxGateWait)
	defer patience.Stop()
	select {
	case g.slots <- struct{}{}:
		return leave, nil
	case <-patience.C:
		return nil, errBusy()
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

func (g *Gate) refuse(ctx context.Context) error {
	if g.hold(1) <= maxHeld {
		_ = retry.Pause(ctx, turnAway)
	}
	g.hold(-1)
	return errBusy()
}

func (g *Gate) hold(n int) int {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.held += n
	return g.held
}

func (g *Gate) line(address string) bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.waiting >= g.queue || g.from[address] >= max(1, g.queue/4) {
		return false
	}
	g.waiting++
	g.from[address]++
	return true
}

func (g *Gate) unline(address string) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.waiting--
	if g.from[address]--; g.from[address] <= 0 {
		delete(g.from, address)
	}
}

func errBusy() *fault.Error {
	e := fault.New(fault.Unavailable, "Too many sign-ins at this moment. Please try again shortly.")
	e.RetryAfter = gateRetry
	return e
}
