package functions

import (
	"context"

	"github.com/ecovolt/telemetryd/api/convex"
	"github.com/ecovolt/telemetryd/auth"
)

// stubs answers the calls of the historical page to what this service does not
// have (the written brief of a run, the chat about it) with "there is none",
// so that the page shows it as absent instead of failing.
func stubs() []convex.Function {
	args := convex.Object(convex.Field("sessionId", convex.String()), tokenArg())
	answer := func(value any) func(context.Context, *convex.Call) (any, error) {
		return func(context.Context, *convex.Call) (any, error) { return value, nil }
	}
	return []convex.Function{
		{
			Name: "sessionAnalysis:get", Kind: convex.Query, Access: auth.ReadPublic, Args: args,
			Run: answer(map[string]any{
				"available": false, "status": "missing", "version": "", "model": "",
				"input": nil, "result": nil, "error": nil, "updatedAt": nil,
			}),
		},
		{
			Name: "sessionAnalysis:ensure", Kind: convex.Mutation, Access: auth.ReadPublic, Args: args,
			Run: answer(map[string]any{"status": "error", "scheduled": false}),
		},
		{Name: "sessionChat:listThreads", Kind: convex.Query, Access: auth.ReadPublic, Args: args, Run: answer([]any{})},
	}
}
