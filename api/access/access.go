package access

import (
	"context"
	"strings"
	"time"

	"github.com/ecovolt/telemetryd/auth"
	"github.com/ecovolt/telemetryd/internal/httpx"
	"github.com/ecovolt/telemetryd/internal/load"
	"github.com/ecovolt/telemetryd/realtime/live"
	"github.com/ecovolt/telemetryd/timeseries"
	"github.com/ecovolt/telemetryd/timeseries/series"
)

// Session looks a session up and applies the rule of an action to it. The
// session is nil where there is none; the decision holds all the same, so that
// those who may not read learn nothing of what there is.
func Session(ctx context.Context, store *timeseries.Store, who auth.Principal, action auth.Action, id string) (*timeseries.Session, auth.Decision, error) {
	session, err := store.Session(ctx, id)
	if err != nil {
		return nil, auth.Decision{}, err
	}
	var age auth.SessionAge
	if session != nil {
		age = auth.SessionAge{Known: true, Start: session.Start, Newest: session.End, Now: session.ReadAt}
	}
	return session, auth.Allow(who, action, age), nil
}

// SeriesClass tells what a principal's charts may cost.
func SeriesClass(who auth.Principal) series.Class {
	if who.SignedIn() || who.Key != nil {
		return series.Member
	}
	return series.Guest
}

// Live applies the access rules to the live stream: who may read a session's
// records may watch them.
type Live struct {
	Store *timeseries.Store
	Auth  *auth.Service
}

// Viewer finds out whose credential it is: an Authorization header's value, or
// just a token.
func (l Live) Viewer(ctx context.Context, credential string) (live.Viewer, error) {
	if credential != "" && !strings.Contains(credential, " ") {
		credential = "Bearer " + credential
	}
	credentials, _ := httpx.Credentials(credential)
	principal, err := l.Auth.Resolve(ctx, credentials)
	if err != nil {
		return live.Viewer{}, err
	}
	return live.Viewer{Principal: principal, Caller: load.Caller(auth.As(ctx, principal)), Until: principal.ExpiresAt, Topics: principal.Topics()}, nil
}

// MayWatch applies the rule for reading a session's records. The time is when
// the decision must be asked for again; zero is never.
func (l Live) MayWatch(ctx context.Context, viewer live.Viewer, session string) (time.Time, error) {
	principal, _ := viewer.Principal.(auth.Principal)
	ctx = auth.As(ctx, principal)
	// Whoever may read sessions that do not exist may read them all.
	decision := auth.Allow(principal, auth.ReadRecords, auth.SessionAge{})
	if !decision.Allowed {
		var err error
		if _, decision, err = Session(ctx, l.Store, principal, auth.ReadRecords, session); err != nil {
			return time.Time{}, err
		}
	}
	if !decision.Allowed {
		return time.Time{}, decision.Err
	}
	return decision.Until, nil
}
