// Package signals answers what channels of runs were, and when runs were in a part of the map, of
// what package timeseries/signal finds. It keeps nothing of its own, and may be asked any number
// of times at once.
package signals

import (
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/ecovolt/telemetryd/api/access"
	"github.com/ecovolt/telemetryd/api/rest"
	"github.com/ecovolt/telemetryd/api/shown"
	"github.com/ecovolt/telemetryd/auth"
	"github.com/ecovolt/telemetryd/internal/fault"
	"github.com/ecovolt/telemetryd/internal/httpx"
	"github.com/ecovolt/telemetryd/timeseries"
	"github.com/ecovolt/telemetryd/timeseries/analysis"
	"github.com/ecovolt/telemetryd/timeseries/rollup"
	"github.com/ecovolt/telemetryd/timeseries/signal"
)

// Source is what answers are made of.
type Source struct {
	Store *timeseries.Store
	// Read reads from the run of the request and others, of a replica if that has them.
	Read func(r *rest.Request, read func(*timeseries.Store) error, others ...*timeseries.Session) error
	// ReadAnalysed reads from runs that are analysed up to now.
	ReadAnalysed func(r *rest.Request, read func(*timeseries.Store) error, runs ...*timeseries.Session) error
	// Admit applies the rule of an action to a run, and returns it.
	Admit func(r *rest.Request, id string, action auth.Action) (*timeseries.Session, error)
	// Laps are those of the run of the request.
	Laps func(*rest.Request) (*analysis.Laps, error)
}

// Routes are those of signals and regions.
func Routes(s Source) []rest.Route {
	return []rest.Route{
		rest.Stream("GET", "/api/v1/sessions/:id/signals", auth.ReadSeries,
			"Count what channels were: how often each value of one came, two against one another, and the mean of another in each cell, such as power by speed and acceleration. Counts are exact, of the records of a window, of laps, of a part of the map, or of several runs.",
			s.getSignals, rest.Answers(http.StatusOK, "The counts; as x-ndjson line by line, how far it has come and then the counts", rest.JSONOf[signal.Counted](), rest.As[signalsLine](httpx.LinesType)), rest.NotModified()),
		rest.Stream("GET", "/api/v1/sessions/:id/stays", auth.ReadSeries,
			"Return when a run was within a part of the map, by the fixes that its laps are made of.",
			s.getStays, rest.Returns[staysView]("The times"), rest.NotModified()),
	}
}

type signalParams struct {
	X      string    `query:"x" required:"true" doc:"Channel whose values are counted" example:"speed_ms"`
	Y      string    `query:"y" doc:"Second channel: records are counted in cells of both" example:"accel_x"`
	Mean   string    `query:"mean" doc:"Channel whose mean is wanted in each cell" example:"power_w"`
	From   time.Time `query:"from" doc:"Begin of the window, ISO 8601 or milliseconds since 1970"`
	To     time.Time `query:"to" doc:"End of the window, not part of it"`
	Laps   []string  `query:"laps" doc:"Numbers of laps of the run, as its laps are counted without parameters, instead of a window" example:"2,3"`
	Also   []string  `query:"also" doc:"Further runs that are counted with it, up to 15; a comma in an id is %2C"`
	Region string    `query:"region" doc:"Only what was measured while the runs were within a part of the map, by the fixes that laps are made of: south,west,north,east in degrees; west is over east where it crosses 180 degrees" example:"48.1,11.4,48.2,11.6"`
	XBins  int       `query:"x_bins" default:"50" minimum:"1" maximum:"10000" doc:"Bins of x, equally wide; bins of x times bins of y are 10,000 at most"`
	YBins  int       `query:"y_bins" default:"50" minimum:"1" maximum:"10000" doc:"Bins of y"`
	XLow   *float64  `query:"x_low" doc:"Where the bins of x begin, in the unit of the answer; the lowest value without it"`
	XHigh  *float64  `query:"x_high" doc:"Where they end; the highest value without it"`
	YLow   *float64  `query:"y_low" doc:"Where the bins of y begin, in the unit of the answer; the lowest value without it"`
	YHigh  *float64  `query:"y_high" doc:"Where they end; the highest value without it"`
	shown.Params
}

func (s Source) getSignals(r *rest.Request, p *signalParams) error {
	ctx, system := r.Request.Context(), p.System(r.Principal)
	set, err := s.Store.Channels.Current(ctx)
	if err != nil {
		return err
	}
	req := signal.Request{
		Runs: []string{r.Session.ID}, X: p.X, Y: p.Y, Mean: p.Mean, From: p.From, To: p.To, Class: access.SeriesClass(r.Principal),
		XBins: shown.Bins(set, system, p.X, p.XBins, p.XLow, p.XHigh), YBins: shown.Bins(set, system, p.Y, p.YBins, p.YLow, p.YHigh),
	}
	if req.Region, err = parse(p.Region); err != nil {
		return err
	}
	if len(p.Also) >= signal.MaxRuns {
		return fault.Field("also", "at most %d further runs, not %d", signal.MaxRuns-1, len(p.Also))
	}
	var others []*timeseries.Session
	for _, id := range p.Also {
		id = rest.Listed(id)
		if slices.Contains(req.Runs, id) {
			continue
		}
		other, err := s.Admit(r, id, auth.ReadSeries)
		if err != nil {
			return err
		}
		req.Runs, others = append(req.Runs, id), append(others, other)
	}
	if len(p.Laps) > 0 {
		if req.Laps, err = s.lapSpans(r, p.Laps); err != nil {
			return err
		}
	}
	lines := strings.Contains(r.GetHeader("Accept"), "ndjson")
	if lines {
		req.Progress = progress(r)
	}
	var answer *signal.Counted
	read := func(store *timeseries.Store) (err error) {
		answer, err = store.Signals.Read(ctx, req)
		return err
	}
	if req.Region != nil {
		err = s.ReadAnalysed(r, read, append(others, r.Session)...)
	} else {
		err = s.Read(r, read, others...)
	}
	if err != nil {
		return err
	}
	r.Writer.Header().Add("Vary", "Accept")
	if answer = shown.Signals(answer, system); lines {
		return finish(r, answer)
	}
	return r.CacheableJSON(answer)
}

// lapSpans are when the path's run drove these laps, in their order.
func (s Source) lapSpans(r *rest.Request, numbers []string) (spans []rollup.Span, err error) {
	laps, err := s.Laps(r)
	if err != nil {
		return nil, err
	}
	wanted := map[int64]bool{}
	for _, text := range numbers {
		n, err := strconv.ParseInt(text, 10, 64)
		if err != nil || !slices.ContainsFunc(laps.Laps, func(l analysis.Lap) bool { return l.Lap == n }) {
			return nil, fault.Field("laps", "%q is no lap of the run, which has %d", fault.Clip(text), len(laps.Laps))
		}
		wanted[n] = true
	}
	for _, l := range laps.Laps {
		if wanted[l.Lap] {
			spans = append(spans, rollup.Span{From: l.From, To: l.To})
		}
	}
	return spans, nil
}
