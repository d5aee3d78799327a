package sync

import (
	"context"
	"crypto/rand"
	"errors"
	"io"
	"math"
	"net/http"
	"sync"
	"time"

	"github.com/ecovolt/telemetryd/api/convex/registry"
	"github.com/ecovolt/telemetryd/api/convex/value"
	"github.com/ecovolt/telemetryd/auth"
	"github.com/ecovolt/telemetryd/internal/fault"
	"github.com/ecovolt/telemetryd/internal/httpx"
	"github.com/ecovolt/telemetryd/internal/httpx/ws"
	"github.com/ecovolt/telemetryd/internal/load"
	"github.com/ecovolt/telemetryd/internal/retry"
)

const (
	// deadAfter is how long a peer may send nothing, not even a pong.
	deadAfter = 120 * time.Second
	// writePatience is how long a client may take for 256 KiB.
	writePatience = 30 * time.Second
	// closePatience is how long a closed connection is kept for the client's
	// own close frame.
	closePatience = 5 * time.Second
	// catchUp is how long the clock may be behind what a client has seen.
	catchUp = 2 * time.Second
	// maxActions bounds the actions that one connection runs at once.
	maxActions = 16
	// maxMutations bounds the mutations of one connection that wait for their
	// turn; past it the connection is not read.
	maxMutations = 256
	// smallMutation is the size of arguments for which nothing is charged while
	// no other mutation of the connection waits.
	smallMutation = 4 << 10
	// compressFrom is the size from which a message is worth compressing.
	compressFrom = 1024
)

// socket drives one connection: it reads, runs what must be run, and writes
// what the session queued.
type socket struct {
	server  *Server
	conn    *ws.Conn
	session *session
	seat    *load.Seat
	caller  string       // whose the connection is, as far as that is known
	bodies  *load.Budget // of what it sends
	address string       // the client's IP address

	actions   chan struct{}
	mutations chan mutation // made when the first one comes
	abandoned chan struct{} // closed when reading ends
	work      sync.WaitGroup
}

// mutation is one that waits for its turn.
type mutation struct {
	request  int64
	call     functionCall
	identity identity
	done     func() // gives back what its arguments hold
}

// Serve takes over the connection of a request for the websocket. version is
// the client's, as the path says it, and decides only how large results are
// sent; baseURL is where the client reached us. It returns once the connection
// is a websocket, or a fault (Invalid, or Unavailable when there is no room)
// before anything was answered.
func (s *Server) Serve(w http.ResponseWriter, r *http.Request, version, baseURL string) error {
	if !ws.IsUpgrade(r) {
		return fault.New(fault.Invalid, "use a websocket")
	}
	caller := load.Caller(r.Context())
	k := &socket{
		server: s, session: newSession(s, version, baseURL, caller), caller: caller, bodies: s.options.Bodies,
		address: auth.ClientAddress(r.Context()), abandoned: make(chan struct{}),
	}
	if !s.enter(k) {
		return fault.Busy("no room for a connection just now")
	}
	var err error
	if k.conn, err = ws.Upgrade(w, r, ws.Options{ // the handler has checked the origin
		ReadBuffer: 1024, Limit: s.options.MaxBody, Compression: true, WriteWait: writePatience, Patience: deadAfter,
	}); err != nil {
		s.exit(k)
		return nil // it was answered
	}
	// The request and its buffers are let go: an idle socket holds little.
	go func() {
		defer s.exit(k)
		k.serve()
	}()
	return nil
}

// serve runs the connection until it ends.
func (k *socket) serve() {
	s := k.server
	defer k.conn.Close()
	if !s.join(k) {
		k.session.end(closeGoingAway, reasonRestarted)
	}
	defer s.leave(k)
	var writer sync.WaitGroup
	writer.Go(k.write)
	k.read()
	close(k.abandoned)
	// What runs goes on to its end; its answer has nobody to go to.
	k.session.release()
	writer.Wait()
	k.work.Wait()
}

// read handles messages in the order in which they come, until the connection
// ends.
func (k *socket) read() {
	for {
		r, err := k.conn.Next()
		switch {
		case errors.Is(err, ws.ErrBinary):
			k.session.fatal("binary messages are not part of the protocol")
		case errors.Is(err, ws.ErrTooLong):
			k.session.end(closeTooLarge, reasonTooLarge)
		case err != nil:
			return
		case k.take(r):
			continue
		}
		k.conn.Drain(closePatience) // the client closes, or answers our close frame
		return
	}
}

// take reads one message and handles it. It returns false when the connection
// has come to its end.
func (k *socket) take(r io.Reader) bool {
	// The connection's own limit counts bytes before decompression.
	m, err := httpx.Hold(r, k.server.options.MaxBody, k.bodies, k.caller)
	switch {
	case err == nil:
		defer m.Release()
		return k.handle(m.Bytes)
	case fault.Is(err, fault.TooLarge):
		k.session.end(closeTooLarge, reasonTooLarge)
	case fault.Is(err, fault.Unavailable):
		k.session.end(closeTryLater, reasonTooMany)
	}
	return false
}

// handle does what one message asks. It returns false when the connection has
// come to its end.
func (k *socket) handle(b []byte) bool {
	c := k.session
	m, err := parseMessage(b)
	if err == nil && (c.id == "") != (m.Type == "Connect") {
		err = errNotConnected
	}
	if err != nil {
		c.fatal(err.Error())
		return false
	}
	switch m.Type {
	case "Connect":
		return k.connect(m)
	case "Authenticate":
		return k.authenticate(m)
	case "ModifyQuerySet":
		k.prepare(m.Modifications)
		if err := c.modify(m); err != nil {
			c.fatal(err.Error())
			return false
		}
		c.flush()
	case "Mutation":
		return k.queue(mutation{request: m.RequestID, call: m.functionCall, identity: c.identity})
	case "Action":
		return k.startAction(m)
	}
	return true // Event, too: telemetry of the client about itself
}

// prepare checks the queries that are to be added. A token that is nobody's is
// left out, so that queries which differ in it only are run once for all.
func (k *socket) prepare(modifications []modification) {
	r, c := k.server.registry, k.session
	ctx, cancel := context.WithTimeout(k.server.lifetime, k.server.options.QueryTimeout)
	defer cancel()
	known := map[string]bool{}
	for i := range modifications {
		m := &modifications[i]
		if m.Type != "Add" {
			continue
		}
		m.in, m.err = r.Prepare(m.request(), registry.Query, registry.Caller{Credentials: c.identity.Credentials})
		if m.err != nil || c.identity.Token != "" {
			continue
		}
		token := m.in.Args.String("token")
		if _, asked := known[token]; !asked {
			known[token] = token == "" || k.knows(ctx, token)
		}
		if !known[token] {
			delete(m.in.Args, "token")
			m.in.Caller.Token = ""
		}
	}
}

func (k *socket) connect(m *clientMessage) bool {
	s, c := k.server, k.session
	var skew *float64
	if m.ClientTs != nil {
		ahead := *m.ClientTs - math.Floor(float64(s.clock.now())/1e6)
		skew = &ahead
	}
	for deadline := time.Now().Add(catchUp); m.observed > s.clock.now(); {
		if time.Now().After(deadline) {
			s.log.Warn("a client has seen a later timestamp than the database's clock gives", "ahead", time.Duration(m.observed-s.clock.now()))
			c.end(closeInternal, reasonInternal)
			return false
		}
		if retry.Pause(s.lifetime, 10*time.Millisecond) != nil {
			return false
		}
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.id, c.skew = m.SessionID, skew
	if m.ConnectionCount > 0 || m.MaxObservedTimestamp != nil {
		// It may come from another instance, where it has seen more than what
		// this one still holds as the newest results.
		c.fresh = s.clock.next()
	}
	return true
}

// knows reports whether a token is an account's, whose connection this is then.
func (k *socket) knows(ctx context.Context, token string) bool {
	caller, known := k.server.registry.Knows(load.WithCaller(ctx, k.session.caller), token)
	if known {
		k.as(caller)
	}
	return known
}

// as notes whose the connection is.
func (k *socket) as(caller string) {
	k.caller = caller
	k.seat.As(caller)
}

func (k *socket) authenticate(m *clientMessage) bool {
	s, c := k.server, k.session
	if m.BaseVersion != c.received.identity {
		c.fatal(errBaseVersion.Error())
		return false
	}
	var id identity
	switch m.TokenType {
	case "Admin":
		ctx, cancel := context.WithTimeout(s.lifetime, s.options.QueryTimeout)
		defer cancel()
		from, err := s.registry.CheckKey(ctx, m.Value)
		if fault.Is(err, fault.Unauthenticated) {
			c.refuseIdentity(err.Error(), true)
			return false
		}
		if err != nil {
			s.log.Error("check the key of a websocket", "error", err)
			c.end(closeInternal, reasonInternal)
			return false
		}
		id = newIdentity(from.Credentials)
		k.as(load.Caller(auth.As(ctx, *from.KeyHolder)))
		k.bodies = s.options.KeyBodies
	case "User":
		// As over HTTP: a JWT is nobody in particular, but it is accepted, or
		// apps that hold one would wait for ever. So is a token that is nobody's.
		ctx, cancel := context.WithTimeout(s.lifetime, s.options.QueryTimeout)
		defer cancel()
		if auth.WellFormedToken(m.Value) && k.knows(ctx, m.Value) {
			id = newIdentity(auth.Credentials{Token: m.Value})
		}
	}
	c.authenticate(id)
	c.flush()
	return true
}

// queue puts a mutation in line: those of a connection run one by one.
func (k *socket) queue(m mutation) bool {
	if k.mutations == nil {
		if !k.begin() {
			return true // not run; the client asks again elsewhere
		}
		k.mutations = make(chan mutation, maxMutations)
		go k.runMutations()
	}
	bodies, caller, held := k.bodies, k.caller, int64(len(m.call.Args))
	if held <= smallMutation && len(k.mutations) == 0 {
		held = 0 // so that the first gets through whatever others hold
	}
	if held > 0 && !bodies.Take(caller, held) {
		k.session.end(closeTryLater, reasonTooMany)
		return false
	}
	m.done = func() { bodies.Give(caller, held) }
	select {
	case k.mutations <- m:
	case <-k.server.stopping:
		m.done()
	}
	return true
}

// callContext is the context of a mutation or action. It outlives the
// connection: what was begun goes on to its end.
func (k *socket) callContext() (context.Context, context.CancelFunc) {
	ctx := auth.WithClientAddress(k.server.lifetime, k.address)
	return context.WithTimeout(ctx, k.server.options.WriteTimeout)
}

// begin counts a piece of work, unless the server stops. Call work.Done at its
// end.
func (k *socket) begin() bool {
	k.server.socketsMu.Lock()
	defer k.server.socketsMu.Unlock()
	if k.server.stopped {
		return false
	}
	k.work.Add(1)
	return true
}

// runMutations runs what is queued, until the client is gone or the server
// stops. What is left then was not run; the client asks again.
func (k *socket) runMutations() {
	defer k.work.Done()
	gone := func() bool {
		select {
		case <-k.abandoned:
			return true
		case <-k.server.stopping:
			return true
		default:
			return false
		}
	}
	for {
		select {
		case <-k.abandoned:
		case <-k.server.stopping:
		case m := <-k.mutations:
			if !gone() { // of several ready channels select takes any
				k.server.runMutation(k, m)
			}
			m.done()
			continue
		}
		for {
			select {
			case m := <-k.mutations:
				m.done()
			default:
				return
			}
		}
	}
}

func (k *socket) startAction(m *clientMessage) bool {
	s, c := k.server, k.session
	id := c.identity
	if k.actions == nil {
		k.actions = make(chan struct{}, maxActions)
	}
	select {
	case k.actions <- struct{}{}:
	case <-s.stopping:
		return true
	}
	if !k.begin() {
		return true
	}
	go func() {
		defer k.work.Done()
		defer func() { <-k.actions }()
		ctx, cancel := k.callContext()
		defer cancel()
		result, err := s.callEncoded(ctx, m.functionCall, registry.Action, id)
		if isKeyRefused(id, err) {
			c.refuseIdentity(err.Error(), false)
			return
		}
		var failed *registry.Failure
		if err != nil {
			failed = registry.Describe(ctx, s.log, m.Path, err, value.Encoded)
		}
		s.Wrote()
		c.answerAction(m.RequestID, result, failed)
	}()
	return true
}

// write sends what the session queues, until it ends or the client does.
func (k *socket) write() {
	defer k.conn.Say(ws.Close{}, closePatience) // or the reader would wait for ever
	every := k.server.options.PingEvery
	timer := time.NewTimer(every)
	defer timer.Stop()
	pinged := time.Now()
	for {
		m, ok := k.session.out.take()
		if !ok {
			select {
			case <-k.session.out.ready:
				continue
			case <-timer.C:
				// Clients do not see the protocol's own pings, so silence
				// towards them is broken by a message.
				m.add([]byte(`{"type":"Ping"}`))
			}
		}
		if m.closeCode != 0 {
			k.conn.Say(ws.Close{Code: m.closeCode, Reason: m.closeReason}, closePatience)
			return
		}
		if err := k.send(m); err != nil {
			return
		}
		if time.Since(pinged) >= every {
			pinged = time.Now()
			_ = k.conn.Ping() // a broken connection fails the next message
		}
		timer.Reset(every)
		if m.transition {
			k.session.written()
		}
	}
}

func (k *socket) send(m outgoing) error {
	if !m.transition || !k.session.chunks || m.size <= chunkSize {
		return k.sendOne(m)
	}
	for part := range chunks(m, rand.Text(), chunkSize) {
		if err := k.sendOne(part); err != nil {
			return err
		}
	}
	return nil
}

// sendOne writes one message.
func (k *socket) sendOne(m outgoing) error {
	compress := false
	if m.size >= compressFrom {
		select { // while many are compressing, the processor is what is scarce
		case k.server.zipping <- struct{}{}:
			defer func() { <-k.server.zipping }()
			compress = true
		default:
		}
	}
	return k.conn.Write(m.pieces, compress)
}
