package live

import (
	"context"
	"encoding/json"
	"strconv"
	"sync"
	"time"

	"github.com/ecovolt/telemetryd/realtime/live/protocol"
	schema "github.com/ecovolt/telemetryd/sql"
	"github.com/ecovolt/telemetryd/timeseries/delta"
	"github.com/ecovolt/telemetryd/timeseries/record"
)

func appendInt(dst []byte, n int) []byte { return strconv.AppendInt(dst, int64(n), 10) }

// sessionFeed is one watched session: where its live readers stand, and who they are.
// The package comment has the order of locks.
type sessionFeed struct {
	stream *Stream
	id     string
	topic  string
	quoted []byte // the id as a JSON string

	refs int // subscriptions that use it; guarded by Stream.mu

	opening sync.Mutex // held while the feed learns where its session stands

	mu     sync.Mutex
	opened bool
	name   string
	pos    delta.Position // what live readers have got
	// rewritten is as in delta.Delta.
	rewritten int32
	wanted    *record.Selection
	groups    map[groupKey]*group
	recent    []*delta.Delta // the newest ones, without a gap, for readers that join
	kept      int            // bytes of recent
	saved     map[snapshotKey]*savedSnapshot
}

// snapshotKey tells apart the snapshots that clients ask for.
type snapshotKey struct {
	groupKey
	recent delta.Recent
}

// savedSnapshot is one that was just sent. A client that comes a moment later
// gets the same one, and what came since from memory: a crowd costs the
// database no more than the first of them.
type savedSnapshot struct {
	at     delta.Position
	frames []*frame
}

// What a feed keeps of snapshots.
const (
	keepSnapshots      = 8
	keepSnapshotFrames = 8
	keepSnapshotBytes  = 256 << 10
)

// What a feed keeps of the newest past, so that a reader that was away for a
// moment costs no query.
const (
	keepDeltas = 64
	keepBytes  = 128 << 10
)

// groupKey tells apart the encodings of one session's records.
type groupKey struct {
	fields string
	rate   float64
}

// group is the live readers of one session that get the same messages.
type group struct {
	set     *record.Selection
	rate    float64
	members map[*subscription]struct{}

	// For a bounded rate: what waits for the next message.
	pending   []pendingRecord
	conflated int
	told      int64 // slice of the newest record that was sent
	due       time.Time
}

type pendingRecord struct {
	delta  *delta.Delta
	index  int
	bucket int64
}

func newSessionFeed(st *Stream, id string) *sessionFeed {
	quoted, _ := json.Marshal(id) // a string never fails
	return &sessionFeed{stream: st, id: id, topic: schema.TopicSession(id), quoted: quoted, groups: map[groupKey]*group{}}
}

// topics are those of the session: its records, and what people and the vehicle say
// of it.
func (f *sessionFeed) topics() []string {
	return []string{f.topic, schema.TopicBook(f.id), schema.TopicNotifications(f.id)}
}

// open makes the feed follow its session, if it does not yet.
func (f *sessionFeed) open(ctx context.Context) error {
	f.opening.Lock()
	defer f.opening.Unlock()
	f.mu.Lock()
	opened := f.opened
	f.mu.Unlock()
	if opened {
		return nil
	}
	if err := f.stream.watch(ctx, f); err != nil {
		return err
	}
	deltas, err := f.stream.records.Read(ctx, []delta.Want{{ID: f.id}}, noFields, 1)
	if err != nil {
		return err
	}
	f.mu.Lock()
	f.opened, f.pos, f.name, f.rewritten = true, deltas[0].Now, deltas[0].Name, deltas[0].Rewritten
	f.mu.Unlock()
	return nil
}

// noFields is for reads that only ask where a session stands.
var noFields = record.Select("timestamp")

// stand returns where live readers stand, and the session's name.
func (f *sessionFeed) stand() (delta.Position, string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.pos, f.name
}

// outdated reports whether records that a reader at that position has may have
// been taken away.
func (f *sessionFeed) outdated(pos delta.Position) bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	return pos.Session == f.pos.Session && pos.Batch > 0 && pos.Batch < f.rewritten
}

// want makes sure that the fields are read from now on.
func (f *sessionFeed) want(set *record.Selection) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.wanted == nil {
		f.wanted = set
		return
	}
	f.wanted = f.wanted.Union(set)
}

// join makes s a live reader if it stands where the live readers stand, or if
// what lies between is still in memory and little. When it is not little, it
// is given back, to be sent at the client's pace.
func (f *sessionFeed) join(s *subscription) (joined bool, first []*frame) {
	f.mu.Lock()
	defer f.mu.Unlock()
	pos := s.position()
	if pos.Session != f.pos.Session {
		return false, nil
	}
	var frames []*frame
	if pos != f.pos {
		w := f.writer(kindRecords, s.set)
		w.replay = true
		if !f.fromMemory(w, pos, s.rate) {
			return false, nil
		}
		w.cut(f.pos, false)
		frames = w.frames
		size := 0
		for _, fr := range frames {
			size += len(fr.payload)
		}
		if size > f.stream.opt.QueueBytes/4 {
			return false, frames
		}
	}
	key := s.group()
	g := f.groups[key]
	if g == nil {
		g = &group{set: s.set, rate: s.rate, members: map[*subscription]struct{}{}}
		f.groups[key] = g
	}
	f.flush(g) // what waits in it must not reach the new reader twice
	if !s.golive(frames, f.pos) {
		return true, nil // it went away, or fell behind again and is taken care of
	}
	g.members[s] = struct{}{}
	return true, nil
}

// fromMemory writes what came after pos, if all of it is at hand.
func (f *sessionFeed) fromMemory(w *recordsWriter, pos delta.Position, rate float64) bool {
	first := -1
	for k, d := range f.recent {
		if d.From.Compare(pos) <= 0 && pos.Compare(d.To) < 0 {
			first = k
			break
		}
	}
	if first < 0 {
		return false
	}
	for _, d := range f.recent[first:] {
		if !d.Has(w.set) {
			return false
		}
	}
	for k, d := range f.recent[first:] {
		from := 0
		if k == 0 {
			for from < d.Len() && d.After(from).Compare(pos) <= 0 {
				from++
			}
		}
		w.addAll(d, from, rate)
	}
	return true
}

// covers reports whether all that came after pos is at hand; f.mu is held.
func (f *sessionFeed) covers(pos delta.Position) bool {
	if pos == f.pos {
		return true
	}
	if pos.Session != f.pos.Session || len(f.recent) == 0 {
		return false
	}
	return f.recent[0].From.Compare(pos) <= 0 && pos.Compare(f.pos) <= 0
}

// atHand is covers for those who do not hold the lock.
func (f *sessionFeed) atHand(pos delta.Position) bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.opened && f.covers(pos)
}

// savedSnapshot returns a snapshot that was just sent, if one will do.
func (f *sessionFeed) savedSnapshot(key snapshotKey) *savedSnapshot {
	f.mu.Lock()
	defer f.mu.Unlock()
	s := f.saved[key]
	if s != nil && !f.covers(s.at) {
		delete(f.saved, key)
		return nil
	}
	return s
}

// saveSnapshot keeps a snapshot for those who come next.
func (f *sessionFeed) saveSnapshot(key snapshotKey, s *savedSnapshot) {
	size := 0
	for _, fr := range s.frames {
		size += len(fr.payload)
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	for k, old := range f.saved {
		if !f.covers(old.at) {
			delete(f.saved, k)
		}
	}
	if size > keepSnapshotBytes || len(f.saved) >= keepSnapshots || !f.covers(s.at) {
		return
	}
	if f.saved == nil {
		f.saved = map[snapshotKey]*savedSnapshot{}
	}
	f.saved[key] = s
}

// leave forgets a live reader.
func (f *sessionFeed) leave(s *subscription) {
	f.mu.Lock()
	defer f.mu.Unlock()
	key := s.group()
	if g := f.groups[key]; g != nil {
		delete(g.members, s)
		if len(g.members) == 0 {
			delete(f.groups, key)
		}
	}
}

func (f *sessionFeed) writer(kind string, set *record.Selection) *recordsWriter {
	return &recordsWriter{kind: kind, id: f.id, session: f.quoted, set: set}
}

// apply tells the live readers what a read has found, and reports whether
// there is more to read.
func (f *sessionFeed) apply(d *delta.Delta, now time.Time) (more bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if d.From != f.pos {
		return true // it was opened meanwhile
	}
	if d.Now.Session != 0 {
		f.name, f.rewritten = d.Name, d.Rewritten
	}
	switch {
	case d.Now.Session == f.pos.Session && (d.Now.Batch < f.pos.Batch || f.pos.Batch < d.Rewritten):
		// The database was put back to an earlier state, or records were taken
		// away: what readers have may not be there any more.
		f.reset(d.Now)
		f.restart(reasonRewound)
		return false
	case d.Now.Session == f.pos.Session:
		if d.To == d.From {
			return d.To.Batch < d.Now.Batch
		}
		for _, g := range f.groups {
			if !d.Has(g.set) {
				return true // it joined while this was read, and wants more
			}
		}
		f.pos = d.To
		f.keep(d)
		f.stream.recordsOut.Add(int64(d.Len()))
		for key, g := range f.groups {
			f.tell(g, d, now)
			if len(g.members) == 0 {
				delete(f.groups, key)
			}
		}
		return d.To.Batch < d.Now.Batch
	case d.Now.Session == 0:
		last := f.pos
		f.reset(delta.Position{})
		f.announce(protocol.ServerMessage{Type: "deleted", Session: f.id, Cursor: protocol.FormatCursor(last)}, delta.Position{})
		return false
	}
	// A session begins, perhaps under an id that another one had: its records
	// follow from the first.
	began := delta.Position{Session: d.Now.Session}
	if f.pos.Session != 0 {
		f.announce(protocol.ServerMessage{Type: "resync", Session: f.id, Name: f.name, Reason: reasonRecreated, Cursor: protocol.FormatCursor(began)}, began)
	} else {
		f.announce(protocol.ServerMessage{Type: "begun", Session: f.id, Name: f.name, Cursor: protocol.FormatCursor(began)}, began)
	}
	f.reset(began)
	return true
}

// reset forgets what was read before.
func (f *sessionFeed) reset(pos delta.Position) {
	f.pos, f.recent, f.kept, f.saved = pos, nil, 0, nil
	for _, g := range f.groups {
		g.pending, g.conflated = nil, 0
	}
}

// keep adds to what readers may join from.
func (f *sessionFeed) keep(d *delta.Delta) {
	f.recent = append(f.recent, d)
	f.kept += d.Size()
	// The newest one stays whatever its size: it may end inside a batch, where
	// no reader can come from the database.
	for len(f.recent) > 1 && (len(f.recent) > keepDeltas || f.kept > keepBytes) {
		f.kept -= f.recent[0].Size()
		f.recent[0] = nil
		f.recent = f.recent[1:]
	}
}

// tell sends a delta to one group.
func (f *sessionFeed) tell(g *group, d *delta.Delta, now time.Time) {
	if g.rate == 0 {
		w := f.writer(kindRecords, g.set)
		w.addAll(d, 0, 0)
		w.cut(d.To, false)
		f.send(g, w.frames)
		return
	}
	for i := range d.Len() {
		p := pendingRecord{d, i, bucket(d, i, g.rate)}
		if last := len(g.pending) - 1; last >= 0 && g.pending[last].bucket == p.bucket {
			g.pending[last] = p
			g.conflated++
			continue
		}
		g.pending = append(g.pending, p)
	}
	if !now.Before(g.due) {
		f.flush(g)
		g.due = now.Add(time.Duration(float64(time.Second) / g.rate))
	}
}

// flush sends what waits in a group.
func (f *sessionFeed) flush(g *group) {
	if len(g.pending) == 0 {
		return
	}
	if len(g.pending) > 1 && g.pending[0].bucket == g.told {
		// Of this slice a record was sent already, and newer slices follow.
		g.pending = g.pending[1:]
		g.conflated++
	}
	w := f.writer(kindRecords, g.set)
	w.conflated = g.conflated
	g.told = g.pending[len(g.pending)-1].bucket
	for _, p := range g.pending {
		// What was left out before p was superseded by it or by what went
		// before it, so that a cursor after p is a right one.
		w.add(p.delta, p.index)
	}
	w.cut(f.pos, false)
	g.pending, g.conflated = nil, 0
	f.send(g, w.frames)
}

// flushDue sends what is due in groups of bounded rate, and returns when to come
// again; zero when nothing waits.
func (f *sessionFeed) flushDue(now time.Time) (next time.Time) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, g := range f.groups {
		if len(g.pending) == 0 {
			continue
		}
		if !now.Before(g.due) {
			f.flush(g)
			g.due = now.Add(time.Duration(float64(time.Second) / g.rate))
		} else if next.IsZero() || g.due.Before(next) {
			next = g.due
		}
	}
	return next
}

// send queues frames for all members of a group.
func (f *sessionFeed) send(g *group, frames []*frame) {
	if len(frames) == 0 {
		return
	}
	for s := range g.members {
		if !s.conn.push(s, frames) {
			delete(g.members, s)
		}
	}
}

// announce sends one message to every live reader.
func (f *sessionFeed) announce(m protocol.ServerMessage, to delta.Position) {
	fr := messageFrame(m)
	fr.moves, fr.to = true, to
	for _, g := range f.groups {
		f.send(g, []*frame{fr})
	}
}

// restart sends every live reader back to read from the database, after it was
// told why.
func (f *sessionFeed) restart(reason string) {
	for key, g := range f.groups {
		for s := range g.members {
			s.conn.restart(s, reason)
		}
		delete(f.groups, key)
	}
}
