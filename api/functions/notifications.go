package functions

import (
	"context"

	"github.com/ecovolt/telemetryd/api/convex"
	"github.com/ecovolt/telemetryd/auth"
	schema "github.com/ecovolt/telemetryd/sql"
	"github.com/ecovolt/telemetryd/timeseries"
)

// driverNotifications is the module of that name: messages for the cockpit.
func driverNotifications(d Deps) []convex.Function {
	text := convex.String()
	fields := []convex.ObjectField{
		convex.Field("session_id", text), convex.Field("severity", convex.Literals(timeseries.Severities...)),
		convex.Field("title", text), convex.Field("message", text),
		convex.Optional("category", convex.Literals(timeseries.Categories...)),
		convex.Optional("ttl", convex.Number()), convex.Field("created_at", text),
	}
	return []convex.Function{
		{
			Name: "driverNotifications:getSessionNotifications", Kind: convex.Query, Access: auth.ReadPublic,
			Args: convex.Object(convex.Field("sessionId", text), convex.Optional("limit", convex.Number()), convex.Optional("sinceTimestamp", text)),
			Run: func(ctx context.Context, c *convex.Call) (any, error) {
				session := c.Args.String("sessionId")
				c.Watch(schema.TopicNotifications(session))
				limit := c.Args.Clamp("limit", 0, timeseries.MaxNotifications, timeseries.DefaultNotifications)
				return d.Store.Notifications(ctx, session, limit, c.Args.String("sinceTimestamp"))
			},
		},
		{
			Name: "driverNotifications:insertNotificationBatch", Kind: convex.Mutation, Access: auth.WriteNotifications,
			Args: convex.Object(convex.Field("notifications", convex.Array(convex.Object(fields...))), tokenArg()),
			Run: func(ctx context.Context, c *convex.Call) (any, error) {
				var list []timeseries.NewNotification
				for _, object := range c.Args.Objects("notifications") {
					list = append(list, newNotification(object))
				}
				ids, err := d.Store.AddNotifications(ctx, list)
				return map[string]any{"inserted": len(ids)}, err
			},
		},
		{
			Name: "driverNotifications:insertNotification", Kind: convex.Mutation, Access: auth.WriteNotifications,
			Args: convex.Object(append(fields[:len(fields):len(fields)], tokenArg())...),
			Run: func(ctx context.Context, c *convex.Call) (any, error) {
				ids, err := d.Store.AddNotifications(ctx, []timeseries.NewNotification{newNotification(c.Args)})
				if err != nil {
					return nil, err
				}
				return map[string]any{"id": ids[0]}, nil
			},
		},
		{
			Name: "driverNotifications:cleanupSessionNotifications", Kind: convex.Mutation, Access: auth.WriteNotifications,
			Args: convex.Object(convex.Field("sessionId", text), tokenArg()),
			Run: func(ctx context.Context, c *convex.Call) (any, error) {
				deleted, err := d.Store.PruneNotifications(ctx, c.Args.String("sessionId"))
				return map[string]any{"deleted": deleted}, err
			},
		},
	}
}

func newNotification(args convex.Args) timeseries.NewNotification {
	return timeseries.NewNotification{
		SessionID: args.String("session_id"),
		Severity:  args.String("severity"),
		Title:     args.String("title"),
		Message:   args.String("message"),
		Category:  optionalText(args, "category"),
		TTL:       optionalNumber(args, "ttl"),
		CreatedAt: args.String("created_at"),
	}
}
