package load

import (
	"container/list"
	"context"
	"sync"
	"time"

	"github.com/ecovolt/telemetryd/internal/fault"
)

type callerKey struct{}

// WithCaller notes on whose behalf work is done: an account, a key, or the
// network that a stranger comes from. Work that names nobody is the daemon's own.
func WithCaller(ctx context.Context, caller string) context.Context {
	return context.WithValue(ctx, callerKey{}, caller)
}

// Caller returns the noted caller, or "" for the daemon itself.
func Caller(ctx context.Context) string {
	caller, _ := ctx.Value(callerKey{}).(string)
	return caller
}

// Queue shares places among callers. Whoever is waiting gets the next free place
// in turn, one caller after the other, however many each of them asks for. The
// daemon's own work takes its turn like a caller, but is never turned away.
type Queue struct {
	// most is how many places one caller holds at most, and how many of its
	// requests may wait.
	most, mostWaiting int
	patience          time.Duration

	mu    sync.Mutex
	free  int
	lines map[string]*line
	turns list.List // of the *line that have somebody waiting, next one first
	stats QueueStats
}

// QueueStats is what became of those who had to wait.
type QueueStats struct {
	Waited     time.Duration // in all
	TurnedAway int64
}

// Stats returns the figures since the start.
func (q *Queue) Stats() QueueStats {
	q.mu.Lock()
	defer q.mu.Unlock()
	return q.stats
}

// line is what one caller holds and wants.
type line struct {
	caller  string
	held    int
	waiting list.List     // of chan struct{}, closed when it is its turn
	turn    *list.Element // in turns; nil where nobody waits
}

// mostWaiting bounds the requests of one caller that wait for a place. A page with
// many charts asks for a few dozen at once.
const mostWaiting = 128

// NewQueue makes a queue for so many places, of which one caller holds so many
// at most. Who waited for patience is turned away: an Unavailable fault that
// says when to try again. Without patience only the context's end does that.
func NewQueue(places, most int, patience time.Duration) *Queue {
	return &Queue{free: places, most: max(1, most), mostWaiting: mostWaiting, patience: patience, lines: map[string]*line{}}
}

// Enter waits for a place for the context's caller, who must Leave it.
func (q *Queue) Enter(ctx context.Context) error {
	caller := Caller(ctx)
	q.mu.Lock()
	l := q.lines[caller]
	if l == nil {
		l = &line{caller: caller}
		q.lines[caller] = l
	}
	if q.free > 0 && l.turn == nil && q.may(l) {
		// A place is free although somebody waits only where they hold their most.
		q.free--
		l.held++
		q.mu.Unlock()
		return nil
	}
	if caller != "" && l.waiting.Len() >= q.mostWaiting {
		q.stats.TurnedAway++
		q.mu.Unlock()
		return errBusy
	}
	ready := make(chan struct{})
	place := l.waiting.PushBack(ready)
	if l.turn == nil {
		l.turn = q.turns.PushBack(l)
	}
	q.mu.Unlock()

	since := time.Now()
	defer func() {
		q.mu.Lock()
		q.stats.Waited += time.Since(since)
		q.mu.Unlock()
	}()
	var late <-chan time.Time
	if caller != "" && q.patience > 0 {
		timer := time.NewTimer(q.patience)
		defer timer.Stop()
		late = timer.C
	}
	var err error
	select {
	case <-ready:
		return nil
	case <-ctx.Done():
		err = ctx.Err()
	case <-late:
		err = errBusy
	}
	q.mu.Lock()
	defer q.mu.Unlock()
	if ctx.Err() == nil {
		q.stats.TurnedAway++
	}
	select {
	case <-ready: // in the meantime
		q.leave(l)
	default:
		l.waiting.Remove(place)
		q.tidy(l)
	}
	return err
}

// Leave gives back the place of the caller that entered.
func (q *Queue) Leave(caller string) {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.leave(q.lines[caller])
}

func (q *Queue) may(l *line) bool { return l.held < q.most || l.caller == "" }

func (q *Queue) leave(l *line) {
	q.free++
	l.held--
	for e := q.turns.Front(); e != nil && q.free > 0; {
		next := e.Next()
		if one := e.Value.(*line); q.may(one) {
			q.free--
			one.held++
			close(one.waiting.Remove(one.waiting.Front()).(chan struct{}))
			q.turns.MoveToBack(e)
			q.tidy(one)
		}
		e = next
	}
	q.tidy(l)
}

// tidy forgets what a line does not need any more.
func (q *Queue) tidy(l *line) {
	if l.waiting.Len() > 0 {
		return
	}
	if l.turn != nil {
		q.turns.Remove(l.turn)
		l.turn = nil
	}
	if l.held == 0 {
		delete(q.lines, l.caller)
	}
}

var errBusy = fault.Busy("the server is busy with other requests; try again")
