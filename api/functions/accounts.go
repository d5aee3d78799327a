package functions

import (
	"context"
	"time"

	"github.com/ecovolt/telemetryd/api/convex/registry"
	"github.com/ecovolt/telemetryd/auth"
)

// accounts is the module "auth".
func accounts(d Deps) []registry.Function {
	text, flag := registry.String(), registry.Bool()
	return []registry.Function{
		{
			Name: "auth:signIn", Kind: registry.Action, Access: auth.UseAccount,
			Args: registry.Object(
				registry.Optional("provider", text),
				registry.Optional("params", registry.Object(
					registry.Optional("email", text), registry.Optional("password", text), registry.Optional("flow", text),
					registry.Optional("name", text), registry.Optional("requestedRole", text), registry.Optional("rememberMe", flag),
				)),
				registry.Optional("email", text), registry.Optional("password", text), registry.Optional("rememberMe", flag),
			),
			Run: d.signIn,
		},
		{
			Name: "auth:signUp", Kind: registry.Action, Access: auth.UseAccount,
			Args: registry.Object(
				registry.Field("email", text), registry.Field("password", text), registry.Optional("name", text),
				registry.Optional("requestedRole", registry.Literals(string(auth.External), string(auth.Internal))),
			),
			Run: func(ctx context.Context, c *registry.Call) (any, error) { return d.signUp(ctx, c.Args) },
		},
		{
			Name: "auth:signOut", Kind: registry.Action, Access: auth.UseAccount,
			Args: registry.Object(tokenArg()),
			Run: func(ctx context.Context, c *registry.Call) (any, error) {
				return success(d.Auth.SignOut(ctx, c.Args.String("token"), auth.ClientAddress(ctx)))
			},
		},
		{
			Name: "auth:verifySession", Kind: registry.Query, Access: auth.UseAccount,
			Args: registry.Object(registry.Field("token", text)),
			Run:  d.verifySession,
		},
	}
}

func (d Deps) signIn(ctx context.Context, c *registry.Call) (any, error) {
	// What is inside params wins over the same beside it.
	args := registry.Args{}
	for _, from := range []registry.Args{c.Args, c.Args.Object("params")} {
		for name, value := range from {
			args[name] = value
		}
	}
	if args.String("flow") == "signUp" && args.String("email") != "" && args.String("password") != "" {
		return d.signUp(ctx, args)
	}
	result, err := d.Auth.SignIn(ctx, auth.SignIn{
		Email: args.String("email"), Password: args.String("password"), Remember: args.Bool("rememberMe"),
		Address: auth.ClientAddress(ctx), App: true,
	})
	return authResult(result), err
}

func (d Deps) signUp(ctx context.Context, args registry.Args) (any, error) {
	result, err := d.Auth.SignUp(ctx, auth.SignUp{
		Email: args.String("email"), Password: args.String("password"), Name: args.String("name"),
		RequestedRole: auth.Role(args.String("requestedRole")), Address: auth.ClientAddress(ctx),
	})
	return authResult(result), err
}

func authResult(r auth.Result) any {
	if r.Err == "" {
		return map[string]any{"token": r.Token, "userId": r.UserID, "expiresAt": r.ExpiresAt.UnixMilli()}
	}
	out := map[string]any{"error": r.Err}
	if r.RetryAfter > 0 {
		out["retryAfterMs"] = r.RetryAfter.Milliseconds()
	}
	return out
}

func (d Deps) verifySession(ctx context.Context, c *registry.Call) (any, error) {
	watchCaller(c) // whose token it is
	session, err := d.Auth.VerifySession(ctx, c.Args.String("token"))
	if err != nil || session == nil {
		return nil, err
	}
	return map[string]any{
		"_id": session.ID, "_creationTime": millis(session.CreatedAt), "userId": session.UserID,
		"createdAt": millis(session.CreatedAt), "lastSeenAt": millis(session.LastSeenAt),
		"expiresAt": session.ExpiresAt.UnixMilli(), "persistent": session.Persistent,
	}, nil
}

// millis is a time as documents carry it: epoch milliseconds, with a fraction.
func millis(t time.Time) float64 { return float64(t.UnixMicro()) / 1e3 }

// success answers a mutation that has nothing else to say.
func success(err error) (any, error) {
	if err != nil {
		return nil, err
	}
	return map[string]any{"success": true}, nil
}
