package live

import (
	"time"

	"github.com/ecovolt/telemetryd/internal/fault"
	"github.com/ecovolt/telemetryd/realtime/live/protocol"
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
func (c *conn) begin(requests []protocol.Request, resume []delta.Position) {
	st := c.stream
	now := time.Now().UTC().Format(time.RFC3339Nano)
	c.send(protocol.ServerMessage{Type: "hello", Protocol: protocol.Version, Time: now, Database: st.database(), Limits: &protocol.Limits{
		Subscriptions: protocol.MaxSubscriptions, MessageBytes: protocol.MaxMessageBytes,
		QueueBytes: st.opt.QueueBytes, ReplayRecords: st.opt.ReplayRecords,
	}})
	for _, r := range requests {
		if len(resume) == 1 && len(requests) == 1 {
			r.After = &resume[0] // even if it is of an earlier session
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
	r, err := protocol.Parse(text)
	if err != nil {
		c.send(protocol.ServerMessage{Type: "error", ID: r.ID, Code: protocol.CodeInvalid, Message: err.Error()})
		return false
	}
	switch r.Type {
	case protocol.TypeSubscribe:
		c.subscribe(r, nil)
	case protocol.TypeUnsubscribe:
		pos, ok := c.unsubscribe(r.Session)
		if !ok {
			c.send(protocol.ServerMessage{Type: "error", ID: r.ID, Session: r.Session, Code: protocol.CodeNotWatched, Message: "there is no such subscription"})
			break
		}
		c.send(protocol.ServerMessage{Type: "unsubscribed", ID: r.ID, Session: r.Session, Cursor: protocol.FormatCursor(pos)})
	case protocol.TypePing:
		c.send(protocol.ServerMessage{Type: "pong", ID: r.ID, Time: time.Now().UTC().Format(time.RFC3339Nano)})
	case protocol.TypeAuth:
		c.authenticate(r)
	}
	return true
}

// authenticate changes who the connection acts for. What the new viewer may
// not watch ends.
func (c *conn) authenticate(r protocol.Request) {
	err := c.stream.greet(c.ctx, c, r.Token)
	if err != nil {
		code, message := protocol.CodeUnavailable, "the database does not answer"
		if refused := fault.Refusal(err); refused != nil {
			code, message = refused.LiveCode(), refused.Error()
		}
		c.send(protocol.ServerMessage{Type: "error", ID: r.ID, Code: code, Message: message})
		return
	}
	c.send(protocol.ServerMessage{Type: "authenticated", ID: r.ID})
	c.askAgain(c.ctx)
}
