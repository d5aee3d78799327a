package hub

import (
	"context"
	"errors"
	"log/slog"
	"maps"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/ecovolt/telemetryd/internal/retry"
	schema "github.com/ecovolt/telemetryd/sql"
)

// Source tells the hub where each topic stands. The timeseries package
// implements it.
type Source interface {
	// Versions returns an opaque version of each topic in one query. A topic
	// that has no version yet, or whose session is gone, is absent.
	Versions(ctx context.Context, topics []string) (map[string]string, error)
}

// errStopped is what Watch returns when the hub has stopped.
var errStopped = errors.New("the hub has stopped")

// Options tune a Hub. The zero value is right for production.
type Options struct {
	// Tick is the longest time between two polls while somebody watches. It
	// bounds the delay of what other instances commit. Default 100 ms.
	Tick time.Duration
	// Gap is the least time between the starts of two polls, so that a burst
	// of commits costs one poll and not one each. Default 5 ms.
	Gap time.Duration
	// Timeout bounds one poll; a poll that takes longer counts as failed.
	// Default 5 s.
	Timeout time.Duration
	// MaxBackOff is the longest pause between polls while they fail.
	// Default 2 s.
	MaxBackOff time.Duration
	// Log gets a line when the database goes away and when it is back.
	Log *slog.Logger
}

// Hub polls versions for its subscribers. Make one with New, start it with
// Run.
type Hub struct {
	source Source
	opt    Options
	kick   chan struct{} // poll soon
	done   chan struct{} // closed when Run returns
	polls  atomic.Int64

	mu     sync.Mutex
	topics map[string]*topic
	subs   map[*Sub]struct{}
	until  time.Time // commits cause no poll before it
	away   error     // why the last poll failed; nil while healthy
	since  time.Time // when away last changed between nil and not nil
}

// topic is one watched name, shared by all who watch it.
type topic struct {
	version string
	known   bool
	ready   chan struct{} // closed once known, or when nobody watches any more
	subs    map[*Sub]struct{}
}

// New makes a hub that reads from source. Nothing happens before Run.
func New(source Source, opt Options) *Hub {
	if opt.Tick <= 0 {
		opt.Tick = 100 * time.Millisecond
	}
	if opt.Gap <= 0 {
		opt.Gap = 5 * time.Millisecond
	}
	if opt.Timeout <= 0 {
		opt.Timeout = 5 * time.Second
	}
	if opt.MaxBackOff <= 0 {
		opt.MaxBackOff = 2 * time.Second
	}
	if opt.Log == nil {
		opt.Log = slog.New(slog.DiscardHandler)
	}
	return &Hub{
		source: source,
		opt:    opt,
		kick:   make(chan struct{}, 1),
		done:   make(chan struct{}),
		topics: map[string]*topic{},
		subs:   map[*Sub]struct{}{},
		since:  time.Now(),
	}
}

// Run polls until ctx ends. Call it once.
func (h *Hub) Run(ctx context.Context) {
	defer close(h.done)
	timer := time.NewTimer(h.opt.Tick)
	defer timer.Stop()
	backoff := retry.Backoff(h.opt.Tick, h.opt.MaxBackOff)
	for {
		names := h.names()
		if len(names) == 0 { // nobody watches: sleep until somebody does
			select {
			case <-ctx.Done():
				return
			case <-h.kick:
				continue
			}
		}
		started := time.Now()
		err := h.poll(ctx, names)
		if ctx.Err() != nil {
			return
		}
		pause, kick := h.opt.Tick-time.Since(started), h.kick
		if err == nil {
			backoff.Reset()
		} else {
			pause = backoff.NextBackOff()
			kick = nil // a failing database is not asked more often because of new watchers
		}
		timer.Reset(max(pause, 0))
		select {
		case <-ctx.Done():
			return
		case <-timer.C:
		case <-kick:
			if rest := max(h.opt.Gap-time.Since(started), min(h.resting(), h.opt.Tick-time.Since(started))); rest > 0 {
				timer.Reset(rest)
				select {
				case <-ctx.Done():
					return
				case <-timer.C:
				}
			}
			// Whatever asked meanwhile is served by the poll that starts now.
			select {
			case <-h.kick:
			default:
			}
		}
	}
}

// names lists the watched topics.
func (h *Hub) names() []string {
	h.mu.Lock()
	defer h.mu.Unlock()
	return slices.Collect(maps.Keys(h.topics))
}

// poll asks for the versions of the named topics and wakes whom it concerns.
func (h *Hub) poll(ctx context.Context, names []string) error {
	h.polls.Add(1)
	limited, cancel := context.WithTimeout(ctx, h.opt.Timeout)
	defer cancel()
	versions, err := h.source.Versions(limited, names)
	if ctx.Err() != nil {
		return ctx.Err()
	}

	h.mu.Lock()
	defer h.mu.Unlock()
	if (err == nil) != (h.away == nil) {
		if err != nil {
			h.opt.Log.Warn("live updates paused: the database does not answer", "error", err)
		} else {
			h.opt.Log.Info("live updates resumed", "away", time.Since(h.since).Round(time.Millisecond))
		}
		h.since = time.Now()
		for s := range h.subs {
			s.signal()
		}
	}
	h.away = err
	if err != nil {
		return err
	}
	for _, name := range names {
		t := h.topics[name]
		if t == nil { // dropped while the query ran
			continue
		}
		version := versions[name]
		switch {
		case !t.known:
			t.known, t.version = true, version
			close(t.ready)
		case t.version != version:
			t.version = version
			for s := range t.subs {
				s.changed[name] = struct{}{}
				s.signal()
			}
		}
	}
	return nil
}

// wake makes the hub poll at once if anybody watches one of the topics.
func (h *Hub) wake(topics ...string) {
	h.mu.Lock()
	watched := slices.ContainsFunc(topics, func(name string) bool { return h.topics[name] != nil })
	h.mu.Unlock()
	if watched {
		h.poke()
	}
}

// WakeSessions makes the hub poll at once if anybody watches one of the sessions,
// whose records or state a local commit changed, the list of sessions or the live
// state.
func (h *Hub) WakeSessions(ids ...string) {
	topics := make([]string, 0, len(ids)+2)
	topics = append(topics, schema.TopicSessions, schema.TopicLive)
	for _, id := range ids {
		topics = append(topics, schema.TopicSession(id))
	}
	h.wake(topics...)
}

// WakeAll makes the hub poll at once if anybody watches anything. Call it after
// a local commit whose topics are not known.
func (h *Hub) WakeAll() { h.poke() }

// Rest keeps commits from causing a poll for a while; ticks still do.
func (h *Hub) Rest(d time.Duration) {
	h.mu.Lock()
	h.until = time.Now().Add(d)
	h.mu.Unlock()
}

// resting returns how long that is still so.
func (h *Hub) resting() time.Duration {
	h.mu.Lock()
	defer h.mu.Unlock()
	return time.Until(h.until)
}

func (h *Hub) poke() {
	select {
	case h.kick <- struct{}{}:
	default: // one is pending: coalesce
	}
}

// Healthy reports whether the newest poll succeeded, and since when that is
// so. Every Sub is woken when it changes.
func (h *Hub) Healthy() (ok bool, since time.Time) {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.away == nil, h.since
}

// Stats counts what a hub does.
type Stats struct {
	Polls       int64 // queries sent so far
	Topics      int   // watched now
	Subscribers int   // open now
}

// Stats returns the hub's counts.
func (h *Hub) Stats() Stats {
	h.mu.Lock()
	defer h.mu.Unlock()
	return Stats{Polls: h.polls.Load(), Topics: len(h.topics), Subscribers: len(h.subs)}
}
