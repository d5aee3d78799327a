package live

import (
	"context"
	"errors"
	"io"
	"net/http"
	"sync"
	"time"

	"github.com/gorilla/websocket"
)

// compressFrom is the length from which a message is worth compressing.
const compressFrom = 512

// writeBuffers are lent to connections while they write.
var writeBuffers sync.Pool

// serveWebSocket upgrades the request and returns; the connection lives on in
// a goroutine of its own, so that nothing of the HTTP request is kept.
func (st *Stream) serveWebSocket(w http.ResponseWriter, r *http.Request) {
	requests, err := queryRequests(r.URL.Query())
	if err != nil {
		problem(w, http.StatusBadRequest, codeInvalid, err.Error())
		return
	}
	if !st.opt.CheckOrigin(r) {
		problem(w, http.StatusForbidden, "ORIGIN", "pages of this origin may not connect")
		return
	}
	p := newConn(st)
	if err := st.admit(p); err != nil {
		w.Header().Set("Retry-After", "5")
		problem(w, http.StatusServiceUnavailable, codeLimit, err.Error())
		p.cancel()
		return
	}
	credential := st.opt.Credential(r)
	if err := st.greet(r.Context(), p, credential); err != nil {
		refusal(w, err)
		p.abandon()
		return
	}
	upgrader := websocket.Upgrader{
		ReadBufferSize: 512, WriteBufferSize: 4096, WriteBufferPool: &writeBuffers,
		EnableCompression: st.opt.Compression,
		Subprotocols:      []string{Subprotocol},
		CheckOrigin:       func(*http.Request) bool { return true }, // checked above
	}
	conn, err := upgrader.Upgrade(w, r, nil) // answers the request itself if it fails
	if err != nil {
		p.abandon()
		return
	}
	conn.SetReadLimit(maxMessageBytes)
	if st.opt.Compression {
		_ = conn.SetCompressionLevel(1) // 1 is a valid level
	}
	p.attach(&socket{conn})
	go func() {
		defer p.ended()
		p.begin(requests, nil)
		p.readSocket(conn)
	}()
}

// greet finds out who connects and makes the hub watch what concerns them.
func (st *Stream) greet(ctx context.Context, p *conn, credential string) error {
	ctx, cancel := context.WithTimeout(ctx, readTimeout)
	defer cancel()
	if err := p.signIn(ctx, credential); err != nil {
		return err
	}
	return p.watchViewer(ctx)
}

// socket is the transport over a websocket.
type socket struct{ conn *websocket.Conn }

func (s *socket) write(f *frame) error {
	message, err := f.websocket()
	if err != nil {
		return err
	}
	s.conn.EnableWriteCompression(len(f.payload) >= compressFrom)
	if err := s.conn.SetWriteDeadline(time.Now().Add(writeWait)); err != nil {
		return err
	}
	return s.conn.WritePreparedMessage(message)
}

func (s *socket) ping() error {
	return s.conn.WriteControl(websocket.PingMessage, nil, time.Now().Add(writeWait))
}

func (s *socket) close(why closing) {
	if why != closeGone {
		// The client may be gone; then it needs no reason.
		_ = s.conn.WriteControl(websocket.CloseMessage, websocket.FormatCloseMessage(why.code, why.reason), time.Now().Add(time.Second))
	}
	if why.lingers {
		return // readSocket closes it
	}
	s.conn.Close()
}

// linger reads and drops what the client had on its way, then closes.
func linger(conn *websocket.Conn) {
	_ = conn.SetReadDeadline(time.Now().Add(lingerFor))
	_, _ = io.CopyN(io.Discard, conn.NetConn(), lingerBytes)
	conn.Close()
}

// readSocket handles what the client sends, until it stops.
func (c *conn) readSocket(conn *websocket.Conn) {
	tell := func(why closing) {
		c.close(why)
		linger(conn)
	}
	conn.SetPongHandler(func(string) error { c.seen(); return nil })
	ping := conn.PingHandler()
	conn.SetPingHandler(func(data string) error { c.seen(); return ping(data) })
	var meter meter
	for {
		kind, reader, err := conn.NextReader()
		if err != nil {
			return
		}
		c.seen()
		if !meter.allow(time.Now()) {
			tell(closeFlood)
			return
		}
		text, err := readMessage(reader)
		switch {
		case errors.Is(err, errTooLong):
			tell(closing{websocket.CloseMessageTooBig, "message too long", true})
			return
		case err != nil:
			return
		case kind != websocket.TextMessage:
			tell(closing{websocket.CloseUnsupportedData, "text messages only", true})
			return
		}
		if !c.handle(text) {
			meter.invalid++
			if meter.invalid >= maxInvalid {
				tell(closeProtocol)
				return
			}
		}
	}
}

// maxInvalid is how many messages that are none a client may send.
const maxInvalid = 10

// meter bounds the rate of a client's messages.
type meter struct {
	since   time.Time
	count   int
	invalid int
}

// A client subscribes and unsubscribes; it has no reason to send more.
const (
	meterWindow   = 10 * time.Second
	meterMessages = 300
)

func (m *meter) allow(now time.Time) bool {
	if now.Sub(m.since) > meterWindow {
		m.since, m.count = now, 0
	}
	m.count++
	return m.count <= meterMessages
}

var errTooLong = errors.New("message too long")

// readMessage reads one message, whose length after decompression is bounded
// too: the library bounds only what comes over the wire.
func readMessage(r io.Reader) ([]byte, error) {
	text, err := io.ReadAll(io.LimitReader(r, maxMessageBytes+1))
	if err != nil {
		return nil, err
	}
	if len(text) > maxMessageBytes {
		return nil, errTooLong
	}
	return text, nil
}
