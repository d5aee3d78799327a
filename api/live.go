package api

import (
	"net/http"

	"github.com/ecovolt/telemetryd/api/rest"
	"github.com/ecovolt/telemetryd/auth"
	"github.com/ecovolt/telemetryd/internal/fault"
)

// Anybody may open the stream; what a connection may watch is asked for each
// session.
func (s *server) liveRoutes() []route {
	return []route{rest.Stream("GET", "/api/v1/live", auth.ReadPublic,
		"Follow runs live, by websocket or server-sent events. The protocol is in docs/live.md.", s.live,
		rest.Answers(http.StatusSwitchingProtocols, "The websocket is open"), rest.Answers(http.StatusOK, "A stream of events", rest.Plain("text/event-stream")),
		rest.FailsWith(fault.NotFound, fault.RateLimited), rest.Unhurried)}
}

// liveParams are read by the stream itself: a websocket may bring the same in
// its messages.
type liveParams struct {
	Session         []string `query:"session" doc:"Runs to watch"`
	Fields          []string `query:"fields" doc:"Only these channels"`
	Since           string   `query:"since" doc:"Cursor of the last message that was seen"`
	MaxRate         *float64 `query:"max_rate" doc:"Most records of a run per second"`
	Mode            string   `query:"mode" doc:"What is sent of more records than that; see docs/live.md"`
	SnapshotSeconds *float64 `query:"snapshot_seconds" doc:"How much of the past to begin with, s"`
	SnapshotRecords *float64 `query:"snapshot_records" doc:"How much of the past to begin with, records"`
}

func (s *server) live(r *request, _ *liveParams) error {
	if s.Live == nil {
		return fault.New(fault.NotFound, "this server has no live stream")
	}
	s.Live.ServeHTTP(r.Writer, r.Request)
	return nil
}
