package functions

import (
	"context"

	"github.com/ecovolt/telemetryd/api/convex/registry"
	"github.com/ecovolt/telemetryd/auth"
)

// stubs answers the calls of the historical page to what this service does not
// have (the written brief of a run, the chat about it) with "there is none",
// so that the page shows it as absent instead of failing.
func stubs() []registry.Function {
	args := registry.Object(registry.Field("sessionId", registry.String()), tokenArg())
	answer := func(value any) func(context.Context, *registry.Call) (any, error) {
		return func(context.Context, *registry.Call) (any, error) { return value, nil }
	}
	return []registry.Function{
		{
			Name: "sessionAnalysis:get", Kind: registry.Query, Access: auth.ReadPublic, Args: args,
			Run: answer(map[string]any{
				"available": false, "status": "missing", "version": "", "model": "",
				"input": nil, "result": nil, "error": nil, "updatedAt": nil,
			}),
		},
		{
			Name: "sessionAnalysis:ensure", Kind: registry.Mutation, Access: auth.ReadPublic, Args: args,
			Run: answer(map[string]any{"status": "error", "scheduled": false}),
		},
		{Name: "sessionChat:listThreads", Kind: registry.Query, Access: auth.ReadPublic, Args: args, Run: answer([]any{})},
	}
}

// unserved are the modules of pages whose work this service does not do. The
// sentences are shown to whoever pressed the button.
var unserved = map[string]string{
	"inventory":       "This server keeps no inventory: it stores telemetry. The equipment list stays with the service that held it before.",
	"sessionAnalysis": "This server writes no analysis of a run. The charts, laps and figures of the run are on its page.",
	"sessionChat":     "This server has no chat about runs.",
}
