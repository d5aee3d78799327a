package live

import (
	"context"
	"maps"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/ecovolt/telemetryd/internal/httpx/ws"
	"github.com/ecovolt/telemetryd/internal/load"
	"github.com/ecovolt/telemetryd/realtime/live/protocol"
	"github.com/ecovolt/telemetryd/timeseries/delta"
)

// transport carries messages to one client. Its methods are called by one
// goroutine at a time.
type transport interface {
	// write sends one frame. Every position is where the client stands, by
	// session, once it has the frame.
	write(f *frame) error
	// ping asks the client, or the link, for a sign of life.
	ping() error
	// close tells the client why, if it can, and ends the connection.
	close(why closing)
}

// conn is one connection: its outbound queue and its subscriptions.
//
// Nobody but a worker of the writers.Pool, one at a time, writes to the client,
// and only while there is something to write: an idle connection costs the
// goroutine that reads from it and nothing else.
type conn struct {
	stream *Stream
	seat   *load.Seat
	out    transport
	ctx    context.Context // ends with the connection
	cancel context.CancelFunc

	lastSeen atomic.Int64 // unix milliseconds of the last sign of life
	pinged   atomic.Int64 // of the last ping

	mu       sync.Mutex
	queue    ws.Queue[queued]
	flushing bool
	pinging  bool
	closed   bool
	why      closing
	space    chan struct{} // closed when there is room again; nil when nobody waits
	subs     map[string]*subscription
	viewer   Viewer
	token    string
	asking   bool // the policy is being asked again
	askTwice bool // and has to be once more
}

// queued is a frame on its way to a client, for one of its subscriptions or
// for the connection as a whole.
type queued struct {
	f   *frame
	sub *subscription
}

func newConn(st *Stream) *conn {
	ctx, cancel := context.WithCancel(context.Background())
	c := &conn{stream: st, ctx: ctx, cancel: cancel, subs: map[string]*subscription{}}
	c.lastSeen.Store(time.Now().UnixMilli())
	c.pinged.Store(time.Now().UnixMilli())
	return c
}

// send queues a message about the connection. Such messages are small; a
// client that lets even them pile up is gone.
func (c *conn) send(m protocol.ServerMessage) {
	c.sendFrame(messageFrame(m))
}

func (c *conn) sendFrame(f *frame) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.closed {
		return
	}
	if c.queue.Bytes()+len(f.payload) > 2*c.stream.opt.QueueBytes {
		c.stream.slow.Add(1)
		c.closeLocked(closeSlow)
		return
	}
	c.add(queued{f: f})
}

// attach gives the connection its transport; until then its queue waits.
func (c *conn) attach(out transport) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.out = out
	if c.closed || c.pinging || c.queue.Len() > 0 {
		c.startFlush()
	}
}

// add appends to the queue and sees to it that it is written; c.mu is held.
func (c *conn) add(q queued) {
	c.queue.Push(q, len(q.f.payload))
	if q.sub != nil && q.f.moves {
		q.sub.pos = q.f.to
	}
	c.startFlush()
}

func (c *conn) startFlush() {
	if c.flushing || c.out == nil {
		return
	}
	c.flushing = true
	c.stream.work.Add(1) // cannot be at zero: the connection itself is counted
	c.stream.writers.Add(c)
}

// push queues frames for a live subscription and reports whether it still is
// one. A client that reads too slowly loses what is queued for the
// subscription, which then has fallen behind.
func (c *conn) push(s *subscription, frames []*frame) (live bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.pushLocked(s, frames)
}

func (c *conn) pushLocked(s *subscription, frames []*frame) (live bool) {
	if c.closed || s.gone || !s.live {
		return false
	}
	for i, f := range frames {
		if !c.queue.Fits(len(f.payload), c.stream.opt.QueueBytes) {
			s.live, s.behind = false, true
			c.purge(s)
			for _, lost := range frames[i:] {
				s.droppedRecords += int64(lost.records)
				s.droppedMessages++
			}
			c.stream.overflows.Add(1)
			c.startCatchUps()
			return false
		}
		c.add(queued{f: f, sub: s})
	}
	return true
}

// purge takes back what is queued for the subscription: it then stands where
// the client does. c.mu is held.
func (c *conn) purge(s *subscription) {
	c.queue.Remove(func(q queued) bool {
		if q.sub != s {
			return false
		}
		s.droppedRecords += int64(q.f.records)
		s.droppedMessages++
		return true
	})
	s.pos = s.sent
	c.room()
}

// restart makes a live subscription read from the database again.
func (c *conn) restart(s *subscription, reason string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.closed || s.gone || !s.live {
		return
	}
	s.live, s.behind, s.reason = false, true, reason
	c.startCatchUps()
}

// Flush writes the queue until it is empty.
func (c *conn) Flush() {
	defer c.stream.work.Done()
	for {
		c.mu.Lock()
		if c.closed {
			why := c.why
			c.queue = ws.Queue[queued]{}
			c.mu.Unlock()
			c.out.close(why)
			return
		}
		if c.pinging {
			c.pinging = false
			c.mu.Unlock()
			if err := c.out.ping(); err != nil {
				c.close(closeGone)
			}
			continue
		}
		q, ok := c.queue.Pop()
		if !ok {
			c.flushing = false
			c.startCatchUps()
			c.mu.Unlock()
			return
		}
		if q.sub != nil && q.f.moves {
			q.sub.sent = q.f.to
		}
		c.room()
		c.startCatchUps()
		c.mu.Unlock()
		if err := c.out.write(q.f); err != nil {
			c.close(closeGone)
			continue
		}
		c.stream.framesOut.Add(1)
	}
}

// room wakes who waits for the queue to shrink; c.mu is held.
func (c *conn) room() {
	if c.space != nil && c.queue.Bytes() <= c.stream.opt.QueueBytes/2 {
		close(c.space)
		c.space = nil
	}
}

// startCatchUps lets subscriptions that fell behind read from the database, as
// soon as the client takes data again; c.mu is held.
func (c *conn) startCatchUps() {
	if c.closed || c.queue.Bytes() > c.stream.opt.QueueBytes/2 {
		return
	}
	for _, s := range c.subs {
		if s.behind {
			s.behind = false
			s.start()
		}
	}
}

// offer queues frames for a subscription that reads from the database. It
// waits while the queue is half full.
func (c *conn) offer(ctx context.Context, s *subscription, frames []*frame) error {
	for _, f := range frames {
		c.mu.Lock()
		for !c.closed && !s.gone && c.queue.Bytes() > c.stream.opt.QueueBytes/2 {
			if c.space == nil {
				c.space = make(chan struct{})
			}
			space := c.space
			c.mu.Unlock()
			select {
			case <-space:
			case <-ctx.Done():
				return ctx.Err()
			}
			c.mu.Lock()
		}
		if c.closed || s.gone {
			c.mu.Unlock()
			return context.Canceled
		}
		q := queued{f: f}
		if f.moves {
			q.sub = s // what moves nothing is never taken back
		}
		c.add(q)
		c.mu.Unlock()
	}
	return nil
}

// close ends the connection; the first reason counts.
func (c *conn) close(why closing) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.closeLocked(why)
}

func (c *conn) closeLocked(why closing) {
	if c.closed {
		return
	}
	c.closed, c.why = true, why
	c.cancel()
	c.room()
	c.startFlush()
}

// ended forgets the connection. Its reader calls it last.
func (c *conn) ended() {
	c.close(closeGone)
	c.mu.Lock()
	subs := slices.Collect(maps.Values(c.subs))
	for _, s := range subs {
		s.gone = true
	}
	clear(c.subs)
	c.mu.Unlock()
	for _, s := range subs {
		c.stream.release(s)
	}
	c.stream.forget(c)
}

// subscribe adds a subscription, or replaces the one of the same session.
func (c *conn) subscribe(r protocol.Request, resume []delta.Position) {
	s := newSubscription(c, r)
	s.resume = resume
	c.mu.Lock()
	if c.closed {
		c.mu.Unlock()
		c.stream.release(s)
		return
	}
	old := c.subs[r.Session]
	if old == nil && len(c.subs) >= protocol.MaxSubscriptions {
		c.mu.Unlock()
		c.stream.release(s)
		c.send(protocol.ServerMessage{Type: "error", ID: r.ID, Session: r.Session, Code: protocol.CodeLimit,
			Message: "too many subscriptions on one connection"})
		return
	}
	if old != nil {
		c.drop(old)
		if r.After == nil && r.Snapshot == nil && old.placed {
			pos := old.sent // go on where it was
			s.since = &pos
		}
	}
	c.subs[r.Session] = s
	s.start()
	c.mu.Unlock()
	if old != nil {
		c.stream.release(old)
	}
}

// unsubscribe ends a subscription and returns where it stood.
func (c *conn) unsubscribe(session string) (pos delta.Position, ok bool) {
	c.mu.Lock()
	s := c.subs[session]
	if s == nil {
		c.mu.Unlock()
		return delta.Position{}, false
	}
	c.drop(s)
	delete(c.subs, session)
	pos = s.sent
	c.mu.Unlock()
	c.stream.release(s)
	return pos, true
}

// drop takes a subscription out of service; c.mu is held.
func (c *conn) drop(s *subscription) {
	s.gone, s.live, s.behind = true, false, false
	if s.cancel != nil {
		s.cancel()
	}
	c.purge(s)
}

// beat pings an idle connection and ends a dead one.
func (c *conn) beat(now time.Time) {
	every := c.stream.opt.PingEvery.Milliseconds()
	if now.UnixMilli()-c.lastSeen.Load() > 2*every+every/2 {
		c.close(closeTimeout)
		return
	}
	if now.UnixMilli()-c.pinged.Load() < every {
		return
	}
	c.pinged.Store(now.UnixMilli())
	c.mu.Lock()
	defer c.mu.Unlock()
	if !c.closed {
		c.pinging = true
		c.startFlush()
	}
}

func (c *conn) seen() { c.lastSeen.Store(time.Now().UnixMilli()) }
