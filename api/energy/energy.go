// Package energy answers where the energy of runs went, of what package timeseries/energy finds. It
// keeps nothing of its own, and may be asked any number of times at once.
package energy

import (
	"github.com/ecovolt/telemetryd/api/rest"
	"github.com/ecovolt/telemetryd/auth"
	"github.com/ecovolt/telemetryd/timeseries"
	"github.com/ecovolt/telemetryd/timeseries/energy"
)

// Source is what answers are made of.
type Source struct {
	// ReadAnalysed reads from runs that are analysed up to now.
	ReadAnalysed func(r *rest.Request, read func(*timeseries.Store) error, runs ...*timeseries.Session) error
}

// Routes are those of the energy.
func Routes(s Source) []rest.Route {
	return []rest.Route{rest.Stream("GET", "/api/v1/sessions/:id/energy", auth.ReadSeries,
		"Say where the energy of a run went, and what would save some: a model of what driving takes, fitted to the run, with its errors; by it, what the run, its laps and its sectors took for rolling, drag, climbing and speeding up; how much of it an even speed would have taken; and sector by sector what driving as in the run's best lap would save, by the records.",
		s.get, rest.Returns[energy.Balance]("Where it went"), rest.NotModified())}
}

func (s Source) get(r *rest.Request, _ *struct{}) error {
	answer, err := s.Of(r)
	if err != nil {
		return err
	}
	return r.CacheableJSON(answer)
}

// Of is where the energy of the run of the request went, up to now.
func (s Source) Of(r *rest.Request) (answer *energy.Balance, err error) {
	err = s.ReadAnalysed(r, func(store *timeseries.Store) (err error) {
		answer, err = store.Energy.Read(r.Request.Context(), r.Session.ID)
		return err
	}, r.Session)
	return answer, err
}
