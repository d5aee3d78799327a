package functions

import (
	"context"

	"github.com/ecovolt/telemetryd/api/convex/registry"
	"github.com/ecovolt/telemetryd/auth"
)

// config is the module of that name: settings that every page may know.
func config(d Deps) []registry.Function {
	return []registry.Function{{
		Name: "config:getPublicConfig", Kind: registry.Query, Access: auth.ReadPublic,
		Run: func(context.Context, *registry.Call) (any, error) {
			return map[string]any{
				"ABLY_CHANNEL_NAME": d.AblyChannel,
				"ABLY_AUTH_URL":     "/api/ably/token", // fixed by the function contract
				"CONVEX_URL":        d.PublicURL,
			}, nil
		},
	}}
}
