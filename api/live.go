package api

import (
	"context"
	"net/http"
	"strings"
	"time"

	"github.com/ecovolt/telemetryd/api/functions"
	"github.com/ecovolt/telemetryd/auth"
	"github.com/ecovolt/telemetryd/internal/fault"
	"github.com/ecovolt/telemetryd/realtime"
	"github.com/ecovolt/telemetryd/timeseries"
)

// Anybody may open the stream; what a connection may watch is asked for each
// session.
func (s *server) liveRoutes() []Route {
	return []Route{{http.MethodGet, "/api/v1/live", auth.ReadPublic, s.live}}
}

func (s *server) live(r *Request) error {
	if s.Live == nil {
		return fault.New(fault.NotFound, "this server has no live stream")
	}
	s.Live.ServeHTTP(r.Writer, r.Request)
	return nil
}

// LivePolicy applies the access rules to the live stream: who may read a
// session's records may watch them.
type LivePolicy struct {
	Store *timeseries.Store
	Auth  *auth.Service
}

// LiveCredential is what a request for the live stream signs in with.
func LiveCredential(r *http.Request) string { return r.Header.Get("Authorization") }

// Viewer finds out whose credential it is: an Authorization header's value, or
// just a token.
func (p LivePolicy) Viewer(ctx context.Context, credential string) (realtime.Viewer, error) {
	if credential != "" && !strings.Contains(credential, " ") {
		credential = "Bearer " + credential
	}
	principal, err := p.Auth.Resolve(ctx, credentials(credential))
	if err != nil {
		return realtime.Viewer{}, err
	}
	return realtime.Viewer{Principal: principal, Until: principal.ExpiresAt, Topics: principal.Topics()}, nil
}

// MayWatch applies the rule for reading a session's records.
func (p LivePolicy) MayWatch(ctx context.Context, viewer realtime.Viewer, session string) (time.Time, error) {
	principal, _ := viewer.Principal.(auth.Principal)
	var age auth.SessionAge
	if principal.EffectiveRole() != auth.Admin && principal.EffectiveRole() != auth.Internal {
		found, err := p.Store.Session(ctx, session)
		if err != nil {
			return time.Time{}, err
		}
		age = functions.Age(found)
	}
	decision := auth.Allow(principal, auth.ReadRecords, age)
	if !decision.Allowed {
		return time.Time{}, decision.Err
	}
	return decision.Until, nil
}
