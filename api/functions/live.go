package functions

import (
	"context"

	"github.com/ecovolt/telemetryd/api/convex/registry"
	"github.com/ecovolt/telemetryd/auth"
	schema "github.com/ecovolt/telemetryd/sql"
	"github.com/ecovolt/telemetryd/timeseries"
)

// liveState is the part of the module "sessions" about the run on the road.
func liveState(d Deps) []registry.Function {
	text := registry.String()
	return []registry.Function{
		{
			Name: "sessions:getLiveSessionState", Kind: registry.Query, Access: auth.ReadPublic,
			Run: func(ctx context.Context, c *registry.Call) (any, error) {
				c.Watch(schema.TopicLive)
				return d.Store.LiveState(ctx)
			},
		},
		{
			Name: "sessions:reportLiveSessionState", Kind: registry.Mutation, Access: auth.ReportLive,
			Args: registry.Object(
				registry.Field("status", registry.Literals(timeseries.LiveActive, timeseries.LiveEnded)),
				registry.Field("session_id", text), registry.Optional("session_name", text),
				registry.Field("started_at", text), registry.Optional("ended_at", text),
				registry.Optional("reason", registry.Literals(timeseries.ReasonInterrupt)),
				registry.Field("record_count", registry.Number()), tokenArg(),
			),
			Run: func(ctx context.Context, c *registry.Call) (any, error) {
				return d.Store.ReportLive(ctx, timeseries.LiveReport{
					Status:      c.Args.String("status"),
					SessionID:   c.Args.String("session_id"),
					SessionName: optionalText(c.Args, "session_name"),
					StartedAt:   c.Args.String("started_at"),
					EndedAt:     optionalText(c.Args, "ended_at"),
					Reason:      optionalText(c.Args, "reason"),
					RecordCount: c.Args.Number("record_count", 0),
				})
			},
		},
		{
			// Session rows are kept by ingest, so there is never anything to rebuild.
			Name: "sessions:kickstartSessions", Kind: registry.Action, Access: auth.ReadPublic,
			Run: func(context.Context, *registry.Call) (any, error) { return map[string]any{"skipped": true}, nil },
		},
	}
}

// optionalText returns a text argument, or nil when it is absent.
func optionalText(args registry.Args, name string) *string {
	if !args.Has(name) {
		return nil
	}
	text := args.String(name)
	return &text
}

// optionalNumber returns a number argument, or nil when it is absent.
func optionalNumber(args registry.Args, name string) *float64 {
	if !args.Has(name) {
		return nil
	}
	number := args.Number(name, 0)
	return &number
}
