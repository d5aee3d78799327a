package sync

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"math"
	"strconv"
	"sync"
	"time"

	"github.com/ecovolt/telemetryd/api/convex/registry"
	"github.com/ecovolt/telemetryd/api/convex/value"
	"github.com/ecovolt/telemetryd/auth"
	"github.com/ecovolt/telemetryd/internal/fault"
)

// version is the state of a connection that transitions lead from and to.
type version struct {
	querySet, identity int64
	ts                 int64
}

func (v version) append(dst []byte) []byte {
	dst = strconv.AppendInt(append(dst, `{"querySet":`...), v.querySet, 10)
	dst = strconv.AppendInt(append(dst, `,"identity":`...), v.identity, 10)
	return append(appendTs(append(dst, `,"ts":"`...), v.ts), `"}`...)
}

// identity is who a connection speaks for, apart from tokens in arguments.
type identity struct {
	auth.Credentials
	digest string // of the credentials; empty for nobody
}

func newIdentity(c auth.Credentials) identity {
	if c == (auth.Credentials{}) {
		return identity{}
	}
	sum := sha256.Sum256([]byte(c.Key + "\x00" + c.Token))
	return identity{c, hex.EncodeToString(sum[:])}
}

// query is one subscription of a connection.
type query struct {
	in      *registry.Invocation // nil when it cannot run
	live    *live                // nil when fixed is all there is to say
	fixed   *result              // the answer to a query that cannot run, or not now
	waiting bool                 // it was turned away, and is to be tried again
	journal string               // that the client was last told
	need    int64                // its result must come from a run that began then or later
	sent    mark                 // of what the client was last told; zero for nothing
}

func (q *query) latest() *result {
	if q.live == nil {
		return q.fixed
	}
	return q.live.latest.Load()
}

// session is the state machine of one connection. It decides what to send and
// when, and does no input or output itself.
type session struct {
	server *Server
	out    *outbox
	chunks bool
	base   string // URL under which the client reached us
	caller string // as whom it waits where it shows no credential; see load.WithCaller

	mu       sync.Mutex
	id       string  // the client's; empty before Connect
	received version // what the client has sent
	current  version // the end of the newest transition
	identity identity
	skew     *float64 // how far ahead the client's clock is, in ms; nil: it did not say
	queries  map[int64]*query
	watched  int     // of queries: those with a live
	waiting  bool    // retry is due
	removed  []int64 // to be reported
	fresh    int64   // queries that are added need a result from then or later
	cover    int64   // a mutation was answered: all results must be from then or later
	owed     bool    // a transition is due even if nothing changed
	hold     int     // mutations between their commit and their answer
	sending  bool    // a transition waits to be written
	ended    bool
}

func newSession(s *Server, version, baseURL, caller string) *session {
	return &session{server: s, out: newOutbox(), chunks: understandsChunks(version), base: baseURL, caller: caller, queries: make(map[int64]*query)}
}

const (
	// maxSubscriptions bounds the queries that one connection asks for.
	maxSubscriptions = 4096
	// maxWatched bounds those of them that are watched at the same time; the
	// others wait.
	maxWatched = 256
	// retryWaiting is how long a query that was turned away waits.
	retryWaiting = 2 * time.Second
)

// modify applies a ModifyQuerySet. An error is a violation of the protocol.
func (c *session) modify(m *clientMessage) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if m.BaseVersion != c.received.querySet || m.NewVersion <= m.BaseVersion {
		return errBaseVersion
	}
	need := max(c.fresh, c.server.lastWrite.Load())
	for _, mod := range m.Modifications {
		old := c.queries[mod.QueryID]
		switch {
		case mod.Type == "Remove" && old == nil:
			return errUnknownQuery
		case mod.Type == "Remove":
			c.drop(mod.QueryID, old)
			c.removed = append(c.removed, mod.QueryID)
		case old != nil:
			return errDuplicateQuery
		case len(c.queries) >= maxSubscriptions:
			return errTooManyQueries
		default:
			q := &query{in: mod.in, journal: mod.Journal, need: need}
			c.queries[mod.QueryID] = q
			if mod.err != nil {
				c.fix(q, mod.functionCall.Path, mod.err)
			} else {
				c.attach(q)
			}
		}
	}
	c.received.querySet = m.NewVersion
	c.owed = true
	return nil
}

func (c *session) drop(id int64, q *query) {
	c.detach(q)
	delete(c.queries, id)
}

func (c *session) detach(q *query) {
	if q.live != nil {
		q.live.unwatch(c)
		q.live = nil
		c.watched--
	}
}

// attach makes the query watch what it asks. Where there is no room for it just
// now it is answered so, and tried again.
func (c *session) attach(q *query) {
	q.fixed, q.waiting = nil, false
	in := *q.in
	args, err := value.Append(nil, in.Args, value.Encoded)
	if err != nil {
		c.fix(q, in.Function.Name, err)
		return
	}
	key := liveKey{function: in.Function.Name, args: string(args), identity: c.identity.digest}
	if in.Function.LinksHere {
		in.Caller.BaseURL = c.base
		key.base = c.base
	}
	if in.Function.Paginated {
		in.Journal = q.journal
		key.journal = q.journal
	}
	caller := c.caller
	if by := in.Caller.Credentials; by != (auth.Credentials{}) {
		caller = "credential " + newIdentity(by).digest
	}
	if c.watched < maxWatched {
		q.live = c.server.watch(key, &in, caller, c, q.need)
	}
	if q.live != nil {
		c.watched++
		return
	}
	c.fix(q, in.Function.Name, fault.New(fault.Unavailable, "too many queries are watched; this one will be shown when there is room"))
	q.waiting = true
	if !c.waiting {
		c.waiting = true
		time.AfterFunc(retryWaiting, c.retry)
	}
}

// retry tries the queries again that were turned away.
func (c *session) retry() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.waiting = false
	if c.ended {
		return
	}
	for _, q := range c.queries {
		if q.waiting {
			c.attach(q)
		}
	}
	c.update()
}

// fix answers a query that cannot run with an error.
func (c *session) fix(q *query, name string, err error) {
	f := registry.Describe(c.server.lifetime, c.server.log, name, err, value.Encoded)
	q.fixed = &result{failed(f), math.MaxInt64}
}

// authenticate takes up a new identity: every query must run again under it.
func (c *session) authenticate(id identity) {
	c.mu.Lock()
	defer c.mu.Unlock()
	changed := id != c.identity
	c.identity = id
	c.received.identity++
	c.owed = true
	if !changed {
		return
	}
	for _, q := range c.queries {
		if q.in != nil {
			c.detach(q)
			q.in = q.in.As(registry.Caller{Credentials: id.Credentials})
			q.need = c.server.clock.next()
			c.attach(q)
		}
	}
}

// notify is called by a live query with a new result.
func (c *session) notify() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.update()
}

// flush sends a transition if one is due.
func (c *session) flush() { c.notify() }

// written is called when a transition has gone to the client.
func (c *session) written() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.sending = false
	c.update()
}

// update sends a transition if there is something to say and the state is
// whole: every query that must have a new result has it. While one transition
// is being written, or a mutation is between its commit and its answer, the
// next one waits; so a slow client skips what lies between.
func (c *session) update() {
	if c.id == "" || c.ended || c.sending || c.hold > 0 {
		return
	}
	type change struct {
		id int64
		*content
	}
	var changes []change
	for id, q := range c.queries {
		r := q.latest()
		if r == nil || r.start < max(q.need, c.cover) {
			return // its result will call notify
		}
		if r.failed != nil && c.identity.Key != "" && r.failed.Kind == fault.Unauthenticated && r.failed.Data == nil {
			c.refuse(r.failed.Message, false) // the key has ended
			return
		}
		if q.sent != r.mark {
			changes = append(changes, change{id, r.content})
		}
	}
	if len(changes) == 0 && len(c.removed) == 0 && !c.owed {
		return
	}
	end := c.received
	end.ts = c.server.clock.next()
	m := outgoing{transition: true}
	b := append(make([]byte, 0, 256), `{"type":"Transition","startVersion":`...)
	b = end.append(append(c.current.append(b), `,"endVersion":`...))
	b = append(b, `,"modifications":[`...)
	first := true
	open := func() {
		if !first {
			b = append(b, ',')
		}
		first = false
	}
	for _, ch := range changes {
		open()
		if ch.failed == nil {
			b = append(b, `{"type":"QueryUpdated","queryId":`...)
			b = append(strconv.AppendInt(b, ch.id, 10), `,"value":`...)
			if len(ch.value) < shareFrom {
				b = append(b, ch.value...)
			} else {
				m.add(b)
				m.add(ch.value)
				b = make([]byte, 0, 256)
			}
		} else {
			b = append(b, `{"type":"QueryFailed","queryId":`...)
			b = append(strconv.AppendInt(b, ch.id, 10), `,"errorMessage":`...)
			b = ch.failed.Append(b)
		}
		b = append(b, `,"logLines":[],"journal":`...)
		q := c.queries[ch.id]
		q.sent = ch.mark
		if ch.failed == nil {
			q.journal = ch.journal
		}
		if q.journal == "" {
			b = append(b, "null}"...)
		} else {
			b = append(value.AppendString(b, q.journal), '}')
		}
	}
	for _, id := range c.removed {
		if c.queries[id] != nil {
			continue
		}
		open()
		b = append(b, `{"type":"QueryRemoved","queryId":`...)
		b = append(strconv.AppendInt(b, id, 10), '}')
	}
	b = append(b, ']')
	if c.skew != nil {
		// Newer clients time the refresh of a token by the server's clock so.
		b = strconv.AppendFloat(append(b, `,"clientClockSkew":`...), *c.skew, 'f', -1, 64)
		b = strconv.AppendInt(append(b, `,"serverTs":`...), c.server.clock.now(), 10)
	}
	m.add(append(b, '}'))
	c.removed, c.owed, c.cover = nil, false, 0
	c.current = end
	c.sending = true
	c.out.put(m)
}

// shareFrom is the size from which a result is not copied into each message.
const shareFrom = 2048

// committing keeps transitions back until answer: what the mutation has
// committed must not reach the client before its answer.
func (c *session) committing() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.hold++
}

// answerMutation sends the answer of a mutation, and after it the transition
// that lets the client's promise resolve. It must be called once for each
// mutation; held says whether committing was called for it.
func (c *session) answerMutation(request int64, a answer, held bool) {
	m := appendAnswer([]byte(`{"type":"MutationResponse"`), request, a.value, a.failed)
	if a.failed == nil {
		m = append(appendTs(append(m, `,"ts":"`...), a.ts), '"')
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if held {
		c.hold--
	}
	c.put(append(m, '}'))
	if a.failed == nil {
		c.cover = c.server.clock.next()
		c.owed = true
		for _, q := range c.queries {
			if q.live != nil {
				q.live.want(c.cover)
			}
		}
	}
	c.update()
}

// answerAction sends the answer of an action.
func (c *session) answerAction(request int64, result json.RawMessage, failed *registry.Failure) {
	m := appendAnswer([]byte(`{"type":"ActionResponse"`), request, result, failed)
	c.mu.Lock()
	defer c.mu.Unlock()
	c.put(append(m, '}'))
}

func appendAnswer(dst []byte, request int64, result json.RawMessage, failed *registry.Failure) []byte {
	dst = strconv.AppendInt(append(dst, `,"requestId":`...), request, 10)
	if failed == nil {
		dst = append(append(dst, `,"success":true,"result":`...), result...)
	} else {
		dst = failed.Append(append(dst, `,"success":false,"result":`...))
	}
	return append(dst, `,"logLines":[]`...)
}

// put queues a message that is no transition; mu is held.
func (c *session) put(b []byte) {
	var m outgoing
	m.add(b)
	if !c.out.put(m) {
		c.ended = true
		c.out.end(closeTryLater, reasonSlow, true)
	}
}

// end closes the connection after what was sent so far.
func (c *session) end(code int, reason string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.ended = true
	c.out.end(code, reason, false)
}

// release lets go of everything that the connection watches.
func (c *session) release() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.ended = true
	for id, q := range c.queries {
		c.drop(id, q)
	}
	c.out.end(closeNormal, "", true)
}

// fatal tells the client that it broke the protocol. It never comes back from
// that by itself.
func (c *session) fatal(text string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.put(append(value.AppendString([]byte(`{"type":"FatalError","error":`), text), '}'))
	c.ended = true
	c.out.end(closeNormal, "FatalError", false)
}

// refuseIdentity tells the client that what it authenticates with does not
// hold. It closes the socket by itself then.
func (c *session) refuseIdentity(text string, attempted bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.refuse(text, attempted)
}

// refuse is refuseIdentity; mu is held.
func (c *session) refuse(text string, attempted bool) {
	b := value.AppendString([]byte(`{"type":"AuthError","error":`), text)
	b = strconv.AppendInt(append(b, `,"baseVersion":`...), c.received.identity, 10)
	b = strconv.AppendBool(append(b, `,"authUpdateAttempted":`...), attempted)
	c.put(append(b, '}'))
	c.ended = true
	time.AfterFunc(closePatience, func() { c.end(closeNormal, "AuthError") })
}

// isKeyRefused reports whether an error says that the deploy key of a
// connection is no longer good.
func isKeyRefused(id identity, err error) bool {
	return id.Key != "" && fault.Is(err, fault.Unauthenticated) && fault.As(err).Code == ""
}
