package live_test

import (
	"context"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/gorilla/websocket"
	"github.com/jackc/pgx/v5"

	"github.com/ecovolt/telemetryd/internal/await"
	"github.com/ecovolt/telemetryd/internal/fault"
	"github.com/ecovolt/telemetryd/internal/load"
	"github.com/ecovolt/telemetryd/realtime/live"
	"github.com/ecovolt/telemetryd/realtime/live/protocol"
	schema "github.com/ecovolt/telemetryd/sql"
)

// doors is a policy with a list of who may watch what.
type doors struct {
	mu    sync.Mutex
	may   map[string][]string // sessions by credential
	until time.Time           // of every answer
}

func (d *doors) Viewer(_ context.Context, credential string) (live.Viewer, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if credential != "" && d.may[credential] == nil {
		return live.Viewer{}, fault.Coded(fault.Unauthenticated, "UNAUTHENTICATED", "no such token")
	}
	v := live.Viewer{Principal: credential}
	if credential != "" {
		v.Topics = []string{schema.TopicUser(credential)}
		v.Caller = "account " + credential
	}
	return v, nil
}

func (d *doors) MayWatch(_ context.Context, v live.Viewer, session string) (time.Time, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	for _, id := range d.may[v.Principal.(string)] {
		if id == session {
			return d.until, nil
		}
	}
	return time.Time{}, fault.New(fault.Forbidden, "not this one")
}

func (d *doors) set(credential string, sessions ...string) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if sessions == nil {
		delete(d.may, credential)
		return
	}
	d.may[credential] = sessions
}

func (in *instance) touch(t *testing.T, topic string) {
	t.Helper()
	err := schema.Tx(t.Context(), in.pool, func(ctx context.Context, tx pgx.Tx) error { return schema.Touch(ctx, tx, topic) })
	if err != nil {
		t.Fatal(err)
	}
}

func TestAccess(t *testing.T) {
	t.Parallel()
	policy := &doors{may: map[string][]string{"": {"open"}, "ann": {"open", "team"}}}
	in := one(t, setup{stream: live.Options{Policy: policy}})
	for _, id := range []string{"open", "team", "secret"} {
		in.ingest(t, id, 1, 1)
	}

	guest := in.dial(t, "")
	guest.expect("hello")
	guest.send(protocol.ClientMessage{Type: "subscribe", ID: "1", Session: "team"})
	if e := guest.expect("error"); e.Code != "FORBIDDEN" || e.ID != "1" || e.Session != "team" {
		t.Errorf("a guest and the team's session: %+v", e)
	}
	guest.send(protocol.ClientMessage{Type: "auth", ID: "2", Token: "nobody"})
	if e := guest.expect("error"); e.Code != "UNAUTHENTICATED" || e.ID != "2" {
		t.Errorf("a wrong token: %+v", e)
	}
	guest.send(protocol.ClientMessage{Type: "auth", ID: "3", Token: "ann"})
	if m := guest.expect("authenticated"); m.ID != "3" {
		t.Errorf("authenticated: %+v", m)
	}
	guest.send(protocol.ClientMessage{Type: "subscribe", Session: "team"})
	guest.expect("subscribed")
	guest.expect("snapshot")
	guest.send(protocol.ClientMessage{Type: "subscribe", Session: "open"})
	guest.expect("subscribed")
	guest.expect("snapshot")

	// Her role changes on some instance; the announcement reaches this one.
	policy.set("ann", "open")
	in.touch(t, schema.TopicUser("ann"))
	if m := guest.expect("revoked"); m.Session != "team" || m.Code != "FORBIDDEN" {
		t.Errorf("revoked: %+v", m)
	}
	in.ingest(t, "team", 2, 1)
	in.ingest(t, "open", 2, 1)
	if m := guest.expect("records"); m.Session != "open" {
		t.Errorf("records of %s after it was revoked", m.Session)
	}
	// Her token is revoked: she goes on as a guest.
	policy.set("ann")
	in.touch(t, schema.TopicUser("ann"))
	if e := guest.expect("error"); e.Code != "UNAUTHENTICATED" {
		t.Errorf("error: %+v", e)
	}
	in.ingest(t, "open", 3, 1)
	if m := guest.expect("records"); m.Session != "open" {
		t.Errorf("records: %+v", m)
	}
	await.Until(t, "nobody's account is watched", func() bool { return in.hub.Stats().Topics == 4 }) // the session, what is said of it, messages to its driver, and the channels
}

// An answer that runs out is asked for again, though nothing was announced.
func TestAccessRunsOut(t *testing.T) {
	t.Parallel()
	policy := &doors{may: map[string][]string{"": {"a"}}, until: time.Now().Add(300 * time.Millisecond)}
	in := one(t, setup{stream: live.Options{Policy: policy, PingEvery: 200 * time.Millisecond}})
	in.ingest(t, "a", 1, 1)
	c, _ := in.follow(t, "session=a")
	c.expect("snapshot")
	policy.set("", "other")
	if m := c.expect("revoked"); m.Session != "a" {
		t.Errorf("revoked: %+v", m)
	}
}

// Sockets of one network that nobody signed in to drive out one another, and no
// others.
func TestFloodOfSockets(t *testing.T) {
	t.Parallel()
	in := one(t, setup{stream: live.Options{Policy: &doors{may: map[string][]string{"": {"a"}, "ann": {"a"}}}, Connections: 8}})
	in.server.Config.Handler = http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		in.stream.ServeHTTP(w, r.WithContext(load.WithCaller(r.Context(), load.Stranger("the pit"))))
	})
	ann, _ := in.follow(t, "session=a", "Origin", in.server.URL, "Authorization", "Bearer ann")
	first := in.dial(t, "")
	first.expect("hello")
	for range 20 {
		in.dial(t, "").expect("hello")
	}
	if m, err := first.tryNext(); !websocket.IsCloseError(err, 4430) {
		t.Errorf("the first of many: %+v, %v", m, err)
	}
	ann.send(protocol.ClientMessage{Type: protocol.TypePing})
	ann.expect("pong")
	if n := in.stream.Stats().Connections; n > 8+1 { // the last one that is told to go may not have gone
		t.Errorf("%d connections", n)
	}
}

func TestHandshake(t *testing.T) {
	t.Parallel()
	policy := &doors{may: map[string][]string{"": {"a"}, "ann": {"a"}}}
	in := one(t, setup{stream: live.Options{Policy: policy, Connections: 2}})
	for _, test := range []struct {
		name, query string
		header      []string
		status      string
	}{
		{"another page's origin", "", []string{"Origin", "https://evil.example"}, "403"},
		{"a wrong token", "", []string{"Authorization", "Bearer nobody"}, "401"},
		{"a bad cursor", "session=a&since=!!", nil, "400"},
		{"a bad rate", "session=a&max_rate=NaN", nil, "400"},
		{"a bad snapshot", "session=a&snapshot_records=1.5", nil, "400"},
		{"a NUL in a session", "session=%00", nil, "400"},
	} {
		if _, err := in.tryDial(test.query, test.header...); err == nil || !strings.Contains(err.Error(), test.status) {
			t.Errorf("%s: %v, want status %s", test.name, err, test.status)
		}
	}
	own, _ := in.follow(t, "session=a", "Origin", in.server.URL, "Authorization", "Bearer ann")
	in.dial(t, "").expect("hello")
	if _, err := in.tryDial(""); err == nil || !strings.Contains(err.Error(), "503") {
		t.Errorf("one connection too many: %v", err)
	}
	own.conn.Close()
	await.Until(t, "there is room again", func() bool { return in.stream.Stats().Connections < 2 })
	in.dial(t, "").expect("hello")
}

func TestUnrulyClients(t *testing.T) {
	t.Parallel()
	in := one(t, setup{})
	ends := func(c *screen, code int) {
		t.Helper()
		for {
			_, err := c.tryNext()
			if websocket.IsCloseError(err, code) {
				return
			}
			if err != nil {
				t.Fatalf("ended with %v, want code %d", err, code)
			}
		}
	}
	t.Run("nonsense", func(t *testing.T) {
		c := in.dial(t, "")
		c.expect("hello")
		for _, text := range []string{`{`, `[]`, `{"type":"subscribe"}`, `{"type":"nothing"}`, `{"type":"ping","extra":1}`, `{"type":"ping"}{}`} {
			if err := c.conn.WriteMessage(websocket.TextMessage, []byte(text)); err != nil {
				t.Fatal(err)
			}
			if e := c.expect("error"); e.Code != "INVALID_MESSAGE" {
				t.Errorf("%s: %+v", text, e)
			}
		}
		for range 4 {
			_ = c.conn.WriteMessage(websocket.TextMessage, []byte(`no`))
		}
		ends(c, 4400)
	})
	t.Run("binary", func(t *testing.T) {
		c := in.dial(t, "")
		_ = c.conn.WriteMessage(websocket.BinaryMessage, []byte(`{}`))
		ends(c, websocket.CloseUnsupportedData)
	})
	t.Run("too long", func(t *testing.T) {
		c := in.dial(t, "")
		for range 20 { // what comes after it does not hide the reason
			if c.conn.WriteMessage(websocket.TextMessage, []byte(strings.Repeat(" ", 65<<10))) != nil {
				break
			}
		}
		ends(c, websocket.CloseMessageTooBig)
	})
	t.Run("a flood", func(t *testing.T) {
		c := in.dial(t, "")
		for range 400 {
			if c.conn.WriteMessage(websocket.TextMessage, []byte(`{"type":"ping"}`)) != nil {
				break
			}
		}
		ends(c, 4429)
	})
	t.Run("too many subscriptions", func(t *testing.T) {
		c := in.dial(t, "")
		c.expect("hello")
		for i := range 129 {
			c.send(protocol.ClientMessage{Type: "subscribe", Session: strings.Repeat("x", i+1)})
		}
		for {
			if m := c.next(); m.Type == "error" {
				if m.Code != "LIMIT" {
					t.Errorf("error: %+v", m)
				}
				break
			}
		}
	})
}

// Bytes that grow a thousandfold when inflated are not taken in.
func TestCompressedBomb(t *testing.T) {
	t.Parallel()
	in := one(t, setup{stream: live.Options{Compression: true}})
	c := in.dial(t, "")
	c.expect("hello")
	c.conn.EnableWriteCompression(true)
	// 256 KiB of JSON that would be answered by an error if it were read whole;
	// compressed it is below the limit of what comes over the wire.
	bomb := []byte(`{"type":"` + strings.Repeat(" ", 256<<10) + `"}`)
	if err := c.conn.WriteMessage(websocket.TextMessage, bomb); err != nil {
		t.Fatal(err)
	}
	if m, err := c.tryNext(); !websocket.IsCloseError(err, websocket.CloseMessageTooBig) {
		t.Errorf("ended with %v %+v, want too big", err, m)
	}
}

// A client that gives no sign of life is let go.
func TestSilentClient(t *testing.T) {
	t.Parallel()
	in := one(t, setup{stream: live.Options{PingEvery: 40 * time.Millisecond}})
	c := in.dial(t, "")
	c.expect("hello")
	pinged := make(chan struct{}, 100)
	c.conn.SetPingHandler(func(string) error { pinged <- struct{}{}; return nil }) // no pong
	if _, err := c.tryNext(); !websocket.IsCloseError(err, 4408) {
		t.Errorf("ended with %v, want code 4408", err)
	}
	if len(pinged) == 0 {
		t.Error("it was never pinged")
	}
	await.Until(t, "it is forgotten", func() bool { return in.stream.Stats().Connections == 0 })
}
