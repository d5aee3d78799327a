package live

import (
	"bytes"
	"errors"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/ecovolt/telemetryd/internal/httpx/problem"
	"github.com/ecovolt/telemetryd/realtime/live/protocol"
	"github.com/ecovolt/telemetryd/timeseries/delta"
)

// serveEvents serves the stream as server-sent events: the same messages, each
// an event of its type, whose id is the cursors of all sessions watched. A
// browser sends the last one by itself when it reconnects.
func (st *Stream) serveEvents(w http.ResponseWriter, r *http.Request) {
	values := r.URL.Query()
	resume := r.Header.Get("Last-Event-ID")
	if resume == "" {
		resume = values.Get("since")
	}
	values.Del("since")
	requests, err := protocol.ParseQuery(values)
	switch {
	case err != nil:
		problem.Write(w, problem.Problem{Status: http.StatusBadRequest, Code: protocol.CodeInvalid, Detail: err.Error()})
		return
	case len(requests) == 0:
		problem.Write(w, problem.Problem{Status: http.StatusBadRequest, Code: protocol.CodeInvalid, Detail: "session: missing"})
		return
	case len(requests) > maxEventSessions:
		problem.Write(w, problem.Problem{Status: http.StatusBadRequest, Code: protocol.CodeLimit, Detail: "an event stream carries at most 16 sessions; use a websocket"})
		return
	}
	c := st.open(w, r)
	if c == nil {
		return
	}
	h := w.Header()
	h.Set("Content-Type", "text/event-stream")
	h.Set("Cache-Control", "no-store")
	h.Set("X-Accel-Buffering", "no") // or nginx keeps the events to itself
	w.WriteHeader(http.StatusOK)
	e := &events{w: w, control: http.NewResponseController(w), conn: c, ended: make(chan struct{}), at: map[string]string{}}
	c.attach(e)
	c.begin(requests, protocol.SplitCursors(resume))
	select {
	case <-r.Context().Done():
		c.close(closeGone)
	case <-c.ctx.Done():
	}
	<-e.ended // nothing is written once this handler has returned
	c.ended()
}

// maxEventSessions bounds the length of an event's id.
const maxEventSessions = 16

// events is the transport over server-sent events.
type events struct {
	w       http.ResponseWriter
	control *http.ResponseController
	conn    *conn
	ended   chan struct{}
	at      map[string]string // cursor by session
	buf     bytes.Buffer
}

func (e *events) write(f *frame) error {
	e.buf.Reset()
	e.buf.WriteString("event: ")
	e.buf.WriteString(f.kind)
	if f.moves || f.marks {
		if f.to.Session == 0 {
			delete(e.at, f.session)
		} else {
			e.at[f.session] = protocol.FormatCursor(f.to)
		}
		e.buf.WriteString("\nid: ")
		e.buf.WriteString(e.id())
	}
	e.buf.WriteString("\ndata: ")
	e.buf.Write(f.payload) // JSON without line breaks
	e.buf.WriteString("\n\n")
	return e.flush()
}

// id joins the cursors of all sessions.
func (e *events) id() string {
	cursors := make([]string, 0, len(e.at))
	for _, cursor := range e.at {
		cursors = append(cursors, cursor)
	}
	slices.Sort(cursors)
	return strings.Join(cursors, protocol.CursorSeparator)
}

func (e *events) ping() error {
	e.buf.Reset()
	e.buf.WriteString(": still here\n\n")
	err := e.flush()
	if err == nil {
		e.conn.seen() // the link took it; there is no answer to wait for
	}
	return err
}

func (e *events) flush() error {
	if err := e.control.SetWriteDeadline(time.Now().Add(writeWait)); err != nil && !errors.Is(err, errors.ErrUnsupported) {
		return err
	}
	if _, err := e.w.Write(e.buf.Bytes()); err != nil {
		return err
	}
	return e.control.Flush()
}

func (e *events) close(why closing) {
	if why != closeGone && why != closeSlow && why != closeTimeout {
		e.buf.Reset()
		e.buf.Write([]byte("event: closing\ndata: "))
		e.buf.Write(messageFrame(protocol.ServerMessage{Type: "closing", Reason: why.Reason}).payload)
		e.buf.WriteString("\n\n")
		_ = e.flush() // the client may be gone
	}
	close(e.ended)
}

// resumeFrom picks the cursor that belongs to the session with the key.
func resumeFrom(resume []delta.Position, key int32) *delta.Position {
	for _, p := range resume {
		if p.Session == key {
			return &p
		}
	}
	return nil
}
