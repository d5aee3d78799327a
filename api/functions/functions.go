package functions

import (
	"context"
	"time"

	"github.com/ecovolt/telemetryd/api/access"
	"github.com/ecovolt/telemetryd/api/convex/registry"
	"github.com/ecovolt/telemetryd/auth"
	"github.com/ecovolt/telemetryd/dashboard"
	"github.com/ecovolt/telemetryd/internal/fault"
	schema "github.com/ecovolt/telemetryd/sql"
	"github.com/ecovolt/telemetryd/timeseries"
	"github.com/ecovolt/telemetryd/timeseries/record"
)

// Deps are the services that the functions call.
type Deps struct {
	Store      *timeseries.Store
	Auth       *auth.Service
	Dashboards *dashboard.Service
	// PublicURL is the base URL under which clients reach us, without a slash at
	// the end. Empty: file URLs are made from what each client connected to.
	PublicURL string
	// AblyChannel is the dashboard's channel, for config:getPublicConfig.
	AblyChannel string
}

// Register adds every function to the registry.
func Register(r *registry.Registry, d Deps) error {
	for _, module := range [][]registry.Function{
		telemetry(d),
		sessions(d),
		accounts(d),
		users(d),
		liveState(d),
		driverNotifications(d),
		dashboards(d),
		archives(d),
		charts(d),
		config(d),
		stubs(),
	} {
		if err := r.Add(module...); err != nil {
			return err
		}
	}
	for name, sentence := range unserved {
		r.Unserved(name, sentence)
	}
	return nil
}

// tokenArg is the optional argument that carries a bearer token.
func tokenArg() registry.ObjectField { return registry.Optional("token", registry.String()) }

// readable decides whether the caller may read a session. It makes the answer
// run again when the session or the caller's account changes, or when time
// alone changes the decision.
func readable(ctx context.Context, c *registry.Call, d Deps, id string, action auth.Action) (bool, *timeseries.Session, error) {
	c.Watch(schema.TopicSession(id))
	watchCaller(c)
	session, decision, err := access.Session(ctx, d.Store, c.Principal, action, id)
	if err != nil {
		return false, nil, err
	}
	if !decision.Until.IsZero() {
		c.ValidUntil(decision.Until)
	}
	return decision.Allowed, session, nil
}

// watchCaller makes a query run again when the caller's account changes or
// their token expires.
func watchCaller(c *registry.Call) {
	if c.Principal.SignedIn() {
		c.Watch(schema.TopicUser(c.Principal.UserID))
	}
	if !c.Principal.ExpiresAt.IsZero() {
		c.ValidUntil(c.Principal.ExpiresAt)
	}
}

// timeArg reads an argument that holds a time as records carry it.
func timeArg(c *registry.Call, name string) (time.Time, error) {
	t, err := record.ParseTime(c.Args.String(name))
	if err != nil {
		return time.Time{}, fault.Field(name, "%v", err)
	}
	return t, nil
}
