package live

import (
	"net/http"
	"strings"

	"github.com/ecovolt/telemetryd/internal/fault"
	"github.com/ecovolt/telemetryd/internal/httpx/problem"
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
		problem.Write(w, problem.Problem{Status: http.StatusUpgradeRequired, Code: protocol.CodeInvalid, Detail: "this is a live stream: open it as a websocket, or send Accept: text/event-stream"})
	}
}

// open makes the connection of a request, whose client it lets in as whom the
// credential says. It returns nil where it has answered why not.
func (st *Stream) open(w http.ResponseWriter, r *http.Request) *conn {
	if !st.opt.CheckOrigin(r) {
		problem.Write(w, problem.Problem{Status: http.StatusForbidden, Code: "ORIGIN", Detail: "pages of this origin may not connect"})
		return nil
	}
	c := newConn(st)
	if err := st.admit(r.Context(), c); err != nil {
		w.Header().Set("Retry-After", "5")
		problem.Write(w, problem.Problem{Status: http.StatusServiceUnavailable, Code: protocol.CodeLimit, Detail: err.Error()})
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

// refusal answers a request whose credential the policy does not take.
func refusal(w http.ResponseWriter, err error) {
	refused := fault.Refusal(err)
	if refused == nil {
		w.Header().Set("Retry-After", "1")
		problem.Write(w, problem.Problem{Status: http.StatusServiceUnavailable, Code: protocol.CodeUnavailable, Detail: "the database does not answer"})
		return
	}
	problem.Write(w, problem.Problem{Status: refused.Kind.Status(), Code: refused.LiveCode(), Detail: refused.Error()})
}
