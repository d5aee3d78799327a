package functions

import (
	"context"

	"github.com/ecovolt/telemetryd/api/convex/registry"
	"github.com/ecovolt/telemetryd/auth"
	schema "github.com/ecovolt/telemetryd/sql"
	"github.com/ecovolt/telemetryd/timeseries"
)

// driverNotifications is the module of that name: messages for the cockpit.
func driverNotifications(d Deps) []registry.Function {
	text := registry.String()
	fields := []registry.ObjectField{
		registry.Field("session_id", text), registry.Field("severity", registry.Literals(timeseries.Severities...)),
		registry.Field("title", text), registry.Field("message", text),
		registry.Optional("category", registry.Literals(timeseries.Categories...)),
		registry.Optional("ttl", registry.Number()), registry.Field("created_at", text),
	}
	return []registry.Function{
		{
			Name: "driverNotifications:getSessionNotifications", Kind: registry.Query, Access: auth.ReadPublic,
			Args: registry.Object(registry.Field("sessionId", text), registry.Optional("limit", registry.Number()), registry.Optional("sinceTimestamp", text)),
			Run: func(ctx context.Context, c *registry.Call) (any, error) {
				session := c.Args.String("sessionId")
				c.Watch(schema.TopicNotifications(session))
				limit := c.Args.Clamp("limit", 0, timeseries.MaxNotifications, timeseries.DefaultNotifications)
				return d.Store.Notifications(ctx, session, limit, c.Args.String("sinceTimestamp"))
			},
		},
		{
			Name: "driverNotifications:insertNotificationBatch", Kind: registry.Mutation, Access: auth.WriteNotifications,
			Args: registry.Object(registry.Field("notifications", registry.Array(registry.Object(fields...))), tokenArg()),
			Run: func(ctx context.Context, c *registry.Call) (any, error) {
				var list []timeseries.NewNotification
				for _, object := range c.Args.Objects("notifications") {
					list = append(list, newNotification(object))
				}
				ids, err := d.Store.AddNotifications(ctx, list)
				return map[string]any{"inserted": len(ids)}, err
			},
		},
		{
			Name: "driverNotifications:insertNotification", Kind: registry.Mutation, Access: auth.WriteNotifications,
			Args: registry.Object(append(fields[:len(fields):len(fields)], tokenArg())...),
			Run: func(ctx context.Context, c *registry.Call) (any, error) {
				ids, err := d.Store.AddNotifications(ctx, []timeseries.NewNotification{newNotification(c.Args)})
				if err != nil {
					return nil, err
				}
				return map[string]any{"id": ids[0]}, nil
			},
		},
		{
			Name: "driverNotifications:cleanupSessionNotifications", Kind: registry.Mutation, Access: auth.WriteNotifications,
			Args: registry.Object(registry.Field("sessionId", text), tokenArg()),
			Run: func(ctx context.Context, c *registry.Call) (any, error) {
				deleted, err := d.Store.PruneNotifications(ctx, c.Args.String("sessionId"))
				return map[string]any{"deleted": deleted}, err
			},
		},
	}
}

func newNotification(args registry.Args) timeseries.NewNotification {
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
