package brief

import (
	"cmp"
	"net/http"

	"github.com/ecovolt/telemetryd/api/access"
	"github.com/ecovolt/telemetryd/api/rest"
	"github.com/ecovolt/telemetryd/api/runbook"
	"github.com/ecovolt/telemetryd/api/shown"
	"github.com/ecovolt/telemetryd/auth"
	"github.com/ecovolt/telemetryd/internal/fault"
	"github.com/ecovolt/telemetryd/internal/httpx"
	"github.com/ecovolt/telemetryd/timeseries"
	"github.com/ecovolt/telemetryd/timeseries/analysis"
	"github.com/ecovolt/telemetryd/timeseries/book"
	"github.com/ecovolt/telemetryd/timeseries/energy"
	"github.com/ecovolt/telemetryd/timeseries/series"
)

// Source is what a brief is made of: the functions behind the routes that have the
// same figures.
type Source struct {
	Store   *timeseries.Store
	Charts  *shown.Charts
	Site    *httpx.Site
	Summary func(*rest.Request) (*shown.SummaryView, error)
	Laps    func(*rest.Request) (*analysis.Laps, error)
	Energy  func(*rest.Request) (*energy.Balance, error)
	// Read reads from the run of the request, of a replica if that has it.
	Read func(r *rest.Request, read func(*timeseries.Store) error, others ...*timeseries.Session) error
	// Going reports whether a run may go on.
	Going func(*timeseries.Session) bool
}

// Routes are those of the brief.
func Routes(s Source) []rest.Route {
	return []rest.Route{rest.Stream("GET", "/api/v1/sessions/:id/brief", auth.ReadSeries,
		"Return a run on one page, to be printed: what the run book says, figures, best and worst laps and sectors, where the energy went, what would save some, and what deserves attention, with links to that part of the run.",
		s.get, rest.Answers(http.StatusOK, "A page", rest.Plain("text/html")), rest.NotModified())}
}

type params struct {
	Units    string `query:"units" enum:"display,metric,si" doc:"Units of the page: metric is km/h and Wh, si is m/s and J; default what the account prefers"`
	Timezone string `query:"timezone" default:"UTC" doc:"Time zone of times, such as Europe/Berlin"`
}

func (s Source) get(r *rest.Request, p *params) error {
	zone, err := runbook.Zone(p.Timezone)
	if err != nil {
		return err
	}
	ctx, id := r.Request.Context(), r.Session.ID
	session, err := s.Store.SessionWithFigures(ctx, id)
	if err != nil {
		return err
	}
	if session == nil { // deleted a moment ago
		return fault.NoSession(id)
	}
	run := &run{
		Session: session, Going: s.Going(session), Zone: zone, Site: s.Site.BaseURL(r.Request),
		Units: shown.Params{Units: cmp.Or(p.Units, "display")}.System(r.Principal),
	}
	if session.Records > 0 {
		if err := s.measure(r, run); err != nil {
			return err
		}
	}
	notes, err := s.Store.RunNotes(ctx, id, nil)
	if err != nil {
		return err
	}
	run.Notes = runbook.Notes(r.Principal, notes)
	page, err := run.html()
	if err != nil {
		return err
	}
	r.Header("Content-Security-Policy", policy)
	return r.Cacheable("text/html; charset=utf-8", page, false, false)
}

// measure fills in what the records of a run say.
func (s Source) measure(r *rest.Request, run *run) (err error) {
	if run.Summary, err = s.Summary(r); err != nil {
		return err
	}
	if run.Laps, err = s.Laps(r); err != nil {
		return err
	}
	if run.Energy, err = s.Energy(r); err != nil {
		return err
	}
	ctx, id := r.Request.Context(), r.Session.ID
	if run.MadeUp, err = s.Store.Notes.MadeUp(ctx, id, run.Session.Version()); err != nil {
		return err
	}
	if run.Session.Book.Plan != (book.Plan{}) {
		if run.Outlook, err = s.Store.Pace.Read(ctx, id); err != nil {
			return err
		}
	}
	if t := run.Laps.Track; t != nil {
		if run.Circuit, err = s.Store.Tracks.Get(ctx, t.ID, nil); err != nil && !fault.Is(err, fault.NotFound) {
			return err
		}
	}
	return s.Read(r, func(store *timeseries.Store) (err error) {
		charts, err := store.Series.Read(ctx, series.Request{Sessions: []string{id}, Metrics: metrics, Points: points, Class: access.SeriesClass(r.Principal)})
		if err != nil {
			return err
		}
		run.Charts = s.Charts.In(run.Units, charts)
		if run.Circuit != nil {
			return nil
		}
		if run.Track, err = store.Series.Track(ctx, id, 2); err == nil {
			run.Track.Coarsen(trackPoints)
		}
		return err
	})
}
