package api

import (
	"net/http"
	"slices"
	"time"

	"github.com/ecovolt/telemetryd/api/access"
	"github.com/ecovolt/telemetryd/api/brief"
	"github.com/ecovolt/telemetryd/api/mirror"
	"github.com/ecovolt/telemetryd/api/rest"
	"github.com/ecovolt/telemetryd/api/shown"
	"github.com/ecovolt/telemetryd/api/signals"
	"github.com/ecovolt/telemetryd/auth"
	"github.com/ecovolt/telemetryd/timeseries"
	"github.com/ecovolt/telemetryd/timeseries/analysis"
	"github.com/ecovolt/telemetryd/timeseries/channel"
	"github.com/ecovolt/telemetryd/timeseries/compare"
	"github.com/ecovolt/telemetryd/timeseries/energy"
	"github.com/ecovolt/telemetryd/timeseries/series"
)

func (s *server) seriesRoutes() []route {
	return []route{
		rest.Stream("GET", "/api/v1/sessions/:id/series", auth.ReadSeries,
			"Return metrics in buckets of time, for a chart. Each bucket has lowest, highest and mean value, so that no spike is lost; the answer names the level and width that served it.",
			s.getSeries, rest.Returns[mirror.Series]("Columns of times and values"), rest.NotModified()),
		rest.Stream("GET", "/api/v1/sessions/:id/summary", auth.ReadSeries, "Return a run's figures: distance, energy, efficiency, speeds, power, gaps, data quality.",
			s.getSummary, rest.Returns[shown.SummaryView]("The figures"), rest.NotModified()),
		rest.Stream("GET", "/api/v1/sessions/:id/laps", auth.ReadSeries,
			"Return laps, stints, stops and driver modes. A lap is from one pass of the line to the next; without a line, from one return to where the run first moved to the next.",
			s.getLaps, rest.Returns[analysis.Laps]("Laps and stints"), rest.NotModified()),
		rest.Stream("GET", "/api/v1/sessions/:id/energy", auth.ReadSeries,
			"Say where the energy of a run went, and what would save some: a model of what driving takes, fitted to the run, with its errors; by it, what the run, its laps and its sectors took for rolling, drag, climbing and speeding up; how much of it an even speed would have taken; and sector by sector what driving as in the run's best lap would save, by the records.",
			s.getEnergy, rest.Returns[energy.Balance]("Where it went"), rest.NotModified()),
		rest.Stream("GET", "/api/v1/sessions/:id/track", auth.ReadSeries, "Return the GPS track as GeoJSON, simplified to a tolerance.",
			s.getTrack, rest.Answers(http.StatusOK, "A GeoJSON feature", rest.As[mirror.Track]("application/geo+json")), rest.NotModified()),
	}
}

type seriesParams struct {
	Metrics []string  `query:"metrics" required:"true" doc:"Channels" example:"speed_ms,power_w"`
	From    time.Time `query:"from" doc:"Begin of the window, ISO 8601 or milliseconds since 1970" example:"2026-03-21T21:41:10Z"`
	To      time.Time `query:"to" doc:"End of the window, not part of it"`
	Start   *float64  `query:"start" doc:"Begin of the window in seconds or metres, where runs are aligned"`
	End     *float64  `query:"end" doc:"Its end"`
	Points  int       `query:"points" default:"1000" doc:"Most buckets wanted, about the chart's width in pixels"`
	Mode    string    `query:"mode" enum:"minmax,m4" doc:"minmax, or m4: also the first and last value of each pixel column. Columns of long windows are whole buckets, of which t says where each begins"`
	Fill    string    `query:"fill" enum:"gap,null,locf" doc:"What stands for buckets without records"`
	Compare []string  `query:"compare" doc:"Further runs; a comma in an id is %2C"`
	Align   string    `query:"align" enum:"time,elapsed,distance" doc:"What runs have in common; distance is what the car counted (distance_m)"`
	Version string    `query:"version" doc:"The run's version that you know: an answer of the function contract's fields may then be kept for ever"`
	shown.Params
}

func (s *server) getSeries(r *request, p *seriesParams) error {
	req := series.Request{
		Sessions: []string{r.Session.ID}, Versions: []string{r.Session.Version()}, Metrics: p.Metrics, Points: p.Points, From: p.From, To: p.To, Start: p.Start, End: p.End,
		Class: access.SeriesClass(r.Principal),
	}
	var others []*timeseries.Session
	for _, id := range p.Compare {
		id = rest.Listed(id)
		if slices.Contains(req.Sessions, id) {
			continue
		}
		if len(req.Sessions) > series.MaxSessions {
			break // the store says how many are too many
		}
		other, err := s.admitSession(r, id, auth.ReadSeries)
		if err != nil {
			return err
		}
		req.Sessions, req.Versions, others = append(req.Sessions, id), append(req.Versions, other.Version()), append(others, other)
	}
	// Each is one of the declared values.
	req.Align, _ = series.ParseAlign(p.Align)
	req.Fill, _ = series.ParseFill(p.Fill)
	req.Mode, _ = series.ParseMode(p.Mode)
	var answer *series.Answer
	err := s.read(r, func(store *timeseries.Store) (err error) {
		answer, err = store.Series.Read(r.Request.Context(), req)
		return err
	}, others...)
	if err != nil {
		return err
	}
	// A caller that names the version it knows of the session may keep the
	// answer for ever, if that is the version it got: but for channels of which somebody
	// may say something else tomorrow, a formula, a unit or an alias.
	pinned := len(answer.Sessions) == 1 && p.Version == answer.Sessions[0].Version
	lasting := p.Lasting() && !slices.ContainsFunc(p.Metrics, func(name string) bool { _, contract := channel.Index(name); return !contract })
	answer = s.charts.In(p.System(r.Principal), answer)
	return r.Cacheable("application/json", answer.JSON(), pinned && lasting, answer.Settled && lasting)
}

// read reads from the path's session, and maybe others: from the replica, if
// there is one that holds them as they are.
func (s *server) read(r *request, read func(*timeseries.Store) error, others ...*timeseries.Session) error {
	if s.Replica == nil {
		return read(s.Store)
	}
	return s.Replica.Read(r.Request.Context(), append(others, r.Session), read)
}

// readAnalysed reads from runs once they are analysed up to now: from the replica as
// read does, unless something was worked out this moment, which that has not got yet.
func (s *server) readAnalysed(r *request, read func(*timeseries.Store) error, runs ...*timeseries.Session) error {
	worked := false
	for _, run := range runs {
		one, err := s.Store.Analysis.Update(r.Request.Context(), run.ID)
		if err != nil {
			return err
		}
		worked = worked || one
	}
	if worked || s.Replica == nil {
		return read(s.Store)
	}
	return s.Replica.Read(r.Request.Context(), runs, read)
}

func (s *server) getSummary(r *request, _ *none) error {
	view, err := s.summary(r)
	if err != nil {
		return err
	}
	return r.CacheableJSON(view)
}

func (s *server) summary(r *request) (*shown.SummaryView, error) {
	summary, err := s.Store.Summary(r.Request.Context(), r.Session.ID)
	if err != nil {
		return nil, err
	}
	figures, err := s.Store.Analysis.Figures(r.Request.Context(), r.Session.ID)
	if err != nil {
		return nil, err
	}
	return shown.Summary(summary, figures), nil
}

type lapsParams struct {
	Latitude  *float64 `query:"latitude" doc:"A point of the start line, deg"`
	Longitude *float64 `query:"longitude" doc:"Its longitude, deg"`
	Radius    *float64 `query:"radius" over:"0" default:"25" doc:"How near to it a pass is, m"`
	AtLeast   *float64 `query:"at_least" over:"0" default:"20" doc:"Shortest lap, s"`
	Metrics   []string `query:"metrics" doc:"Channels, up to 16: mean, lowest and highest value of each in the records of each lap" example:"motor_temp_c"`
	shown.Params
}

func (s *server) getLaps(r *request, p *lapsParams) error {
	laps, err := s.laps(r, p)
	if err != nil {
		return err
	}
	return r.CacheableJSON(laps)
}

func (s *server) laps(r *request, p *lapsParams) (laps *analysis.Laps, err error) {
	req := analysis.LapRequest{Session: r.Session.ID, Latitude: p.Latitude, Longitude: p.Longitude}
	if p.Radius != nil {
		req.Radius = *p.Radius
	}
	if p.AtLeast != nil {
		req.AtLeast = *p.AtLeast
	}
	err = s.readAnalysed(r, func(store *timeseries.Store) (err error) {
		if laps, err = store.Analysis.Laps(r.Request.Context(), req); err != nil || len(p.Metrics) == 0 {
			return err
		}
		return store.Laps.Means(r.Request.Context(), r.Session.ID, laps.Laps, compare.Request{Metrics: p.Metrics, Class: access.SeriesClass(r.Principal)})
	}, r.Session)
	if err != nil {
		return nil, err
	}
	if system := p.System(r.Principal); system != "" && len(p.Metrics) > 0 {
		set, err := s.Store.Channels.Current(r.Request.Context())
		if err != nil {
			return nil, err
		}
		shown.Laps(laps.Laps, set, system)
	}
	return laps, nil
}

func (s *server) lapsAsCounted(r *request) (*analysis.Laps, error) { return s.laps(r, &lapsParams{}) }

func (s *server) getEnergy(r *request, _ *none) error {
	balance, err := s.energy(r)
	if err != nil {
		return err
	}
	return r.CacheableJSON(balance)
}

func (s *server) energy(r *request) (balance *energy.Balance, err error) {
	err = s.readAnalysed(r, func(store *timeseries.Store) (err error) {
		balance, err = store.Energy.Read(r.Request.Context(), r.Session.ID)
		return err
	}, r.Session)
	return balance, err
}

func (s *server) signalRoutes() []route {
	return signals.Routes(signals.Source{Store: s.Store, Read: s.read, ReadAnalysed: s.readAnalysed, Admit: s.admitSession, Laps: s.lapsAsCounted})
}

func (s *server) briefRoutes() []route {
	return brief.Routes(brief.Source{
		Store: s.Store, Charts: s.charts, Site: s.site, Read: s.read, Summary: s.summary, Going: followable, Laps: s.lapsAsCounted, Energy: s.energy,
	})
}

type trackParams struct {
	Tolerance *float64 `query:"tolerance" default:"2" doc:"How far a point may lie from the drawn line, m; 2 is about what GPS itself is off by"`
	Points    int      `query:"points" minimum:"1" maximum:"2147483647" doc:"Most positions to return; absent is all"`
	Version   string   `query:"version" doc:"The run's version that you know: the answer may then be kept for ever"`
}

func (s *server) getTrack(r *request, p *trackParams) error {
	var track *series.Track
	err := s.read(r, func(store *timeseries.Store) (err error) {
		track, err = store.Series.Track(r.Request.Context(), r.Session.ID, *p.Tolerance)
		return err
	})
	if err != nil {
		return err
	}
	if p.Points > 0 {
		track.Coarsen(p.Points)
	}
	return r.Cacheable("application/geo+json", track.AppendGeoJSON(nil), p.Version == track.Version, false)
}
