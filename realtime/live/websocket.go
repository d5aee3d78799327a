package live

import (
	"context"
	"errors"
	"io"
	"net/http"
	"time"

	"github.com/ecovolt/telemetryd/internal/httpx/problem"
	"github.com/ecovolt/telemetryd/internal/httpx/ws"
	"github.com/ecovolt/telemetryd/realtime/live/protocol"
)

// compressFrom is the length from which a message is worth compressing.
const compressFrom = 512

// serveWebSocket upgrades the request and returns; the connection lives on in
// a goroutine of its own, so that nothing of the HTTP request is kept.
func (st *Stream) serveWebSocket(w http.ResponseWriter, r *http.Request) {
	requests, err := protocol.ParseQuery(r.URL.Query())
	if err != nil {
		problem.Write(w, problem.Problem{Status: http.StatusBadRequest, Code: protocol.CodeInvalid, Detail: err.Error()})
		return
	}
	c := st.open(w, r)
	if c == nil {
		return
	}
	conn, err := ws.Upgrade(w, r, ws.Options{
		Subprotocols: []string{protocol.Subprotocol}, ReadBuffer: 512, Limit: protocol.MaxMessageBytes,
		Compression: st.opt.Compression, CompressFrom: compressFrom, WriteWait: writeWait, Seen: c.seen,
	})
	if err != nil {
		c.abandon()
		return
	}
	c.attach(&socket{conn})
	go func() {
		defer c.ended()
		c.begin(requests, nil)
		c.readSocket(conn)
	}()
}

// greet finds out who connects and makes the hub watch what concerns them.
func (st *Stream) greet(ctx context.Context, c *conn, credential string) error {
	ctx, cancel := context.WithTimeout(ctx, readTimeout)
	defer cancel()
	if err := c.signIn(ctx, credential); err != nil {
		return err
	}
	return c.watchViewer(ctx)
}

// socket is the transport over a websocket.
type socket struct{ conn *ws.Conn }

func (s *socket) write(f *frame) error {
	message, err := f.websocket()
	if err != nil {
		return err
	}
	return s.conn.WritePrepared(message)
}

func (s *socket) ping() error { return s.conn.Ping() }

func (s *socket) close(why closing) {
	if why.lingers {
		s.conn.Say(why.Close, lingerFor) // and readSocket closes it
		return
	}
	s.conn.Say(why.Close, time.Second)
	s.conn.Close()
}

// readSocket handles what the client sends, until it stops.
func (c *conn) readSocket(socket *ws.Conn) {
	tell := func(why closing) {
		c.close(why)
		socket.Drain(lingerFor)
		socket.Close()
	}
	var meter meter
	for {
		reader, err := socket.Next()
		if c.ctx.Err() != nil { // it is told to go once it reads, and may have more on its way
			socket.Drain(writeWait + lingerFor)
			socket.Close()
			return
		}
		var text []byte
		if err == nil && !meter.allow(time.Now()) {
			tell(closeFlood)
			return
		}
		if err == nil {
			text, err = readMessage(reader)
		}
		switch {
		case errors.Is(err, ws.ErrTooLong):
			tell(closeTooLong)
			return
		case errors.Is(err, ws.ErrBinary):
			tell(closeBinary)
			return
		case err != nil:
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

// readMessage reads one message, whose length after decompression is bounded
// too.
func readMessage(r io.Reader) ([]byte, error) {
	text, err := io.ReadAll(io.LimitReader(r, protocol.MaxMessageBytes+1))
	if err != nil {
		return nil, err
	}
	if len(text) > protocol.MaxMessageBytes {
		return nil, ws.ErrTooLong
	}
	return text, nil
}
