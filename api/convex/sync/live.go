package sync

import (
	"context"
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"log/slog"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/ecovolt/telemetryd/api/convex/registry"
	"github.com/ecovolt/telemetryd/api/convex/value"
	"github.com/ecovolt/telemetryd/internal/fault"
	"github.com/ecovolt/telemetryd/internal/retry"
)

// content is what a query answered. It is shared by all who asked the same,
// and never changed.
type content struct {
	value  json.RawMessage
	failed *registry.Failure
	// mark stands for the content: who could not tell two apart sees the same
	// mark. A socket keeps it instead of a result that may be large.
	mark mark
}

type mark [sha256.Size]byte

func newContent(value json.RawMessage, failed *registry.Failure) *content {
	c := &content{value: value, failed: failed}
	h := sha256.New()
	switch {
	case failed == nil:
		h.Write([]byte{1})
		h.Write(value)
	case failed.Kind == fault.Internal:
		h.Write([]byte{2}) // their messages differ in the request id only
	default:
		fmt.Fprintf(h, "\x03%d %s", len(failed.Message), failed.Message)
		h.Write(failed.Data)
	}
	h.Sum(c.mark[:0])
	return c
}

// result is a content and how new it is.
type result struct {
	*content
	// start is when the run that gave it began: it holds all that was
	// committed before.
	start int64
}

// watcher is told, by notify, that a live query has a newer result. It must
// not block.
type watcher interface{ notify() }

// liveKey tells live queries apart.
type liveKey struct {
	function string
	args     string // canonical
	identity string
	base     string // of functions with LinksHere
}

// live is a query that somebody watches. It runs in a goroutine of its own, at
// most once at a time, for everybody who asked the same.
type live struct {
	server *Server
	key    liveKey
	in     *registry.Invocation
	cancel context.CancelFunc
	latest atomic.Pointer[result]
	demand chan struct{} // a newer result is wanted than latest

	mu       sync.Mutex
	watchers map[watcher]int // how many queries of each
	wanted   int64           // the start that somebody waits for
}

// watch makes w a watcher of the query, which is started if it is new, and
// asks for a result from need or later. It returns nil when too many are watched.
func (s *Server) watch(key liveKey, in *registry.Invocation, w watcher, need int64) *live {
	s.liveMu.Lock()
	l := s.live[key]
	if l == nil {
		if len(s.live) >= s.options.MaxQueries {
			s.liveMu.Unlock()
			return nil
		}
		ctx, cancel := context.WithCancel(s.lifetime)
		l = &live{
			server: s, key: key, in: in, cancel: cancel,
			demand: make(chan struct{}, 1), watchers: make(map[watcher]int),
		}
		s.live[key] = l
		s.tasks.Go(func() { l.run(ctx) })
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
		delete(l.server.live, l.key)
		l.cancel()
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
			hopeful := got.failed.Kind == fault.Unavailable && (time.Since(broken) < patience || !l.awaited(l.latest.Load()))
			if !hopeful {
				l.publish(got, start)
			}
		} else {
			broken = time.Time{}
			backoff.Reset()
			sub.Set(slices.Compact(slices.Sorted(slices.Values(topics))))
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

// once runs the query. It returns what the query answered, and when that ends to
// hold (zero: only by a change).
func (l *live) once(ctx context.Context, log *slog.Logger, watch func(context.Context, []string) error) (*content, time.Time) {
	s := l.server
	ctx, cancel := context.WithTimeout(ctx, s.options.QueryTimeout)
	defer cancel()
	select {
	case s.queryRuns <- struct{}{}:
		defer func() { <-s.queryRuns }()
	case <-ctx.Done():
		return newContent(nil, registry.Describe(ctx, log, l.key.function, ctx.Err(), value.Encoded)), time.Time{}
	}
	var unwatched error
	answer, until, err := s.registry.Run(ctx, l.in, func(topics ...string) {
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
		encoded, err = value.Append(nil, answer, value.Encoded)
	}
	if err != nil {
		if ctx.Err() != nil && fault.As(err) == nil {
			err = ctx.Err()
		}
		return newContent(nil, registry.Describe(ctx, log, l.key.function, err, value.Encoded)), until
	}
	return newContent(encoded, nil), until
}

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
