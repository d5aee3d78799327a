package client

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"time"

	"github.com/gorilla/websocket"

	"github.com/ecovolt/telemetryd/internal/httpx/ws"
	"github.com/ecovolt/telemetryd/internal/retry"
	"github.com/ecovolt/telemetryd/realtime/live/protocol"
)

// Follower is a client of the live stream: it watches one session, reconnects
// by itself and goes on where it was.
type Follower struct {
	URL       string                 // base URL of the server, http or https
	Authorize string                 // value of the Authorization header, or ""
	Subscribe protocol.ClientMessage // what to ask for; Since is kept current by Run
	// Message takes each message. Run stops when it returns an error.
	Message func(protocol.ServerMessage) error
	// Down is told why a connection ended or could not be made; may be nil.
	Down func(error)
}

// ErrRefused is what Run ends with when the server will not have us.
var ErrRefused = errors.New("the server refuses")

// Run follows until ctx ends or Message fails.
func (f *Follower) Run(ctx context.Context) error {
	backoff := retry.Backoff(100*time.Millisecond, 5*time.Second)
	for {
		connected, err := f.once(ctx)
		if ctx.Err() != nil {
			return ctx.Err()
		}
		if stop := (stopped{}); errors.As(err, &stop) {
			return stop.error
		}
		if f.Down != nil {
			f.Down(err)
		}
		if connected {
			backoff.Reset()
		}
		if err := retry.Pause(ctx, backoff.NextBackOff()); err != nil {
			return err
		}
	}
}

// stopped is an error after which there is no use in reconnecting.
type stopped struct{ error }

// once is one connection.
func (f *Follower) once(ctx context.Context) (connected bool, err error) {
	header := http.Header{}
	if f.Authorize != "" {
		header.Set("Authorization", f.Authorize)
	}
	dialer := websocket.Dialer{Proxy: http.ProxyFromEnvironment, HandshakeTimeout: 10 * time.Second, EnableCompression: true, Subprotocols: []string{protocol.Subprotocol}}
	conn, answer, err := dialer.DialContext(ctx, "ws"+strings.TrimPrefix(strings.TrimRight(f.URL, "/"), "http")+"/api/v1/live", header)
	if err != nil {
		if answer != nil && (answer.StatusCode == http.StatusUnauthorized || answer.StatusCode == http.StatusForbidden || answer.StatusCode == http.StatusNotFound) {
			return false, stopped{fmt.Errorf("%w: %s", ErrRefused, answer.Status)}
		}
		return false, err
	}
	defer conn.Close()
	defer context.AfterFunc(ctx, func() { conn.Close() })()
	// The server pings well within this time.
	alive := func() { _ = conn.SetReadDeadline(time.Now().Add(90 * time.Second)) }
	alive()
	ping := conn.PingHandler()
	conn.SetPingHandler(func(data string) error { alive(); return ping(data) })

	f.Subscribe.Type = "subscribe"
	if err := conn.WriteJSON(f.Subscribe); err != nil {
		return false, err
	}
	for {
		_, text, err := conn.ReadMessage()
		if err != nil && !ws.Reconnect(err) {
			return connected, stopped{fmt.Errorf("%w: %w", ErrRefused, err)}
		}
		if err != nil {
			return connected, err
		}
		alive()
		var m protocol.ServerMessage
		if err := json.Unmarshal(text, &m); err != nil {
			return connected, fmt.Errorf("not a message of the live protocol: %w", err)
		}
		connected = connected || m.Type == "subscribed"
		switch m.Type {
		case "records", "snapshot", "begun", "dropped":
			f.Subscribe.Since = m.Cursor
		case "error", "revoked":
			if m.Session == f.Subscribe.Session {
				return connected, stopped{fmt.Errorf("%w: %s", ErrRefused, m.Message)}
			}
		}
		if err := f.Message(m); err != nil {
			return connected, stopped{err}
		}
	}
}
