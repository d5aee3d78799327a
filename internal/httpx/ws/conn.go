package ws

import (
	"errors"
	"io"
	"net"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/gorilla/websocket"
)

// What Next and the readers that it returns fail with because of the client.
var (
	ErrTooLong = errors.New("the message is too long")
	ErrBinary  = errors.New("the message is not text")
)

// Options are what protocols differ in.
type Options struct {
	// Subprotocols that the server speaks, the one it likes best first.
	Subprotocols []string
	// ReadBuffer is the buffer that each connection holds, in bytes.
	ReadBuffer int
	// Limit bounds a message as it comes over the wire, in bytes. Whoever reads
	// one bounds it after decompression.
	Limit int64
	// Compression offers permessage-deflate, without state between messages.
	Compression bool
	// CompressFrom is the size from which a prepared message is compressed.
	CompressFrom int
	// WriteWait is how long a client may take for 256 KiB.
	WriteWait time.Duration
	// Patience is how long a client may send nothing, not even a pong; 0 is for
	// ever.
	Patience time.Duration
	// Seen, if set, is called for each sign of life.
	Seen func()
}

// writePiece is how much of a message a client must take in WriteWait, so that
// a large one may pass a thin line.
const writePiece = 256 << 10

// writeBuffers are shared, so that an idle connection holds none.
var writeBuffers sync.Pool

// IsUpgrade reports whether a request asks for a websocket.
func IsUpgrade(r *http.Request) bool { return websocket.IsWebSocketUpgrade(r) }

// SameOrigin reports whether no page of another host sent the request.
func SameOrigin(r *http.Request) bool {
	origin := r.Header.Get("Origin")
	if origin == "" {
		return true
	}
	u, err := url.Parse(origin)
	return err == nil && strings.EqualFold(u.Host, r.Host)
}

// Conn is one connection.
type Conn struct {
	conn   *websocket.Conn
	opt    Options
	closed atomic.Bool // the reading has its last deadline
}

// Upgrade makes a connection of a request whose origin the caller has judged.
// If it cannot, it has answered the request.
func Upgrade(w http.ResponseWriter, r *http.Request, opt Options) (*Conn, error) {
	upgrader := websocket.Upgrader{
		HandshakeTimeout: 10 * time.Second,
		ReadBufferSize:   opt.ReadBuffer, WriteBufferSize: 4096, WriteBufferPool: &writeBuffers,
		EnableCompression: opt.Compression, Subprotocols: opt.Subprotocols,
		CheckOrigin: func(*http.Request) bool { return true },
	}
	conn, err := upgrader.Upgrade(w, r, nil)
	if err != nil {
		return nil, err
	}
	c := &Conn{conn: conn, opt: opt}
	conn.SetReadLimit(opt.Limit)
	conn.SetPongHandler(func(string) error { c.alive(); return nil })
	pinged := conn.PingHandler()
	conn.SetPingHandler(func(data string) error { c.alive(); return pinged(data) })
	return c, nil
}

// alive notes a sign of life.
func (c *Conn) alive() {
	if c.opt.Seen != nil {
		c.opt.Seen()
	}
	if c.opt.Patience > 0 && !c.closed.Load() {
		_ = c.conn.SetReadDeadline(time.Now().Add(c.opt.Patience))
	}
}

// Next waits for the next message. The time that the caller took for the last
// one does not count as silence.
func (c *Conn) Next() (io.Reader, error) {
	if c.opt.Patience > 0 && !c.closed.Load() {
		_ = c.conn.SetReadDeadline(time.Now().Add(c.opt.Patience))
	}
	kind, r, err := c.conn.NextReader()
	if err != nil {
		return nil, tooLong(err)
	}
	c.alive()
	if kind != websocket.TextMessage {
		return nil, ErrBinary
	}
	return limited{r}, nil
}

// limited says it in our words when a message is too long.
type limited struct{ io.Reader }

func (l limited) Read(b []byte) (int, error) {
	n, err := l.Reader.Read(b)
	return n, tooLong(err)
}

func tooLong(err error) error {
	if errors.Is(err, websocket.ErrReadLimit) {
		return ErrTooLong
	}
	return err
}

// Prepared is a message that many connections get: its header and compressed
// form are made once for each kind of connection.
type Prepared struct {
	message *websocket.PreparedMessage
	size    int
}

// Prepare makes one of a text, which must not change afterwards.
func Prepare(text []byte) (*Prepared, error) {
	m, err := websocket.NewPreparedMessage(websocket.TextMessage, text)
	return &Prepared{m, len(text)}, err
}

// WritePrepared sends a prepared message.
func (c *Conn) WritePrepared(m *Prepared) error {
	c.conn.EnableWriteCompression(m.size >= c.opt.CompressFrom)
	_ = c.conn.SetWriteDeadline(time.Now().Add(c.opt.WriteWait)) // never fails; writing does
	return c.conn.WritePreparedMessage(m.message)
}

// Write sends one message that consists of the pieces.
func (c *Conn) Write(pieces [][]byte, compress bool) error {
	_ = c.conn.SetWriteDeadline(time.Now().Add(c.opt.WriteWait))
	c.conn.EnableWriteCompression(compress)
	w, err := c.conn.NextWriter(websocket.TextMessage)
	if err != nil {
		return err
	}
	for _, piece := range pieces {
		for len(piece) > 0 {
			n := min(len(piece), writePiece)
			if _, err := w.Write(piece[:n]); err != nil {
				return err
			}
			piece = piece[n:]
			_ = c.conn.SetWriteDeadline(time.Now().Add(c.opt.WriteWait))
		}
	}
	return w.Close()
}

// Ping asks the client for a sign of life.
func (c *Conn) Ping() error {
	return c.conn.WriteControl(websocket.PingMessage, nil, time.Now().Add(c.opt.WriteWait))
}

// Say tells the client why the connection ends, if it takes that within the
// patience. What the client sends is read for that long at most.
func (c *Conn) Say(why Close, patience time.Duration) {
	c.closed.Store(true)
	end := time.Now().Add(patience)
	_ = c.conn.SetReadDeadline(end)
	if why.Code == 0 {
		return
	}
	err := c.conn.WriteControl(websocket.CloseMessage, websocket.FormatCloseMessage(why.Code, why.Reason), end)
	if err != nil && !errors.Is(err, websocket.ErrCloseSent) && !errors.Is(err, net.ErrClosed) {
		c.conn.Close()
	}
}

// drainBytes bounds what is still taken of a client that sends too much.
const drainBytes = 1 << 20

// Drain reads and drops what the client had on its way, until it has answered
// the close frame or the patience is over: a connection that is closed with
// unread bytes is reset, and the client would never see why.
func (c *Conn) Drain(patience time.Duration) {
	c.closed.Store(true)
	_ = c.conn.SetReadDeadline(time.Now().Add(patience))
	for {
		_, _, err := c.conn.NextReader()
		if errors.Is(err, websocket.ErrReadLimit) { // the library reads no further
			_, _ = io.CopyN(io.Discard, c.conn.NetConn(), drainBytes)
		}
		if err != nil {
			return
		}
	}
}

// Close ends the connection at once.
func (c *Conn) Close() { c.conn.Close() }
