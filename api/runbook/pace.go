package runbook

import (
	"github.com/ecovolt/telemetryd/api/rest"
	"github.com/ecovolt/telemetryd/auth"
	"github.com/ecovolt/telemetryd/timeseries/pace"
)

func (h handler) paceRoute() rest.Route {
	return rest.Stream("GET", "/api/v1/sessions/:id/pace", auth.ReadSeries,
		"Return how a run drives of late, when its lap and its allowance of energy will be over at this pace, and what may still be spent of the plan that the run book has.",
		h.pace, rest.Returns[pace.Outlook]("What may still be spent"), rest.NotModified())
}

func (h handler) pace(r *rest.Request, _ *rest.None) error {
	outlook, err := h.store.Pace.Read(r.Request.Context(), r.Session.ID)
	if err != nil {
		return err
	}
	return r.CacheableJSON(outlook)
}
