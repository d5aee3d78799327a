package api

import (
	"cmp"

	"github.com/ecovolt/telemetryd/api/rest"
	"github.com/ecovolt/telemetryd/api/shown"
	"github.com/ecovolt/telemetryd/auth"
)

func (s *server) unitRoutes() []route {
	return []route{
		rest.JSON("GET", "/api/v1/auth/preferences", auth.OwnPreferences, "Read what one likes to see.", s.preferences),
		rest.JSON("PUT", "/api/v1/auth/preferences", auth.OwnPreferences, "Say what one likes to see: units=display answers in those units, on every device.", s.prefer),
		rest.JSON("GET", "/api/v1/units", auth.ReadPublic, "List which units are shown as others, and how, for values that the live stream sends as they are stored.", s.listUnits),
	}
}

func (s *server) preferences(r *request, _ *none) (shown.PreferencesView, error) {
	return shown.PreferencesView{Units: r.Principal.PreferredUnits()}, nil
}

type preferParams struct{ Body shown.PreferencesView }

func (s *server) prefer(r *request, p *preferParams) (shown.PreferencesView, error) {
	return p.Body, s.Auth.PreferUnits(r.Request.Context(), r.Principal, p.Body.Units)
}

func (s *server) listUnits(r *request, p *shown.Params) (shown.UnitsAnswer, error) {
	asked := shown.Params{Units: cmp.Or(p.Units, "display")}
	return shown.Units(asked.System(r.Principal)), nil
}
