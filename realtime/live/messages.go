package live

import (
	"time"

	"github.com/ecovolt/telemetryd/internal/fault"
	"github.com/ecovolt/telemetryd/timeseries/delta"
)

// abandon forgets a connection that never came to be.
func (c *conn) abandon() {
	c.attach(nowhere{})
	c.ended()
}

// nowhere is the transport of a connection that never came to be.
type nowhere struct{}

func (nowhere) write(*frame) error { return nil }
func (nowhere) ping() error        { return nil }
func (nowhere) close(closing)      {}

// begin greets the client and makes the subscriptions that its URL asked for.
// A cursor among resume belongs to the session that has its key.
func (c *conn) begin(requests []request, resume []delta.Position) {
	st := c.stream
	now := time.Now().UTC().Format(time.RFC3339Nano)
	c.send(ServerMessage{Type: "hello", Protocol: Protocol, Time: now, Database: st.database(), Limits: &Limits{
		Subscriptions: maxSubscriptions, MessageBytes: maxMessageBytes,
		QueueBytes: st.opt.QueueBytes, ReplayRecords: st.opt.ReplayRecords,
	}})
	for _, r := range requests {
		if len(resume) == 1 && len(requests) == 1 {
			r.since = &resume[0] // even if it is of an earlier session
		}
		c.subscribe(r, resume)
	}
}

// database says whether the database is there.
func (st *Stream) database() string {
	if ok, _ := st.hub.Healthy(); ok {
		return "up"
	}
	return "away"
}

// handle acts on one client message and reports whether it was one.
func (c *conn) handle(text []byte) bool {
	r, err := parseRequest(text)
	if err != nil {
		c.send(ServerMessage{Type: "error", ID: r.ID, Code: codeInvalid, Message: err.Error()})
		return false
	}
	switch r.Type {
	case typeSubscribe:
		c.subscribe(r, nil)
	case typeUnsubscribe:
		pos, ok := c.unsubscribe(r.Session)
		if !ok {
			c.send(ServerMessage{Type: "error", ID: r.ID, Session: r.Session, Code: codeNotWatched, Message: "there is no such subscription"})
			break
		}
		c.send(ServerMessage{Type: "unsubscribed", ID: r.ID, Session: r.Session, Cursor: formatCursor(pos)})
	case typePing:
		c.send(ServerMessage{Type: "pong", ID: r.ID, Time: time.Now().UTC().Format(time.RFC3339Nano)})
	case typeAuth:
		c.authenticate(r)
	}
	return true
}

// authenticate changes who the connection acts for. What the new viewer may
// not watch ends.
func (c *conn) authenticate(r request) {
	err := c.stream.greet(c.ctx, c, r.Token)
	if err != nil {
		code, message := codeUnavailable, "the database does not answer"
		if refused := fault.Refusal(err); refused != nil {
			code, message = refused.LiveCode(), refused.Error()
		}
		c.send(ServerMessage{Type: "error", ID: r.ID, Code: code, Message: message})
		return
	}
	c.send(ServerMessage{Type: "authenticated", ID: r.ID})
	c.askAgain(c.ctx)
}
