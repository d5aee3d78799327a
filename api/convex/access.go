package convex

import (
	"context"

	"github.com/ecovolt/telemetryd/auth"
)

// Rule names what a caller must be allowed to do to run a function.
type Rule = auth.Action

// Principal is who calls.
type Principal = auth.Principal

// Resolver turns what a call carries into a principal. A bad token is a guest;
// a bad key is a fault.Unauthenticated. *auth.Service is one.
type Resolver interface {
	Resolve(ctx context.Context, c auth.Credentials) (auth.Principal, error)
}
