package live

import (
	"encoding/json"
	"net/http"
	"strings"

	"github.com/ecovolt/telemetryd/internal/fault"
	"github.com/ecovolt/telemetryd/internal/httpx/ws"
	"github.com/ecovolt/telemetryd/realtime/live/protocol"
)

// ServeHTTP serves GET /api/v1/live: a websocket, or server-sent events to
// those who ask for text/event-stream.
func (st *Stream) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	switch {
	case ws.IsUpgrade(r):
		st.serveWebSocket(w, r)
	case strings.Contains(r.Header.Get("Accept"), "text/event-stream"):
		st.serveEvents(w, r)
	default:
		w.Header().Set("Upgrade", "websocket")
		w.Header().Set("Connection", "Upgrade")
		problem(w, http.StatusUpgradeRequired, protocol.CodeInvalid,
			"this is a live stream: open it as a websocket, or send Accept: text/event-stream")
	}
}

// open makes the connection of a request, whose client it lets in as whom the
// credential says. It returns nil where it has answered why not.
func (st *Stream) open(w http.ResponseWriter, r *http.Request) *conn {
	if !st.opt.CheckOrigin(r) {
		problem(w, http.StatusForbidden, "ORIGIN", "pages of this origin may not connect")
		return nil
	}
	c := newConn(st)
	if err := st.admit(c); err != nil {
		w.Header().Set("Retry-After", "5")
		problem(w, http.StatusServiceUnavailable, protocol.CodeLimit, err.Error())
		c.cancel()
		return nil
	}
	if err := st.greet(r.Context(), c, st.opt.Credential(r)); err != nil {
		refusal(w, err)
		c.abandon()
		return nil
	}
	return c
}

// problem answers a request that does not become a stream.
func problem(w http.ResponseWriter, status int, code, message string) {
	w.Header().Set("Content-Type", "application/problem+json")
	w.Header().Set("Cache-Control", "no-store")
	w.WriteHeader(status)
	// Nothing can be done about a failed write here.
	_ = json.NewEncoder(w).Encode(map[string]any{
		"type": "about:blank", "title": http.StatusText(status), "status": status, "code": code, "detail": message,
	})
}

// refusal answers a request whose credential the policy does not take.
func refusal(w http.ResponseWriter, err error) {
	refused := fault.Refusal(err)
	if refused == nil {
		w.Header().Set("Retry-After", "1")
		problem(w, http.StatusServiceUnavailable, protocol.CodeUnavailable, "the database does not answer")
		return
	}
	problem(w, refused.Kind.Status(), refused.LiveCode(), refused.Error())
}
