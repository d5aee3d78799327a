package api

import (
	"strconv"

	"github.com/ecovolt/telemetryd/api/rest"
	"github.com/ecovolt/telemetryd/auth"
	"github.com/ecovolt/telemetryd/internal/fault"
	"github.com/ecovolt/telemetryd/timeseries/track"
)

func (s *server) trackRoutes() []route {
	return []route{
		rest.JSON("GET", "/api/v1/tracks", auth.ListSessions, "List the circuits that runs go round, which are found by themselves.", s.listTracks),
		rest.JSON("GET", "/api/v1/tracks/:id", auth.ListSessions, "Return a circuit with its line, its sectors and its altitudes.", s.getTrackOf, rest.FailsWith(fault.NotFound)),
		rest.JSON("PATCH", "/api/v1/tracks/:id", auth.EditTracks, "Name a circuit and its sectors, move gates, or set the finish. Laps of all its runs are worked out anew then.", s.editTrack, rest.FailsWith(fault.NotFound)),
	}
}

type tracksAnswer struct {
	Tracks []track.Circuit `json:"tracks"`
}

func (s *server) listTracks(r *request, _ *none) (out tracksAnswer, err error) {
	out.Tracks, err = s.Store.Tracks.List(r.Request.Context())
	return out, err
}

// trackID is that of the path.
func trackID(r *request) (int32, error) {
	id, err := strconv.ParseInt(r.Param("id"), 10, 32)
	if err != nil {
		return 0, fault.New(fault.NotFound, "there is no track %q", fault.Clip(r.Param("id")))
	}
	return int32(id), nil
}

func (s *server) getTrackOf(r *request, _ *none) (*track.Circuit, error) {
	id, err := trackID(r)
	if err != nil {
		return nil, err
	}
	return s.Store.Tracks.Get(r.Request.Context(), id)
}

type editTrackParams struct{ Body track.Edit }

func (s *server) editTrack(r *request, p *editTrackParams) (*track.Circuit, error) {
	id, err := trackID(r)
	if err != nil {
		return nil, err
	}
	return s.Store.Tracks.Edit(r.Audited(auth.TrackChanged, map[string]any{"track": id}), id, p.Body)
}
