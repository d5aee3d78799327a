package functions

import (
	"context"

	"github.com/ecovolt/telemetryd/api/convex"
	"github.com/ecovolt/telemetryd/auth"
	schema "github.com/ecovolt/telemetryd/sql"
	"github.com/ecovolt/telemetryd/timeseries"
)

// liveState is the part of the module "sessions" about the run on the road.
func liveState(d Deps) []convex.Function {
	text := convex.String()
	return []convex.Function{
		{
			Name: "sessions:getLiveSessionState", Kind: convex.Query, Access: auth.ReadPublic,
			Run: func(ctx context.Context, c *convex.Call) (any, error) {
				c.Watch(schema.TopicLive)
				return d.Store.LiveState(ctx)
			},
		},
		{
			Name: "sessions:reportLiveSessionState", Kind: convex.Mutation, Access: auth.ReportLive,
			Args: convex.Object(
				convex.Field("status", convex.Literals(timeseries.LiveActive, timeseries.LiveEnded)),
				convex.Field("session_id", text), convex.Optional("session_name", text),
				convex.Field("started_at", text), convex.Optional("ended_at", text),
				convex.Optional("reason", convex.Literals(timeseries.ReasonInterrupt)),
				convex.Field("record_count", convex.Number()), tokenArg(),
			),
			Run: func(ctx context.Context, c *convex.Call) (any, error) {
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
			Name: "sessions:kickstartSessions", Kind: convex.Action, Access: auth.ReadPublic,
			Run: func(context.Context, *convex.Call) (any, error) { return map[string]any{"skipped": true}, nil },
		},
	}
}

// optionalText gives a text argument, or nil when it is absent.
func optionalText(args convex.Args, name string) *string {
	if !args.Has(name) {
		return nil
	}
	text := args.String(name)
	return &text
}

// optionalNumber gives a number argument, or nil when it is absent.
func optionalNumber(args convex.Args, name string) *float64 {
	if !args.Has(name) {
		return nil
	}
	number := args.Number(name, 0)
	return &number
}
