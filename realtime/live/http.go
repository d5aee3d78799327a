package live

import (
	"encoding/json"
	"net/http"
	"net/url"
	"strconv"
	"strings"

	"github.com/ecovolt/telemetryd/internal/fault"
	"github.com/ecovolt/telemetryd/internal/httpx/ws"
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
		problem(w, http.StatusUpgradeRequired, codeInvalid,
			"this is a live stream: open it as a websocket, or send Accept: text/event-stream")
	}
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
		problem(w, http.StatusServiceUnavailable, codeUnavailable, "the database does not answer")
		return
	}
	problem(w, refused.Kind.Status(), refused.LiveCode(), refused.Error())
}

// queryRequests reads the subscriptions that the URL asks for: session=, which
// may repeat, and fields=, since=, max_rate=, mode=, snapshot_seconds= and
// snapshot_records=, which hold for all of them. A since= may join several
// cursors; each goes to the session it belongs to.
func queryRequests(values url.Values) ([]request, error) {
	var requests []request
	for _, session := range values["session"] {
		m := ClientMessage{Type: typeSubscribe, Session: session, Mode: values.Get("mode")}
		for _, list := range values["fields"] {
			for name := range strings.SplitSeq(list, ",") {
				if name = strings.TrimSpace(name); name != "" {
					m.Fields = append(m.Fields, name)
				}
			}
		}
		if since := values.Get("since"); !strings.Contains(since, cursorSeparator) {
			m.Since = since
		}
		var err error
		if m.MaxRate, err = number(values, "max_rate"); err != nil {
			return nil, err
		}
		seconds, err := number(values, "snapshot_seconds")
		if err != nil {
			return nil, err
		}
		records, err := number(values, "snapshot_records")
		if err != nil {
			return nil, err
		}
		if values.Has("snapshot_seconds") || values.Has("snapshot_records") {
			if records != float64(int(records)) {
				return nil, fault.Field("snapshot_records", "is not a whole number")
			}
			m.Snapshot = &SnapshotRequest{Seconds: seconds, Records: int(records)}
		}
		r, err := request{ClientMessage: m}.check()
		if err != nil {
			return nil, fault.New(fault.Invalid, "%v", err)
		}
		requests = append(requests, r)
	}
	if len(requests) > maxSubscriptions {
		return nil, fault.Field("session", "more than %d", maxSubscriptions)
	}
	return requests, nil
}

func number(values url.Values, name string) (float64, error) {
	text := values.Get(name)
	if text == "" {
		return 0, nil
	}
	v, err := strconv.ParseFloat(text, 64)
	if err != nil || v != v || v > 1e9 || v < -1e9 {
		return 0, fault.Field(name, "is not a number")
	}
	return v, nil
}
