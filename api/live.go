package api

import (
	"net/http"

	"github.com/ecovolt/telemetryd/auth"
	"github.com/ecovolt/telemetryd/internal/fault"
)

// Anybody may open the stream; what a connection may watch is asked for each
// session.
func (s *server) liveRoutes() []Route {
	return []Route{{http.MethodGet, "/api/v1/live", auth.ReadPublic, s.live}}
}

func (s *server) live(r *Request) error {
	if s.Live == nil {
		return fault.New(fault.NotFound, "this server has no live stream")
	}
	s.Live.ServeHTTP(r.Writer, r.Request)
	return nil
}
