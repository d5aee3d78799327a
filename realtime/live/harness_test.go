package live_test

import (
	"context"
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/gorilla/websocket"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/ecovolt/telemetryd/internal/await"
	"github.com/ecovolt/telemetryd/internal/dbtest"
	"github.com/ecovolt/telemetryd/realtime/hub"
	"github.com/ecovolt/telemetryd/realtime/live"
	"github.com/ecovolt/telemetryd/realtime/live/protocol"
	"github.com/ecovolt/telemetryd/timeseries"
	"github.com/ecovolt/telemetryd/timeseries/decode"
	"github.com/ecovolt/telemetryd/timeseries/delta"
	"github.com/ecovolt/telemetryd/timeseries/ingest"
	"github.com/ecovolt/telemetryd/timeseries/record"
)

// instance is one telemetryd, as far as live data goes.
type instance struct {
	pool   *pgxpool.Pool
	store  *timeseries.Store
	hub    *hub.Hub
	stream *live.Stream
	server *httptest.Server
	stop   func()

	mu    sync.Mutex
	conns []net.Conn
}

// cutter remembers connections, so that a test can break them.
type cutter struct {
	net.Listener
	in *instance
}

func (c *cutter) Accept() (net.Conn, error) {
	conn, err := c.Listener.Accept()
	if err == nil {
		// A client that does not read is to fall behind before megabytes are stored,
		// which takes minutes on a slow server.
		err = conn.(*net.TCPConn).SetWriteBuffer(16 << 10)
		c.in.mu.Lock()
		c.in.conns = append(c.in.conns, conn)
		c.in.mu.Unlock()
	}
	return conn, err
}

// cutAll breaks every connection.
func (in *instance) cutAll() {
	in.mu.Lock()
	defer in.mu.Unlock()
	for _, conn := range in.conns {
		conn.Close()
	}
	in.conns = nil
}

type setup struct {
	hub    hub.Options
	stream live.Options
	pool   func(*pgxpool.Config)
	deaf   bool // the hub is not told of local commits
	reads  func(live.Records) live.Records
}

// start brings up an instance on the database.
func start(t testing.TB, url string, s setup) *instance {
	t.Helper()
	config, err := pgxpool.ParseConfig(url)
	if err != nil {
		t.Fatal(err)
	}
	if s.pool != nil {
		s.pool(config)
	}
	pool, err := pgxpool.NewWithConfig(t.Context(), config)
	if err != nil {
		t.Fatal(err)
	}
	in := &instance{pool: pool}
	deltas := delta.New(pool)
	if s.hub.Tick == 0 {
		s.hub.Tick = 20 * time.Millisecond
	}
	in.hub = hub.New(deltas, s.hub)
	wake := in.hub.WakeSessions
	if s.deaf {
		wake = nil
	}
	in.store = timeseries.New(pool, timeseries.Options{OnCommit: wake})
	s.stream.Channels = in.store.Channels
	var reads live.Records = deltas
	if s.reads != nil {
		reads = s.reads(deltas)
	}
	in.stream = live.New(in.hub, reads, s.stream)
	in.server = httptest.NewUnstartedServer(in.stream)
	in.server.Listener = &cutter{Listener: in.server.Listener, in: in}
	in.server.Start()
	ctx, cancel := context.WithCancel(context.Background())
	stopped := make(chan struct{}, 2)
	go func() { in.hub.Run(ctx); stopped <- struct{}{} }()
	go func() { in.stream.Run(ctx); stopped <- struct{}{} }()
	in.stop = func() {
		in.stop = func() {}
		cancel()
		<-stopped
		<-stopped
		in.server.Close()
		pool.Close()
	}
	t.Cleanup(func() { in.stop() })
	return in
}

func one(t testing.TB, s setup) *instance {
	t.Helper()
	return start(t, dbtest.URL(t), s)
}

// base is when the records of tests begin.
var base = time.Date(2026, 3, 21, 21, 41, 10, 0, time.UTC)

// ingest stores count records of the session in one batch: message_id counts
// from first, at 50 Hz.
func (in *instance) ingest(t testing.TB, session string, first, count int) {
	t.Helper()
	if err := in.tryIngest(t.Context(), session, first, count); err != nil {
		t.Fatal(err)
	}
}

func (in *instance) tryIngest(ctx context.Context, session string, first, count int) error {
	return in.ingestFrom(ctx, session, base, first, count)
}

// ingestFrom ingests records of a car whose clock began at that time.
func (in *instance) ingestFrom(ctx context.Context, session string, base time.Time, first, count int) error {
	var text strings.Builder
	text.WriteByte('[')
	for i := first; i < first+count; i++ {
		if i > first {
			text.WriteByte(',')
		}
		at := base.Add(time.Duration(i) * 20 * time.Millisecond)
		fmt.Fprintf(&text, `{"session_id":%q,"session_name":"M 233","timestamp":%q,"message_id":%d,"speed_ms":%d.5,"voltage_v":48.25,"tyre":%d}`,
			session, record.FormatTime(at), i, i%20, i)
	}
	text.WriteByte(']')
	b := decode.NewBatch()
	defer b.Release()
	if err := decode.Records([]byte(text.String()), b, base.Add(time.Hour)); err != nil {
		return err
	}
	if err := b.Err(); err != nil {
		return err
	}
	_, err := in.store.Writer.Ingest(ctx, b, ingest.Options{Source: "test"})
	return err
}

// screen is one end of a live connection.
type screen struct {
	t    testing.TB
	conn *websocket.Conn
}

func (in *instance) dial(t testing.TB, query string, header ...string) *screen {
	t.Helper()
	conn, err := in.tryDial(query, header...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	return &screen{t, conn}
}

func (in *instance) tryDial(query string, header ...string) (*websocket.Conn, error) {
	h := http.Header{}
	for i := 0; i+1 < len(header); i += 2 {
		h.Set(header[i], header[i+1])
	}
	dialer := websocket.Dialer{EnableCompression: true, HandshakeTimeout: 20 * time.Second, Subprotocols: []string{protocol.Subprotocol}}
	conn, answer, err := dialer.Dial("ws"+strings.TrimPrefix(in.server.URL, "http")+"/api/v1/live?"+query, h)
	if err != nil && answer != nil {
		return nil, fmt.Errorf("%w: %s", err, answer.Status)
	}
	if err == nil {
		err = conn.NetConn().(*net.TCPConn).SetReadBuffer(16 << 10)
	}
	return conn, err
}

// follow opens a connection that its URL subscribes, and returns it with the
// server's answer.
func (in *instance) follow(t testing.TB, query string, header ...string) (*screen, protocol.ServerMessage) {
	t.Helper()
	c := in.dial(t, query, header...)
	c.expect("hello")
	return c, c.expect("subscribed")
}

func (c *screen) send(m protocol.ClientMessage) {
	c.t.Helper()
	if err := c.conn.WriteJSON(m); err != nil {
		c.t.Fatal(err)
	}
}

// next returns the next message.
func (c *screen) next() protocol.ServerMessage {
	c.t.Helper()
	m, err := c.tryNext()
	if err != nil {
		c.t.Fatal(err)
	}
	return m
}

func (c *screen) tryNext() (protocol.ServerMessage, error) {
	var m protocol.ServerMessage
	_ = c.conn.SetReadDeadline(time.Now().Add(await.Patience))
	_, text, err := c.conn.ReadMessage()
	if err != nil {
		return m, err
	}
	decoder := json.NewDecoder(strings.NewReader(string(text)))
	decoder.DisallowUnknownFields()
	if err := decoder.Decode(&m); err != nil {
		return m, fmt.Errorf("%w in %s", err, text)
	}
	return m, nil
}

// expect returns the next message, which must be of the type; status messages
// are passed over.
func (c *screen) expect(kind string) protocol.ServerMessage {
	c.t.Helper()
	for {
		m := c.next()
		if m.Type == kind {
			return m
		}
		if m.Type == "status" {
			continue
		}
		text, _ := json.Marshal(m)
		c.t.Fatalf("got %.300s, want type %s", text, kind)
	}
}

// numbers returns the message_id of each record of a message.
func numbers(t testing.TB, m protocol.ServerMessage) []int {
	t.Helper()
	ids := []int{}
	for _, raw := range m.Records {
		var record struct {
			ID int `json:"message_id"`
		}
		if err := json.Unmarshal(raw, &record); err != nil {
			t.Fatal(err)
		}
		ids = append(ids, record.ID)
	}
	return ids
}

// collect reads messages with records until the one with the last number.
func (c *screen) collect(last int) (ids []int, cursor string) {
	c.t.Helper()
	for len(ids) == 0 || ids[len(ids)-1] != last {
		m := c.next()
		switch m.Type {
		case "records", "snapshot":
			ids, cursor = append(ids, numbers(c.t, m)...), m.Cursor
		case "status":
		default:
			text, _ := json.Marshal(m)
			c.t.Fatalf("got %.300s, want records", text)
		}
	}
	return ids, cursor
}

// sequence lists the numbers from first to last.
func sequence(first, last int) []int {
	ids := []int{}
	for i := first; i <= last; i++ {
		ids = append(ids, i)
	}
	return ids
}
