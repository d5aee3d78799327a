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
		rest.JSON("GET", "/api/v1/tracks", auth.ListSessions, "List the circuits that runs go round, which are found by themselves: those of the runs that the caller may list.", s.listTracks),
		rest.JSON("GET", "/api/v1/tracks/:id", auth.ListSessions, "Return a circuit with its line, its sectors and its altitudes.", s.getTrackOf, rest.FailsWith(fault.NotFound)),
		rest.JSON("DELETE", "/api/v1/tracks/:id", auth.EditTracks, "Forget a circuit, with those that were made part of it. Laps of its runs are worked out anew then: a run of two laps finds it again, without a name and with sectors of its own, and counts its laps from where it began.", s.deleteTrack, rest.FailsWith(fault.NotFound)),
		rest.JSON("POST", "/api/v1/tracks/:id/merge", auth.EditTracks, "Make another circuit, which is the same place found a second time, part of this one: runs of both have this one's name, finish and sectors then.", s.mergeTrack, rest.FailsWith(fault.NotFound)),
		rest.JSON("POST", "/api/v1/tracks/:id/split", auth.EditTracks, "Make a circuit that was made part of this one a circuit of its own again, with the name and the sectors that it had.", s.splitTrack, rest.FailsWith(fault.NotFound)),
		rest.JSON("PATCH", "/api/v1/tracks/:id", auth.EditTracks, "Name a circuit and its sectors, move gates, or set the finish. Laps of all its runs are worked out anew then.", s.editTrack, rest.FailsWith(fault.NotFound)),
	}
}

type tracksAnswer struct {
	Tracks []track.Circuit `json:"tracks"`
}

func (s *server) listTracks(r *request, _ *none) (out tracksAnswer, err error) {
	out.Tracks, err = s.Store.Tracks.List(r.Request.Context(), r.Decision.Since())
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
	return s.Store.Tracks.Get(r.Request.Context(), id, r.Decision.Since())
}

type editTrackParams struct{ Body track.Edit }

func (s *server) editTrack(r *request, p *editTrackParams) (*track.Circuit, error) {
	id, err := trackID(r)
	if err != nil {
		return nil, err
	}
	return s.Store.Tracks.Edit(r.Audited(auth.TrackChanged, map[string]any{"track": id}), id, p.Body)
}

func (s *server) deleteTrack(r *request, _ *none) (none, error) {
	id, err := trackID(r)
	if err != nil {
		return none{}, err
	}
	return none{}, s.Store.Tracks.Delete(r.Audited(auth.TrackDeleted, map[string]any{"track": id}), id)
}

type otherTrackParams struct {
	Body struct {
		Track int32 `json:"track" doc:"The circuit that becomes part of the one in the path, or is part of it"`
	}
}

func (s *server) mergeTrack(r *request, p *otherTrackParams) (*track.Circuit, error) {
	id, err := trackID(r)
	if err != nil {
		return nil, err
	}
	return s.Store.Tracks.Merge(r.Audited(auth.TracksMerged, map[string]any{"track": id, "other": p.Body.Track}), id, p.Body.Track)
}

func (s *server) splitTrack(r *request, p *otherTrackParams) (*track.Circuit, error) {
	id, err := trackID(r)
	if err != nil {
		return nil, err
	}
	return s.Store.Tracks.Split(r.Audited(auth.TrackSplit, map[string]any{"track": id, "other": p.Body.Track}), id, p.Body.Track)
}
