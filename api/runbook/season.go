package runbook

import (
	"time"

	"github.com/ecovolt/telemetryd/api/rest"
	"github.com/ecovolt/telemetryd/auth"
	"github.com/ecovolt/telemetryd/timeseries"
)

type handler struct {
	store *timeseries.Store
	auth  *auth.Service
}

// Routes are those of the run book, and of what is worked out by it.
func Routes(store *timeseries.Store, accounts *auth.Service) []rest.Route {
	h := handler{store, accounts}
	return append(h.noteRoutes(), h.paceRoute(),
		rest.JSON("GET", "/api/v1/season", auth.ListSessions,
			"Return a figure of each run, grouped by what the run book says: how many runs, their mean, and how far they lie apart. External accounts see the runs of the last 7 days.", h.season))
}

type seasonParams struct {
	Figure string `query:"figure" default:"efficiency_km_kwh" enum:"efficiency_km_kwh,distance_km,energy_wh,avg_speed_kmh,duration_s" doc:"What is compared"`
	By     string `query:"by" default:"driver" doc:"What runs are grouped by: day, driver, car, setup, tyres, weather, tag, or a field of one's own as field:NAME"`
	Filter
}

type seasonAnswer struct {
	Figure  string      `json:"figure"`
	By      string      `json:"by"`
	Groups  []groupView `json:"groups"`
	Without int         `json:"without"`
	More    bool        `json:"more"`
}

// groupView is the runs that have something in common.
type groupView struct {
	Value  *string     `json:"value"`
	N      int         `json:"n"`
	Mean   float64     `json:"mean"`
	Spread *float64    `json:"spread"`
	Low    float64     `json:"low"`
	Median float64     `json:"median"`
	High   float64     `json:"high"`
	Runs   []pointView `json:"runs"`
}

// pointView is a run with its figure.
type pointView struct {
	ID    string    `json:"session_id"`
	Name  *string   `json:"session_name"`
	Start time.Time `json:"began_at"`
	Value float64   `json:"figure"`
}

func (h handler) season(r *rest.Request, p *seasonParams) (out seasonAnswer, err error) {
	filter, zone, err := p.Sessions(r)
	if err != nil {
		return out, err
	}
	season, err := h.store.Season(r.Request.Context(), filter, p.Figure, p.By, zone)
	if err != nil {
		return out, err
	}
	out = seasonAnswer{Figure: p.Figure, By: p.By, Groups: make([]groupView, len(season.Groups)), Without: season.Without, More: season.More}
	for i, g := range season.Groups {
		view := groupView{Value: g.Value, N: len(g.Points), Mean: g.Mean, Spread: g.Spread, Low: g.Low, Median: g.Median, High: g.High, Runs: make([]pointView, len(g.Points))}
		for k, point := range g.Points {
			run := &season.Runs[point.Place]
			view.Runs[k] = pointView{ID: run.ID, Name: run.Name, Start: run.Start, Value: point.Value}
		}
		out.Groups[i] = view
	}
	return out, nil
}
