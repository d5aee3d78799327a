package live

import (
	"context"
	"fmt"
	"time"

	"github.com/ecovolt/telemetryd/internal/fault"
	"github.com/ecovolt/telemetryd/internal/load"
	"github.com/ecovolt/telemetryd/internal/retry"
	"github.com/ecovolt/telemetryd/realtime/live/protocol"
	"github.com/ecovolt/telemetryd/timeseries/delta"
	"github.com/ecovolt/telemetryd/timeseries/record"
)

// Reasons why what a client has does not continue.
const (
	reasonRecreated = "recreated" // another session has the id now
	reasonRewound   = "rewound"   // the database was put back to an earlier state, or records were taken away
	reasonTooFar    = "too_far"   // more was missed than is sent again
)

// subscription is one connection's interest in one session. It is live, that
// is a member of a group of its feed, or a goroutine of its own reads from the
// database until it has caught up with the feed, or it waits for a slow client
// to take data again.
type subscription struct {
	conn    *conn
	feed    *sessionFeed
	session string
	id      string   // the client's name for the request, until it was answered
	fields  []string // as the client names them
	set     *record.Selection
	unknown []string // of the fields
	rate    float64
	mode    string
	since   *delta.Position
	resume  []delta.Position // one of them may be this session's
	recent  delta.Recent

	// Guarded by conn.mu.
	key    string         // of set
	pos    delta.Position // after all that is queued
	sent   delta.Position // after all that was written
	placed bool           // pos and sent mean something
	live   bool
	behind bool   // to catch up as soon as the client takes data
	reason string // why it has to start over; empty: it goes on
	gone   bool
	until  time.Time // when the policy is asked again; zero never
	cancel context.CancelFunc

	droppedRecords  int64
	droppedMessages int

	// Of the goroutine that places it and catches up.
	unsent *unsent
}

// unsent is what is left to send of a snapshot.
type unsent struct {
	from, to  delta.Position
	notBefore time.Time
	located   bool
}

func newSubscription(p *conn, r protocol.Request) *subscription {
	s := &subscription{
		conn: p, session: r.Session, id: r.ID, fields: r.Fields, rate: r.MaxRate, mode: r.Mode, since: r.After, recent: r.Recent,
	}
	if r.Snapshot == nil {
		s.recent = delta.Recent{Records: 1} // no screen starts blank
	}
	s.feed = p.stream.feed(r.Session)
	return s
}

// start lets a goroutine place the subscription, or catch up. conn.mu is held.
func (s *subscription) start() {
	ctx, cancel := context.WithCancel(s.conn.ctx)
	s.cancel = cancel
	s.conn.stream.work.Add(1)
	go func() {
		defer s.conn.stream.work.Done()
		defer cancel()
		s.run(ctx)
	}()
}

// run brings the subscription to where the feed is. While the database is
// away it keeps trying: the client was told, and nothing is lost by waiting.
func (s *subscription) run(ctx context.Context) {
	ctx = load.WithCaller(ctx, "screens") // all of them are one, beside those who store
	backoff := retry.Backoff(100*time.Millisecond, 2*time.Second)
	for {
		err := s.attempt(ctx)
		if ctx.Err() != nil {
			return
		}
		if err == nil {
			s.conn.stream.followChannels(ctx, s.conn) // they may have changed on the way
			return
		}
		if refused := fault.Refusal(err); refused != nil {
			s.refuse(refused)
			return
		}
		s.conn.stream.log.Debug("a live subscription waits", "error", err)
		if retry.Pause(ctx, backoff.NextBackOff()) != nil {
			return
		}
	}
}

func (s *subscription) refuse(err *fault.Error) {
	s.conn.mu.Lock()
	answer := protocol.ServerMessage{Type: "error", ID: s.id, Session: s.session, Code: err.LiveCode(), Message: err.Error()}
	if s.conn.subs[s.session] == s {
		delete(s.conn.subs, s.session)
	}
	s.conn.drop(s)
	s.conn.mu.Unlock()
	s.conn.stream.release(s)
	s.conn.send(answer)
}

func (s *subscription) position() delta.Position {
	s.conn.mu.Lock()
	defer s.conn.mu.Unlock()
	return s.pos
}

// attempt does what is left to do; it may be called again after an error.
func (s *subscription) attempt(ctx context.Context) error {
	s.conn.mu.Lock()
	viewer, placed := s.conn.viewer, s.placed
	s.conn.mu.Unlock()
	until, err := s.conn.stream.opt.Policy.MayWatch(ctx, viewer, s.session)
	if err != nil {
		return err
	}
	s.conn.mu.Lock()
	s.until = until
	s.conn.mu.Unlock()
	if err := s.feed.open(ctx); err != nil {
		return fmt.Errorf("follow a session: %w", err)
	}
	if err := s.choose(ctx); err != nil {
		return err
	}
	s.feed.want(s.set)
	if !placed {
		if err := s.place(ctx); err != nil {
			return err
		}
	} else if err := s.explain(ctx); err != nil {
		return err
	}
	if err := s.snapshot(ctx); err != nil {
		return err
	}
	return s.catchUp(ctx)
}

// place decides where the subscription begins, and answers the client.
func (s *subscription) place(ctx context.Context) error {
	now, name := s.feed.stand()
	if s.since == nil {
		s.since = resumeFrom(s.resume, now.Session)
	}
	if s.since != nil && (now.Session != s.since.Session || now.Compare(*s.since) < 0) {
		// The client may have its cursor from an instance that is ahead.
		at, err := s.ask(ctx)
		if err != nil {
			return err
		}
		now = at
	}
	start, resumed, reason := now, false, ""
	if s.since != nil && now.Session != 0 {
		since := *s.since
		if since.Session == 0 { // it waited for the session to begin
			since.Session = now.Session
		}
		switch {
		case since.Session != now.Session:
			reason = reasonRecreated
		case now.Compare(since) < 0, s.feed.outdated(since):
			reason = reasonRewound
		case s.feed.atHand(since):
			resumed, start = true, since
		default:
			missed, err := s.conn.stream.records.CountBetween(ctx, since, now)
			if err != nil {
				return err
			}
			if missed > int64(s.conn.stream.opt.ReplayRecords) {
				reason = reasonTooFar
				break
			}
			resumed, start = true, since
		}
	}
	exists := now.Session != 0
	s.moveTo(start)
	answer := messageFrame(protocol.ServerMessage{
		Type: "subscribed", ID: s.id, Session: s.session, Name: name, Cursor: protocol.FormatCursor(start), Exists: &exists, Resumed: &resumed,
		Fields: s.set.Names(), UnknownFields: s.unknown, MaxRate: s.rate, Mode: s.mode,
	})
	answer.marks, answer.to = resumed, start
	if err := s.conn.offer(ctx, s, []*frame{answer}); err != nil {
		return err
	}
	s.conn.mu.Lock()
	s.placed = true
	s.conn.mu.Unlock()
	switch {
	case reason != "":
		return s.startOver(ctx, reason, now)
	case exists && !resumed:
		s.unsent = &unsent{to: now}
	}
	return nil
}

// moveTo sets where the subscription stands, while nothing of it is queued.
func (s *subscription) moveTo(pos delta.Position) {
	s.conn.mu.Lock()
	defer s.conn.mu.Unlock()
	s.pos, s.sent = pos, pos
}

// say queues a message that brings no records.
func (s *subscription) say(ctx context.Context, m protocol.ServerMessage) error {
	return s.conn.offer(ctx, s, []*frame{messageFrame(m)})
}

// ask returns where the session stands in the database.
func (s *subscription) ask(ctx context.Context) (delta.Position, error) {
	deltas, err := s.conn.stream.records.Read(ctx, []delta.Want{{ID: s.session}}, noFields, 1)
	if err != nil {
		return delta.Position{}, err
	}
	return deltas[0].Now, nil
}

// startOver tells the client that what it has does not continue; a snapshot
// as of now follows.
func (s *subscription) startOver(ctx context.Context, reason string, now delta.Position) error {
	_, name := s.feed.stand()
	s.conn.mu.Lock()
	s.pos, s.reason = now, ""
	s.droppedMessages, s.droppedRecords = 0, 0
	s.conn.mu.Unlock()
	s.unsent = &unsent{to: now}
	return s.say(ctx, protocol.ServerMessage{Type: "resync", Session: s.session, Name: name, Reason: reason, Cursor: protocol.FormatCursor(now)})
}

// snapshot sends the recent past, in order of arrival, if that is to be done.
func (s *subscription) snapshot(ctx context.Context) error {
	u := s.unsent
	if u == nil {
		return nil
	}
	key := snapshotKey{s.group(), s.recent}
	var sent []*frame // all of it, to be kept
	if !u.located {
		if done, err := s.locate(ctx, u, key); done || err != nil {
			return err
		}
		sent = []*frame{}
	}
	w := s.feed.writer(kindSnapshot, s.set)
	for u.from != u.to {
		d, err := s.read(ctx, delta.Want{ID: s.session, From: u.from, Upto: u.to.Batch, NotBefore: u.notBefore})
		if err != nil {
			return err
		}
		if d.To == u.from {
			break // the session went; the feed will tell
		}
		w.addAll(d, 0, s.rate)
		if d.To != u.to {
			w.cut(d.To, false)
		}
		if err := s.conn.offer(ctx, s, w.frames); err != nil {
			return err
		}
		if sent != nil && len(sent) < keepSnapshotFrames {
			sent = append(sent, w.frames...)
		} else {
			sent = nil // too much to keep, or not from its beginning
		}
		u.from, w.frames = d.To, nil
	}
	w.cut(u.to, true)
	s.unsent = nil
	if sent != nil {
		s.feed.saveSnapshot(key, &savedSnapshot{at: u.to, frames: append(sent, w.frames...)})
	}
	return s.conn.offer(ctx, s, w.frames)
}

// locate finds where the snapshot begins, or sends one that somebody else just
// got. Those who wait for their turn look for that first.
func (s *subscription) locate(ctx context.Context, u *unsent, key snapshotKey) (done bool, err error) {
	leave, err := s.conn.stream.turn(ctx)
	if err != nil {
		return false, err
	}
	defer leave()
	if saved := s.feed.savedSnapshot(key); saved != nil && saved.at.Session == u.to.Session {
		s.unsent = nil
		s.moveTo(saved.at)
		return true, s.conn.offer(ctx, s, saved.frames)
	}
	u.from, u.notBefore, err = s.conn.stream.records.RecentStart(ctx, u.to, s.recent)
	u.located = err == nil
	return false, err
}

// explain tells a client that read too slowly, or whose session changed under
// it, what became of its subscription.
func (s *subscription) explain(ctx context.Context) error {
	s.conn.mu.Lock()
	reason, from := s.reason, s.pos
	messages, records := s.droppedMessages, s.droppedRecords
	s.conn.mu.Unlock()
	now, _ := s.feed.stand()
	if reason != "" {
		return s.startOver(ctx, reason, now)
	}
	if messages == 0 {
		return nil // nothing was lost, or an earlier attempt told it
	}
	if now.Session != from.Session {
		s.clearDropped()
		return nil // catchUp sees it
	}
	replay := s.mode == protocol.ModeEvery
	missed, err := s.conn.stream.records.CountBetween(ctx, from, now)
	if err != nil {
		return err
	}
	if replay && missed > int64(s.conn.stream.opt.ReplayRecords) {
		return s.startOver(ctx, reasonTooFar, now)
	}
	to := from
	if !replay {
		to, records = now, max(records, missed)
	}
	s.clearDropped()
	m := messageFrame(protocol.ServerMessage{
		Type: "dropped", Session: s.session, Messages: messages, Dropped: records, Replay: &replay, Cursor: protocol.FormatCursor(to),
	})
	m.moves, m.to = true, to
	return s.conn.offer(ctx, s, []*frame{m})
}

func (s *subscription) clearDropped() {
	s.conn.mu.Lock()
	defer s.conn.mu.Unlock()
	s.droppedMessages, s.droppedRecords = 0, 0
}

// catchUp reads from the database what lies between the subscription and the
// feed, and makes it live.
func (s *subscription) catchUp(ctx context.Context) error {
	for ctx.Err() == nil {
		joined, first := s.feed.join(s)
		if joined {
			return nil
		}
		if len(first) > 0 {
			if err := s.conn.offer(ctx, s, first); err != nil {
				return err
			}
			continue
		}
		pos := s.position()
		target, _ := s.feed.stand()
		if target.Session != pos.Session {
			at, err := s.ask(ctx)
			switch {
			case err != nil:
				return err
			case at.Session == pos.Session:
				s.waitForFeed(ctx)
			default:
				if err := s.newSession(ctx, pos, target); err != nil {
					return err
				}
			}
			continue
		}
		if pos.Batch >= target.Batch {
			// The feed is inside a batch, or behind what the client has.
			s.waitForFeed(ctx)
			continue
		}
		d, err := s.read(ctx, delta.Want{ID: s.session, From: pos, Upto: target.Batch})
		if err != nil {
			return err
		}
		if d.Now.Session != pos.Session {
			s.waitForFeed(ctx) // it is about to learn that the session changed
			continue
		}
		if pos.Batch > 0 && pos.Batch < d.Rewritten {
			if err := s.startOver(ctx, reasonRewound, d.Now); err != nil {
				return err
			}
			if err := s.snapshot(ctx); err != nil {
				return err
			}
			continue
		}
		w := s.feed.writer(kindRecords, s.set)
		w.replay = true
		w.addAll(d, 0, s.rate)
		w.cut(d.To, false)
		if err := s.conn.offer(ctx, s, w.frames); err != nil {
			return err
		}
		if len(w.frames) == 0 {
			s.conn.mu.Lock()
			s.pos = d.To
			s.conn.mu.Unlock()
		}
	}
	return ctx.Err()
}

// waitForFeed lets the feed look at the database.
func (s *subscription) waitForFeed(ctx context.Context) {
	s.feed.stream.nudge(s.feed)
	timer := time.NewTimer(5 * time.Millisecond)
	defer timer.Stop()
	select {
	case <-ctx.Done():
	case <-timer.C:
	}
}

// newSession tells the client that its id means another session now, or none.
func (s *subscription) newSession(ctx context.Context, pos, target delta.Position) error {
	name := ""
	if _, n := s.feed.stand(); target.Session != 0 {
		name = n
	}
	began := delta.Position{Session: target.Session}
	m := protocol.ServerMessage{Session: s.session, Name: name, Cursor: protocol.FormatCursor(began)}
	switch {
	case target.Session == 0:
		m.Type, m.Cursor = "deleted", protocol.FormatCursor(pos)
	case pos.Session == 0:
		m.Type = "begun"
	default:
		m.Type, m.Reason = "resync", reasonRecreated
	}
	f := messageFrame(m)
	f.moves, f.to = true, began
	return s.conn.offer(ctx, s, []*frame{f})
}

// read reads a page, a few connections at a time.
func (s *subscription) read(ctx context.Context, want delta.Want) (*delta.Delta, error) {
	st := s.conn.stream
	leave, err := st.turn(ctx)
	if err != nil {
		return nil, err
	}
	defer leave()
	deltas, err := st.records.Read(ctx, []delta.Want{want}, s.set, pageRecords)
	if err != nil {
		return nil, err
	}
	st.replayReads.Add(1)
	return &deltas[0], nil
}

// golive makes the subscription a member of its feed's live readers; sessionFeed.mu
// is held. It reports whether it is one.
func (s *subscription) golive(frames []*frame, at delta.Position) bool {
	p := s.conn
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.closed || s.gone {
		return false
	}
	s.live = true
	live := p.pushLocked(s, frames)
	if live {
		s.pos = at
	}
	return live
}

// pageRecords is how many records one read from the database brings.
const pageRecords = 500
