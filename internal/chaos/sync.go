package chaos

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"time"

	"github.com/gorilla/websocket"

	"github.com/ecovolt/telemetryd/internal/process"
)

// dialSync opens a socket of the sync protocol with the rights of the owner: the one
// behind so many earlier ones of a client's session.
func dialSync(ctx context.Context, address, session string, earlier int) (*websocket.Conn, error) {
	conn, _, err := (&websocket.Dialer{HandshakeTimeout: 10 * time.Second}).DialContext(ctx, "ws://"+address+"/api/1.48.0/sync", nil)
	if err != nil {
		return nil, err
	}
	err = errors.Join(
		conn.WriteJSON(map[string]any{"type": "Connect", "sessionId": session, "connectionCount": earlier, "lastCloseReason": nil}),
		conn.WriteJSON(map[string]any{"type": "Authenticate", "baseVersion": 0, "tokenType": "Admin", "value": strings.TrimPrefix(process.Authorization, "Convex ")}),
	)
	if err != nil {
		conn.Close()
		return nil, err
	}
	return conn, nil
}

// syncClient sends mutations as the client of Convex does: one after the other over
// a socket, and those that were not answered again, under their number, over the
// next one.
type syncClient struct {
	session     string // the client's own name for itself
	conn        *websocket.Conn
	daemon      *daemon // that it is connected to
	connections int
	request     int // number of the newest mutation
}

func (c *syncClient) close() {
	if c.conn != nil {
		c.conn.Close()
		c.conn = nil
	}
}

// mutate asks an instance to run a mutation, or for the answer to it.
func (c *syncClient) mutate(ctx context.Context, d *daemon, path string, args any) (int, string, error) {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	status, text, err := c.try(ctx, d, path, args)
	if err != nil {
		c.close()
	}
	return status, text, err
}

func (c *syncClient) try(ctx context.Context, d *daemon, path string, args any) (int, string, error) {
	if c.daemon != d {
		c.close()
	}
	if c.conn == nil {
		conn, err := dialSync(ctx, d.clients.address(), c.session, c.connections)
		if err != nil {
			return 0, "", err
		}
		c.conn, c.daemon = conn, d
		c.connections++
	}
	deadline, _ := ctx.Deadline()
	err := errors.Join(c.conn.SetReadDeadline(deadline), c.conn.SetWriteDeadline(deadline),
		c.conn.WriteJSON(map[string]any{"type": "Mutation", "requestId": c.request, "udfPath": path, "args": []any{args}}))
	for err == nil {
		var m struct {
			Type      string
			RequestID int
			Success   bool
			Result    json.RawMessage
			Error     string
		}
		switch err = c.conn.ReadJSON(&m); {
		case err != nil:
		case m.Type == "FatalError" || m.Type == "AuthError":
			return http.StatusBadRequest, m.Error, nil
		case m.Type == "MutationResponse" && m.RequestID == c.request:
			c.request++ // also after a failure, which is the mutation's answer
			if m.Success {
				return http.StatusOK, string(m.Result), nil
			}
			return http.StatusInternalServerError, string(m.Result), nil
		}
	}
	return 0, "", fmt.Errorf("mutation %d: %w", c.request, err)
}
