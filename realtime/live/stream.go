package live

import (
	"context"
	"errors"
	"log/slog"
	"maps"
	"net/http"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/ecovolt/telemetryd/internal/httpx/ws"
	"github.com/ecovolt/telemetryd/internal/load"
	"github.com/ecovolt/telemetryd/internal/retry"
	"github.com/ecovolt/telemetryd/realtime/hub"
	"github.com/ecovolt/telemetryd/realtime/live/protocol"
	"github.com/ecovolt/telemetryd/realtime/live/writers"
	schema "github.com/ecovolt/telemetryd/sql"
	"github.com/ecovolt/telemetryd/timeseries/delta"
	"github.com/ecovolt/telemetryd/timeseries/record"
	"github.com/ecovolt/telemetryd/timeseries/registry"
)

// Records is what a Stream reads from the store. delta.Reader is one.
type Records interface {
	Read(ctx context.Context, wants []delta.Want, fields *record.Selection, limit int) ([]delta.Delta, error)
	RecentStart(ctx context.Context, now delta.Position, recent delta.Recent) (delta.Position, time.Time, error)
	CountBetween(ctx context.Context, from, to delta.Position) (int64, error)
}

// Channels tells which channels there are. Package registry implements it.
type Channels interface {
	Current(ctx context.Context) (*registry.Set, error)
}

// Options tune a Stream. The zero value is right for production but for
// Policy, without which everybody may watch everything, and Channels, which
// must be there.
type Options struct {
	Policy   Policy
	Channels Channels
	// Credential finds what a request brings to sign in with; it is handed to
	// Policy.Viewer. Default: the Authorization header's value after its scheme.
	Credential func(*http.Request) string
	// CheckOrigin says whether a page of the request's Origin may connect.
	// Default: pages of the same host only.
	CheckOrigin func(*http.Request) bool
	// QueueBytes bounds what is queued for one connection. A client that lets
	// more pile up is served from the database when it reads again.
	// Default 1 MiB.
	QueueBytes int
	// ReplayRecords is the most records that are sent again to a client that
	// was away; past it, it gets a resync and a snapshot. Default 200,000.
	ReplayRecords int
	// Connections is the most open at once. Default 20,000.
	Connections int
	// PingEvery is how often an idle connection is asked for a sign of life;
	// two unanswered pings end it. Default 25 s.
	PingEvery time.Duration
	// Readers is how many connections read from the database at once to catch
	// up. Default 4.
	Readers int
	// Compression offers permessage-deflate. Messages below 512 bytes are never
	// compressed, and no state is kept between messages.
	Compression bool
	// InFlight are the uploads that are stored beside the stream: while they
	// are at work, fan-out takes less of the machine. Nil is none.
	InFlight *load.InFlight
	// OnDelta, if set, is told how long after they were stored new records
	// were queued for a session's live readers: the oldest of them, counting
	// the pauses in which commits gather.
	OnDelta func(lag time.Duration)
	Log     *slog.Logger
}

// Stream serves live records to connections. Make one with New, start it
// with Run, hand it requests.
//
// One goroutine reads each changed session's new records once per wake-up of
// the hub, encodes them once for each set of fields and rate in use, and
// queues the result with every live reader.
type Stream struct {
	hub     *hub.Hub
	records Records
	opt     Options
	log     *slog.Logger
	sub     *hub.Sub
	kick    chan struct{}
	reading chan struct{} // a slot for each reader of the database
	work    sync.WaitGroup

	writers                                                         *writers.Pool
	framesOut, recordsOut, overflows, slow, replayReads, deltaReads atomic.Int64

	mu     sync.Mutex
	feeds  map[string]*sessionFeed
	dirty  map[*sessionFeed]struct{} // to be read
	conns  map[*conn]struct{}
	seats  *load.Seats                   // of conns
	topics map[string]map[*conn]struct{} // of viewers, by topic
	closed bool
}

// New makes a stream on a hub. Nothing is sent before Run.
func New(h *hub.Hub, records Records, opt Options) *Stream {
	if opt.Policy == nil {
		opt.Policy = everything{}
	}
	if opt.Credential == nil {
		opt.Credential = func(r *http.Request) string {
			_, credential, _ := strings.Cut(r.Header.Get("Authorization"), " ")
			return credential
		}
	}
	if opt.CheckOrigin == nil {
		opt.CheckOrigin = ws.SameOrigin
	}
	if opt.InFlight == nil {
		opt.InFlight = new(load.InFlight)
	}
	if opt.QueueBytes <= 0 {
		opt.QueueBytes = 1 << 20
	}
	if opt.ReplayRecords <= 0 {
		opt.ReplayRecords = 200_000
	}
	if opt.Connections <= 0 {
		opt.Connections = 20_000
	}
	if opt.PingEvery <= 0 {
		opt.PingEvery = 25 * time.Second
	}
	if opt.Readers <= 0 {
		opt.Readers = 4
	}
	if opt.Log == nil {
		opt.Log = slog.New(slog.DiscardHandler)
	}
	return &Stream{
		hub: h, records: records, opt: opt, log: opt.Log,
		sub:     h.Subscribe(),
		kick:    make(chan struct{}, 1),
		reading: make(chan struct{}, opt.Readers),
		feeds:   map[string]*sessionFeed{},
		dirty:   map[*sessionFeed]struct{}{},
		conns:   map[*conn]struct{}{},
		seats:   load.NewSeats(opt.Connections),
		topics:  map[string]map[*conn]struct{}{},
		writers: writers.New(),
	}
}

// Run serves until ctx ends, then closes every connection with "going away"
// and waits for them. Call it once, beside Hub.Run.
func (st *Stream) Run(ctx context.Context) {
	written := make(chan struct{})
	go func() { st.writers.Run(); close(written) }()
	var both sync.WaitGroup
	both.Go(func() { st.deliver(ctx) })
	both.Go(func() { st.tend(ctx) })
	both.Wait()
	st.Drain()
	st.work.Wait()
	st.writers.Stop()
	<-written
	st.sub.Close()
}

// Drain closes every connection with "going away" and takes no new ones, so
// that clients reconnect elsewhere. Register it with http.Server's
// RegisterOnShutdown: event streams are requests that would never end.
func (st *Stream) Drain() {
	st.mu.Lock()
	st.closed = true
	conns := slices.Collect(maps.Keys(st.conns))
	st.mu.Unlock()
	for _, c := range conns {
		c.close(closeShutdown)
	}
}

// readTimeout bounds one read of new records.
const readTimeout = 10 * time.Second

// deliver reads what is new and hands it out.
func (st *Stream) deliver(ctx context.Context) {
	timer := time.NewTimer(time.Hour)
	defer timer.Stop()
	backoff := retry.Backoff(100*time.Millisecond, 2*time.Second)
	failed := false
	for {
		var again <-chan time.Time
		var due time.Time
		kick := st.kick
		if failed {
			due = time.Now().Add(backoff.NextBackOff())
			kick = nil
		} else {
			due = st.flushDue(time.Now())
		}
		if !due.IsZero() {
			timer.Reset(time.Until(due))
			again = timer.C
		}
		var begun time.Time
		select {
		case <-ctx.Done():
			return
		case <-st.sub.C():
			begun = time.Now()
			st.note(ctx, st.sub.Changed())
		case <-kick:
		case <-again:
		}
		if err := st.read(ctx); err != nil {
			if ctx.Err() != nil {
				return
			}
			failed = true
			st.log.Debug("new records could not be read", "error", err)
			continue
		}
		failed = false
		backoff.Reset()
		if !begun.IsZero() {
			st.throttle(ctx, begun)
		}
	}
}

// note sorts what the hub says has changed.
func (st *Stream) note(ctx context.Context, topics []string) {
	var again []*conn
	st.tellChanged(topics)
	st.mu.Lock()
	for _, topic := range topics {
		if id, ok := strings.CutPrefix(topic, schema.TopicSession("")); ok {
			if f := st.feeds[id]; f != nil {
				st.dirty[f] = struct{}{}
			}
		}
		if topic == schema.TopicChannels {
			st.work.Go(func() {
				_ = retry.Pause(ctx, 2*registry.Tick) // what is known of them may be as old as one
				st.followChannels(ctx, st.allConns()...)
			})
		}
		for c := range st.topics[topic] {
			again = append(again, c)
		}
	}
	st.mu.Unlock()
	for _, c := range again {
		c.askAgain(ctx)
	}
}

// nudge makes the stream look at one feed's session.
func (st *Stream) nudge(f *sessionFeed) {
	st.mu.Lock()
	if st.feeds[f.id] == f {
		st.dirty[f] = struct{}{}
	}
	st.mu.Unlock()
	select {
	case st.kick <- struct{}{}:
	default:
	}
}

// read brings all dirty feeds up to date.
func (st *Stream) read(ctx context.Context) error {
	for ctx.Err() == nil {
		feeds := st.takeDirty()
		if len(feeds) == 0 {
			return nil
		}
		wants := make([]delta.Want, 0, len(feeds))
		open := feeds[:0]
		var fields *record.Selection
		for _, f := range feeds {
			f.mu.Lock()
			if f.opened { // otherwise it will see for itself
				wants = append(wants, delta.Want{ID: f.id, From: f.pos})
				open = append(open, f)
				if f.wanted != nil && fields == nil {
					fields = f.wanted
				} else if f.wanted != nil {
					fields = fields.Union(f.wanted)
				}
			}
			f.mu.Unlock()
		}
		if len(open) == 0 {
			continue
		}
		if fields == nil {
			fields = noFields
		}
		asked := time.Now()
		limited, cancel := context.WithTimeout(ctx, readTimeout)
		deltas, err := st.records.Read(limited, wants, fields, livePage)
		cancel()
		if err != nil {
			st.mu.Lock()
			for _, f := range open {
				st.dirty[f] = struct{}{}
			}
			st.mu.Unlock()
			return err
		}
		st.deltaReads.Add(1)
		now := time.Now()
		for i, f := range open {
			if f.apply(&deltas[i], now) {
				st.mu.Lock()
				st.dirty[f] = struct{}{}
				st.mu.Unlock()
			}
			if d := &deltas[i]; d.Len() > 0 && st.opt.OnDelta != nil {
				st.opt.OnDelta(d.Waited + time.Since(asked))
			}
		}
	}
	return ctx.Err()
}

// livePage is how many records one read for live readers brings: half of what
// fits into a connection's queue, at 1 kB each.
const livePage = 500

func (st *Stream) takeDirty() []*sessionFeed {
	st.mu.Lock()
	defer st.mu.Unlock()
	feeds := make([]*sessionFeed, 0, len(st.dirty))
	for f := range st.dirty {
		if st.feeds[f.id] == f {
			feeds = append(feeds, f)
		}
	}
	clear(st.dirty)
	return feeds
}

// turn waits for one of the few slots in which connections read from the
// database.
func (st *Stream) turn(ctx context.Context) (leave func(), err error) {
	select {
	case st.reading <- struct{}{}:
		return func() { <-st.reading }, nil
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

// flushDue sends what waits for a bounded rate and is due, and returns when the
// next is.
func (st *Stream) flushDue(now time.Time) (next time.Time) {
	st.mu.Lock()
	feeds := slices.Collect(maps.Values(st.feeds))
	st.mu.Unlock()
	for _, f := range feeds {
		if at := f.flushDue(now); !at.IsZero() && (next.IsZero() || at.Before(next)) {
			next = at
		}
	}
	return next
}

// tend keeps an eye on connections: signs of life, answers of the policy that
// run out, and whether the database is there.
func (st *Stream) tend(ctx context.Context) {
	health := st.hub.Subscribe()
	defer health.Close()
	told, _ := st.hub.Healthy()
	ticker := time.NewTicker(min(time.Second, st.opt.PingEvery/4))
	defer ticker.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-health.C():
			ok, since := st.hub.Healthy()
			if ok == told {
				continue
			}
			told = ok
			f := messageFrame(statusMessage(ok, since))
			for _, c := range st.allConns() {
				c.sendFrame(f)
			}
		case now := <-ticker.C:
			for _, c := range st.allConns() {
				c.beat(now)
				if c.outdated(now) {
					c.askAgain(ctx)
				}
			}
		}
	}
}

func statusMessage(ok bool, since time.Time) protocol.ServerMessage {
	m := protocol.ServerMessage{Type: "status", Database: "away", Since: since.UTC().Format(time.RFC3339Nano)}
	if ok {
		m.Database = "up"
	}
	return m
}

func (st *Stream) allConns() []*conn {
	st.mu.Lock()
	defer st.mu.Unlock()
	return slices.Collect(maps.Keys(st.conns))
}

// feed returns the feed of a session, with one more user. Give it back with release.
func (st *Stream) feed(id string) *sessionFeed {
	st.mu.Lock()
	defer st.mu.Unlock()
	f := st.feeds[id]
	if f == nil {
		f = newSessionFeed(st, id)
		st.feeds[id] = f
	}
	f.refs++
	return f
}

// release takes a subscription off its feed; the last one closes it.
func (st *Stream) release(s *subscription) {
	s.feed.leave(s)
	st.mu.Lock()
	defer st.mu.Unlock()
	s.feed.refs--
	if s.feed.refs == 0 {
		delete(st.feeds, s.feed.id)
		delete(st.dirty, s.feed)
		st.sub.Unwatch(s.feed.topics()...)
		st.unwatchChannels()
	}
}

// watch makes the hub watch a feed's session.
func (st *Stream) watch(ctx context.Context, f *sessionFeed) error {
	err := st.sub.Watch(ctx, append(f.topics(), schema.TopicChannels)...)
	st.mu.Lock()
	defer st.mu.Unlock()
	if st.feeds[f.id] == nil {
		st.sub.Unwatch(f.topics()...) // it was closed meanwhile
		st.unwatchChannels()
	}
	return err
}

// unwatchChannels lets the hub rest when nobody watches a session; st.mu is held.
func (st *Stream) unwatchChannels() {
	if len(st.feeds) == 0 {
		st.sub.Unwatch(schema.TopicChannels)
	}
}

var errFull = errors.New("too many connections")

// admit registers a connection. What it does is counted as work until ended.
func (st *Stream) admit(ctx context.Context, c *conn) error {
	seat := st.seats.Take(load.Caller(ctx), func() { c.close(closeOusted) })
	if seat == nil {
		return errFull
	}
	st.mu.Lock()
	defer st.mu.Unlock()
	if st.closed {
		seat.Leave()
		return errFull
	}
	c.seat = seat
	st.conns[c] = struct{}{}
	st.work.Add(1)
	return nil
}

// forget is the end of a connection.
func (st *Stream) forget(c *conn) {
	st.mu.Lock()
	delete(st.conns, c)
	c.seat.Leave()
	c.mu.Lock()
	topics := c.viewer.Topics
	c.viewer.Topics = nil
	c.mu.Unlock()
	st.dropTopics(c, topics)
	st.mu.Unlock()
	st.work.Done()
}
