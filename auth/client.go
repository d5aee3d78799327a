package auth

import (
	"context"

	"github.com/ecovolt/telemetryd/internal/load"
)

type clientKey struct{}

// WithClientAddress notes the IP address that a request comes from, as the
// outermost layer found it out. It is what SignIn.Address and the like want, and
// the caller as whom the request waits until it is known who sent it.
func WithClientAddress(ctx context.Context, address string) context.Context {
	return load.WithCaller(context.WithValue(ctx, clientKey{}, address), load.Stranger(limitedAddress(address)))
}

// As lets what follows wait its turn as the principal, whatever network it came
// from. Strangers wait with the others of their network.
func As(ctx context.Context, p Principal) context.Context {
	switch {
	case p.UserID != "":
		return load.WithCaller(ctx, "account "+p.UserID)
	case p.Key != nil:
		return load.WithCaller(ctx, "key "+p.Key.ID)
	case load.Caller(ctx) == "":
		return load.WithCaller(ctx, load.Stranger(""))
	}
	return ctx
}

// asCredential lets the look-up of a credential wait its turn alone: whose it is
// must be found out before a flood from the same network is through.
func asCredential(ctx context.Context, digest []byte) context.Context {
	return load.WithCaller(ctx, "credential "+string(digest))
}

// ClientAddress returns the noted address, or "".
func ClientAddress(ctx context.Context) string {
	address, _ := ctx.Value(clientKey{}).(string)
	return address
}
