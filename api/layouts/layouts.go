// Package layouts serves how accounts like the charts of runs arranged. It keeps
// nothing, so everything may run any number of times at once. Times are ISO 8601 in UTC.
package layouts

import (
	"time"

	"github.com/ecovolt/telemetryd/api/rest"
	"github.com/ecovolt/telemetryd/auth"
	"github.com/ecovolt/telemetryd/dashboard"
	"github.com/ecovolt/telemetryd/internal/fault"
)

type handler struct{ dashboards *dashboard.Service }

// Routes are those of saved layouts.
func Routes(dashboards *dashboard.Service) []rest.Route {
	h := handler{dashboards}
	return []rest.Route{
		rest.JSON("GET", "/api/v1/auth/layouts", auth.OwnLayouts, "List how one likes charts arranged, by name.", h.list),
		rest.JSON("PUT", "/api/v1/auth/layouts/:name", auth.OwnLayouts,
			"Keep an arrangement of charts under a name of 1 to 60 characters, for any run; a channel that a run lacks is left out of it. It takes the place of the one that has the name; an account has 32 at most.",
			h.save, rest.FailsWith(fault.Conflict)),
		rest.JSON("DELETE", "/api/v1/auth/layouts/:name", auth.OwnLayouts, "Forget an arrangement of charts.", h.remove, rest.FailsWith(fault.NotFound)),
	}
}

// layoutView is a saved arrangement of charts.
type layoutView struct {
	Name    string            `json:"name" doc:"Name that its owner gave it"`
	Charts  []dashboard.Chart `json:"charts" doc:"The charts in their order"`
	SavedAt time.Time         `json:"saved_at" doc:"When it was last saved"`
}

func view(l dashboard.Layout) layoutView { return layoutView{l.Name, l.Charts, l.SavedAt.UTC()} }

type listAnswer struct {
	Layouts []layoutView `json:"layouts" doc:"One's layouts, by name"`
}

func (h handler) list(r *rest.Request, _ *rest.None) (listAnswer, error) {
	list, err := h.dashboards.Layouts(r.Request.Context(), r.Principal.UserID)
	out := listAnswer{make([]layoutView, len(list))}
	for i, l := range list {
		out.Layouts[i] = view(l)
	}
	return out, err
}

type saveParams struct {
	Body struct {
		Charts []dashboard.Chart `json:"charts" doc:"The charts in their order; 1 to 100 channels in all, each once"`
	}
}

func (h handler) save(r *rest.Request, p *saveParams) (layoutView, error) {
	saved, err := h.dashboards.SaveLayout(r.Request.Context(), r.Principal.UserID, r.Param("name"), p.Body.Charts)
	return view(saved), err
}

func (h handler) remove(r *rest.Request, _ *rest.None) (rest.None, error) {
	return rest.None{}, h.dashboards.RemoveLayout(r.Request.Context(), r.Principal.UserID, r.Param("name"))
}
