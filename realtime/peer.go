package realtime

import (
	"context"
	"sync"
	"sync/atomic"
	"time"

	"github.com/ecovolt/telemetryd/timeseries"
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

// peer is one connection: its outbound queue and its subscriptions.
//
// Nobody but its flusher writes to the connection. The stream's pace flushes it
// while there is something to write, so an idle connection costs the goroutine
// that reads from it and nothing else.
type peer struct {
	stream *Stream
	out    transport
	ctx    context.Context // ends with the connection
	cancel context.CancelFunc

	lastSeen atomic.Int64 // unix milliseconds of the last sign of life
	pinged   atomic.Int64 // of the last ping

	mu       sync.Mutex
	queue    []queued
	head     int // queue[:head] was written
	bytes    int // in queue[head:]
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

func newPeer(st *Stream) *peer {
	ctx, cancel := context.WithCancel(context.Background())
	p := &peer{stream: st, ctx: ctx, cancel: cancel, subs: map[string]*subscription{}}
	p.lastSeen.Store(time.Now().UnixMilli())
	p.pinged.Store(time.Now().UnixMilli())
	return p
}

// send queues a message about the connection. Such messages are small; a
// client that lets even them pile up is gone.
func (p *peer) send(m ServerMessage) {
	p.sendFrame(messageFrame(m))
}

func (p *peer) sendFrame(f *frame) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.closed {
		return
	}
	if p.bytes+len(f.payload) > 2*p.stream.opt.QueueBytes {
		p.closeLocked(closeSlow)
		return
	}
	p.add(queued{f: f})
}

// attach gives the connection its transport; until then its queue waits.
func (p *peer) attach(out transport) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.out = out
	if p.closed || p.pinging || len(p.queue) > 0 {
		p.startFlush()
	}
}

// add appends to the queue and sees to it that it is written; p.mu is held.
func (p *peer) add(q queued) {
	p.queue = append(p.queue, q)
	p.bytes += len(q.f.payload)
	if q.sub != nil && q.f.moves {
		q.sub.pos = q.f.to
	}
	p.startFlush()
}

func (p *peer) startFlush() {
	if p.flushing || p.out == nil {
		return
	}
	p.flushing = true
	p.stream.work.Add(1) // cannot be at zero: the connection itself is counted
	p.stream.pace.add(p)
}

// push queues frames for a live subscription and reports whether it still is
// one. A client that reads too slowly loses what is queued for the
// subscription, which then has fallen behind.
func (p *peer) push(s *subscription, frames []*frame) (live bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.pushLocked(s, frames)
}

func (p *peer) pushLocked(s *subscription, frames []*frame) (live bool) {
	if p.closed || s.gone || !s.live {
		return false
	}
	for i, f := range frames {
		if p.bytes > 0 && p.bytes+len(f.payload) > p.stream.opt.QueueBytes {
			s.live, s.behind = false, true
			p.purge(s)
			for _, lost := range frames[i:] {
				s.droppedRecords += int64(lost.records)
				s.droppedMessages++
			}
			p.stream.overflows.Add(1)
			p.startCatchUps()
			return false
		}
		p.add(queued{f: f, sub: s})
	}
	return true
}

// purge takes back what is queued for the subscription: it then stands where
// the client does. p.mu is held.
func (p *peer) purge(s *subscription) {
	rest := p.queue[:p.head]
	for _, q := range p.queue[p.head:] {
		if q.sub != s {
			rest = append(rest, q)
			continue
		}
		p.bytes -= len(q.f.payload)
		s.droppedRecords += int64(q.f.records)
		s.droppedMessages++
	}
	clear(p.queue[len(rest):])
	p.queue = rest
	s.pos = s.sent
	p.room()
}

// restart makes a live subscription read from the database again.
func (p *peer) restart(s *subscription, reason string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.closed || s.gone || !s.live {
		return
	}
	s.live, s.behind, s.reason = false, true, reason
	p.startCatchUps()
}

// flush writes the queue until it is empty.
func (p *peer) flush() {
	defer p.stream.work.Done()
	for {
		p.mu.Lock()
		if p.closed {
			why := p.why
			p.queue, p.head, p.bytes = nil, 0, 0
			p.mu.Unlock()
			p.out.close(why)
			return
		}
		if p.pinging {
			p.pinging = false
			p.mu.Unlock()
			if err := p.out.ping(); err != nil {
				p.close(closeGone)
			}
			continue
		}
		if p.head == len(p.queue) {
			p.queue, p.head = p.queue[:0], 0
			if cap(p.queue) > 64 {
				p.queue = nil
			}
			p.flushing = false
			p.startCatchUps()
			p.mu.Unlock()
			return
		}
		q := p.queue[p.head]
		p.queue[p.head] = queued{}
		p.head++
		p.bytes -= len(q.f.payload)
		if q.sub != nil && q.f.moves {
			q.sub.sent = q.f.to
		}
		p.room()
		p.startCatchUps()
		p.mu.Unlock()
		if err := p.out.write(q.f); err != nil {
			p.close(closeGone)
			continue
		}
		p.stream.framesOut.Add(1)
	}
}

// room wakes who waits for the queue to shrink; p.mu is held.
func (p *peer) room() {
	if p.space != nil && p.bytes <= p.stream.opt.QueueBytes/2 {
		close(p.space)
		p.space = nil
	}
}

// startCatchUps lets subscriptions that fell behind read from the database, as
// soon as the client takes data again; p.mu is held.
func (p *peer) startCatchUps() {
	if p.closed || p.bytes > p.stream.opt.QueueBytes/2 {
		return
	}
	for _, s := range p.subs {
		if s.behind {
			s.behind = false
			s.start()
		}
	}
}

// offer queues frames for a subscription that reads from the database. It
// waits while the queue is half full.
func (p *peer) offer(ctx context.Context, s *subscription, frames []*frame) error {
	for _, f := range frames {
		p.mu.Lock()
		for !p.closed && !s.gone && p.bytes > p.stream.opt.QueueBytes/2 {
			if p.space == nil {
				p.space = make(chan struct{})
			}
			space := p.space
			p.mu.Unlock()
			select {
			case <-space:
			case <-ctx.Done():
				return ctx.Err()
			}
			p.mu.Lock()
		}
		if p.closed || s.gone {
			p.mu.Unlock()
			return context.Canceled
		}
		q := queued{f: f}
		if f.moves {
			q.sub = s // what moves nothing is never taken back
		}
		p.add(q)
		p.mu.Unlock()
	}
	return nil
}

// close ends the connection; the first reason counts.
func (p *peer) close(why closing) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.closeLocked(why)
}

func (p *peer) closeLocked(why closing) {
	if p.closed {
		return
	}
	p.closed, p.why = true, why
	p.cancel()
	p.room()
	p.startFlush()
}

// ended forgets the connection. Its reader calls it last.
func (p *peer) ended() {
	p.close(closeGone)
	p.mu.Lock()
	subs := make([]*subscription, 0, len(p.subs))
	for _, s := range p.subs {
		s.gone = true
		subs = append(subs, s)
	}
	clear(p.subs)
	p.mu.Unlock()
	for _, s := range subs {
		p.stream.release(s)
	}
	p.stream.forget(p)
}

// subscribe adds a subscription, or replaces the one of the same session.
func (p *peer) subscribe(r request, resume []timeseries.Position) {
	s := newSubscription(p, r)
	s.resume = resume
	p.mu.Lock()
	if p.closed {
		p.mu.Unlock()
		p.stream.release(s)
		return
	}
	old := p.subs[r.Session]
	if old == nil && len(p.subs) >= maxSubscriptions {
		p.mu.Unlock()
		p.stream.release(s)
		p.send(ServerMessage{Type: "error", ID: r.ID, Session: r.Session, Code: codeLimit,
			Message: "too many subscriptions on one connection"})
		return
	}
	if old != nil {
		p.drop(old)
		if r.since == nil && !r.given && old.placed {
			pos := old.sent // go on where it was
			s.since = &pos
		}
	}
	p.subs[r.Session] = s
	s.start()
	p.mu.Unlock()
	if old != nil {
		p.stream.release(old)
	}
}

// unsubscribe ends a subscription and gives where it stood.
func (p *peer) unsubscribe(session string) (pos timeseries.Position, ok bool) {
	p.mu.Lock()
	s := p.subs[session]
	if s == nil {
		p.mu.Unlock()
		return timeseries.Position{}, false
	}
	p.drop(s)
	delete(p.subs, session)
	pos = s.sent
	p.mu.Unlock()
	p.stream.release(s)
	return pos, true
}

// drop takes a subscription out of service; p.mu is held.
func (p *peer) drop(s *subscription) {
	s.gone, s.live, s.behind = true, false, false
	if s.cancel != nil {
		s.cancel()
	}
	p.purge(s)
}

// beat pings an idle connection and ends a dead one.
func (p *peer) beat(now time.Time) {
	every := p.stream.opt.PingEvery.Milliseconds()
	if now.UnixMilli()-p.lastSeen.Load() > 2*every+every/2 {
		p.close(closeTimeout)
		return
	}
	if now.UnixMilli()-p.pinged.Load() < every {
		return
	}
	p.pinged.Store(now.UnixMilli())
	p.mu.Lock()
	defer p.mu.Unlock()
	if !p.closed {
		p.pinging = true
		p.startFlush()
	}
}

func (p *peer) seen() { p.lastSeen.Store(time.Now().UnixMilli()) }
