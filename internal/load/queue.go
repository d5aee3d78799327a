package load

import (
	"container/list"
	"context"
	"errors"
	"strings"
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

// Stranger names a caller of whom only the network is known.
func Stranger(network string) string { return strangers + network }

const strangers = "network "

func stranger(caller string) bool { return strings.HasPrefix(caller, strangers) }

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

// ErrHeavy says that work must wait its turn, which it must not do on a connection.
var ErrHeavy = errors.New("heavy work has to wait its turn")

// Try does work that may turn out to be heavy: where it says so, by ErrHeavy, it is
// done again with a place, admitted.
func (q *Queue) Try(ctx context.Context, work func(admitted bool) error) error {
	err := work(false)
	if !errors.Is(err, ErrHeavy) {
		return err
	}
	if err := q.Enter(ctx); err != nil {
		return err
	}
	defer q.Leave(Caller(ctx))
	return work(true)
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
	waiting list.List     // of *want
	turn    *list.Element // in turns; nil where nobody waits
}

// want is what one request waits for.
type want struct {
	places int
	ready  chan struct{} // closed when it has them
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
func (q *Queue) Enter(ctx context.Context) error { return q.take(ctx, 1) }

// take waits for so many places at once. More than one caller may hold at most
// are had by who holds none.
func (q *Queue) take(ctx context.Context, places int) error {
	caller := Caller(ctx)
	q.mu.Lock()
	l := q.lines[caller]
	if l == nil {
		l = &line{caller: caller}
		q.lines[caller] = l
	}
	if q.free >= places && l.turn == nil && q.may(l, places) && !q.blocked() {
		q.free -= places
		l.held += places
		q.mu.Unlock()
		return nil
	}
	if caller != "" && l.waiting.Len() >= q.mostWaiting {
		q.stats.TurnedAway++
		q.mu.Unlock()
		return errBusy
	}
	w := &want{places, make(chan struct{})}
	place := l.waiting.PushBack(w)
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
	case <-w.ready:
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
	case <-w.ready: // in the meantime
		q.give(l, places)
	default:
		l.waiting.Remove(place)
		q.tidy(l)
		q.next()
	}
	return err
}

// Leave gives back the place of the caller that entered.
func (q *Queue) Leave(caller string) { q.leave(caller, 1) }

func (q *Queue) leave(caller string, places int) {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.give(q.lines[caller], places)
}

func (q *Queue) may(l *line, places int) bool {
	return l.held == 0 || l.held+places <= q.most || l.caller == ""
}

// blocked reports whether places are being saved up for somebody whose turn it
// is, and who wants more than are free. Others wait only where they hold their
// most.
func (q *Queue) blocked() bool {
	for e := q.turns.Front(); e != nil; e = e.Next() {
		if l := e.Value.(*line); q.may(l, l.waiting.Front().Value.(*want).places) {
			return true
		}
	}
	return false
}

func (q *Queue) give(l *line, places int) {
	q.free += places
	l.held -= places
	q.next()
	q.tidy(l)
}

// next lets those in whose turn it is.
func (q *Queue) next() {
	for e := q.turns.Front(); e != nil && q.free > 0; {
		next := e.Next()
		l := e.Value.(*line)
		if w := l.waiting.Front().Value.(*want); q.may(l, w.places) {
			if w.places > q.free {
				return
			}
			q.free -= w.places
			l.held += w.places
			l.waiting.Remove(l.waiting.Front())
			close(w.ready)
			q.turns.MoveToBack(e)
			q.tidy(l)
		}
		e = next
	}
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
