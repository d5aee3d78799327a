package sync

import (
	"context"
	"log/slog"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/ecovolt/telemetryd/api/convex/registry"
	"github.com/ecovolt/telemetryd/api/convex/value"
	"github.com/ecovolt/telemetryd/internal/fault"
	"github.com/ecovolt/telemetryd/internal/load"
	"github.com/ecovolt/telemetryd/internal/retry"
)

// watcher is told, by notify, that a live query has a newer result. It must
// not block.
type watcher interface{ notify() }

// liveKey tells live queries apart.
type liveKey struct {
	function string
	args     string // checked and canonical
	identity string
	base     string // of functions with LinksHere
	journal  string // of paginated ones: where the page ends
}

// live is a query that somebody watches. It runs in a goroutine of its own, at
// most once at a time, for everybody who asked the same.
type live struct {
	server *Server
	key    liveKey // changed under liveMu only
	in     *registry.Invocation
	caller string // who asked first: what it takes is that one's
	room   int64  // bytes of the budget that its result, or its run, takes
	size   int64  // bytes of its last result, even one that found no room
	cancel context.CancelFunc
	latest atomic.Pointer[result]
	demand chan struct{} // a newer result is wanted than latest

	mu       sync.Mutex
	watchers map[watcher]int // how many queries of each
	wanted   int64           // the start that somebody waits for
}

// watch makes w a watcher of the query, which is started if it is new, and
// asks for a result from need or later. It returns nil when too many are watched.
func (s *Server) watch(key liveKey, in *registry.Invocation, caller string, w watcher, need int64) *live {
	s.liveMu.Lock()
	l := s.live[key]
	if l == nil {
		if !s.places.Take(caller, 1) {
			s.liveMu.Unlock()
			return nil
		}
		ctx, cancel := context.WithCancel(load.WithCaller(s.lifetime, caller))
		l = &live{
			server: s, key: key, in: in, caller: caller, cancel: cancel,
			demand: make(chan struct{}, 1), watchers: make(map[watcher]int),
		}
		s.live[key] = l
		s.liveCount++
		s.tasks.Go(func() {
			l.run(ctx)
			s.options.Results.Give(caller, l.room)
		})
	}
	l.mu.Lock()
	l.watchers[w]++
	l.mu.Unlock()
	s.liveMu.Unlock()
	l.want(need)
	return l
}

// unwatch takes w back. The query stops with its last watcher.
func (l *live) unwatch(w watcher) {
	l.server.liveMu.Lock()
	defer l.server.liveMu.Unlock()
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.watchers[w]--; l.watchers[w] > 0 {
		return
	}
	delete(l.watchers, w)
	if len(l.watchers) == 0 {
		if l.server.live[l.key] == l {
			delete(l.server.live, l.key)
		}
		l.server.liveCount--
		l.server.places.Give(l.caller, 1)
		l.cancel()
	}
}

// pin takes up where the page of a paginated query ends. Who asks for it without
// a journal from now on gets a page of its own, of the size that it wants.
func (l *live) pin(journal string) {
	if !l.in.Function.Paginated || journal == l.key.journal {
		return
	}
	in := *l.in
	in.Journal = journal
	l.in = &in
	s := l.server
	s.liveMu.Lock()
	defer s.liveMu.Unlock()
	if s.live[l.key] == l {
		delete(s.live, l.key)
	}
	l.key.journal = journal
	if s.live[l.key] == nil {
		s.live[l.key] = l
	}
}

// want asks for a result whose run began at need or later.
func (l *live) want(need int64) {
	l.mu.Lock()
	l.wanted = max(l.wanted, need)
	l.mu.Unlock()
	if r := l.latest.Load(); r != nil && r.start >= need {
		return
	}
	select {
	case l.demand <- struct{}{}:
	default:
	}
}

// awaited reports whether somebody waits for a newer result than r.
func (l *live) awaited(r *result) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return r == nil || r.start < l.wanted
}

const (
	// retryFirst and retryMost bound the pause after a run that broke.
	retryFirst = 200 * time.Millisecond
	retryMost  = 5 * time.Second
	// patience is how long those who wait are kept from seeing that a query
	// breaks, as it does while the database is restarted.
	patience = 10 * time.Second
	// leastRest is the least pause between two runs for changes.
	leastRest = 10 * time.Millisecond
)

// run keeps the result current until ctx ends.
func (l *live) run(ctx context.Context) {
	sub := l.server.options.Hub.Subscribe()
	defer sub.Close()
	var (
		broken  time.Time // since when runs break; zero while they do not
		backoff = retry.Backoff(retryFirst, retryMost)
		timer   = time.NewTimer(0)
	)
	<-timer.C
	for ctx.Err() == nil {
		sub.Changed() // whatever changed so far, this run will see
		begun := time.Now()
		var topics []string
		start := l.server.clock.next()
		log := l.server.log
		if !broken.IsZero() {
			log = slog.New(slog.DiscardHandler) // the first failure said it all
		}
		got, until := l.once(ctx, log, func(ctx context.Context, watched []string) error {
			topics = append(topics, watched...)
			return sub.Watch(ctx, watched...)
		})
		if ctx.Err() != nil {
			return
		}
		took := time.Since(begun)

		var pause time.Duration
		timed := !until.IsZero()
		if timed {
			// A little later than that, so as not to find it still valid; much
			// later if it is over already, so as not to run without a pause.
			if pause = l.server.clock.until(until) + 5*time.Millisecond; pause <= 0 {
				pause = time.Second
			}
		}
		if got.failed != nil && (got.failed.Kind == fault.Internal || got.failed.Kind == fault.Unavailable) {
			if broken.IsZero() {
				broken = begun
			}
			pause, timed = backoff.NextBackOff(), true
			hopeful := got.failed.Kind == fault.Unavailable && !got.noRoom && (time.Since(broken) < patience || !l.awaited(l.latest.Load()))
			if !hopeful {
				l.publish(got, start)
				l.reserve(0)
			}
		} else {
			broken = time.Time{}
			backoff.Reset()
			sub.Set(slices.Compact(slices.Sorted(slices.Values(topics))))
			l.pin(got.journal)
			l.publish(got, start)
		}
		if !l.rest(ctx, sub.C(), func() bool { return len(sub.Changed()) > 0 }, timer, timed, pause) {
			return
		}
		// Many small changes, or a slow query, must not occupy the database: it
		// rests as long as it worked, unless somebody waits for it.
		if idle := max(took, leastRest) - time.Since(begun.Add(took)); idle > 0 && !l.awaited(l.latest.Load()) {
			timer.Reset(idle)
			select {
			case <-ctx.Done():
			case <-timer.C:
			case <-l.demand:
				timer.Stop()
			}
		}
	}
}

// rest waits until there is a reason to run again. It returns false when ctx
// ends.
func (l *live) rest(ctx context.Context, signal <-chan struct{}, changed func() bool, timer *time.Timer, timed bool, pause time.Duration) bool {
	var expired <-chan time.Time
	if timed {
		timer.Reset(pause)
		defer timer.Stop()
		expired = timer.C
	}
	for {
		select {
		case <-ctx.Done():
			return false
		case <-expired:
			return true
		case <-signal:
			if changed() {
				return true
			}
		case <-l.demand:
			if l.awaited(l.latest.Load()) {
				return true
			}
		}
	}
}

// reserve makes the room that the query takes of the budget size bytes. It
// returns false when there is none for it.
func (l *live) reserve(size int64) bool {
	budget := l.server.options.Results
	if size > l.room && !budget.Take(l.caller, size-l.room) {
		return false
	}
	if size < l.room {
		budget.Give(l.caller, l.room-size)
	}
	l.room = size
	return true
}

// once runs the query. It returns what the query answered, and when that ends to
// hold (zero: only by a change). A result that the budget has no room for is an
// Unavailable failure; the query is run again when there may be.
func (l *live) once(ctx context.Context, log *slog.Logger, watch func(context.Context, []string) error) (*content, time.Time) {
	s, name := l.server, l.in.Function.Name
	ctx, cancel := context.WithTimeout(ctx, s.options.QueryTimeout)
	defer cancel()
	fail := func(err error) *content {
		c := failed(registry.Describe(ctx, log, name, err, value.Encoded))
		c.noRoom = err == errNoRoom
		return c
	}
	select {
	case s.queryRuns <- struct{}{}:
		defer func() { <-s.queryRuns }()
	case <-ctx.Done():
		return fail(ctx.Err()), time.Time{}
	}
	// As much as last time is needed beside the result that is shown.
	if l.size > l.room && !l.reserve(l.size) {
		return fail(errNoRoom), time.Time{}
	}
	var unwatched error
	out, err := s.registry.Run(ctx, l.in, func(topics ...string) {
		if err := watch(ctx, topics); err != nil && unwatched == nil {
			unwatched = err
			cancel() // what the query reads now would not be kept current
		}
	})
	if unwatched != nil {
		err = unwatched
	}
	var encoded []byte
	if err == nil {
		encoded, err = value.Append(nil, out.Value, value.Encoded)
	}
	if err == nil {
		if l.size = int64(len(encoded)); !l.reserve(l.size) {
			log.WarnContext(ctx, "no room for a watched result", "function", name, "bytes", l.size)
			err = errNoRoom
		}
	}
	if err != nil {
		if ctx.Err() != nil && fault.As(err) == nil {
			err = ctx.Err()
		}
		return fail(err), out.Until
	}
	return succeeded(encoded, out.Journal), out.Until
}

// errNoRoom turns a result away for the time being.
var errNoRoom error = fault.New(fault.Unavailable, "too much is being watched just now; this will be shown when there is room")

// publish makes got the newest result, and tells whom it concerns.
func (l *live) publish(got *content, start int64) {
	old := l.latest.Load()
	changed := true
	if old != nil && old.mark == got.mark {
		got, changed = old.content, false
	}
	l.mu.Lock()
	waited := old == nil || old.start < l.wanted
	l.latest.Store(&result{got, start})
	var concerned []watcher
	if changed || waited {
		concerned = make([]watcher, 0, len(l.watchers))
		for w := range l.watchers {
			concerned = append(concerned, w)
		}
	}
	l.mu.Unlock()
	for _, w := range concerned {
		w.notify()
	}
}
