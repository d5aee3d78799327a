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
	Store *timeseries.Store
	// Read reads from the run of the request and others, of a replica if that has them.
	Read func(r *rest.Request, read func(*timeseries.Store) error, others ...*timeseries.Session) error
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
	ctx, id := r.Request.Context(), r.Session.ID
	worked, err := s.Store.Analysis.Update(ctx, id)
	if err != nil {
		return nil, err
	}
	read := func(store *timeseries.Store) (err error) {
		answer, err = store.Energy.Read(ctx, id)
		return err
	}
	if worked { // what was worked out this moment no replica has yet
		err = read(s.Store)
	} else {
		err = s.Read(r, read)
	}
	return answer, err
}
