package auth

import "context"

type clientKey struct{}

// WithClientAddress notes the IP address that a request comes from, as the
// outermost layer found it out. It is what SignIn.Address and the like want.
func WithClientAddress(ctx context.Context, address string) context.Context {
	return context.WithValue(ctx, clientKey{}, address)
}

// ClientAddress gives the noted address, or "".
func ClientAddress(ctx context.Context) string {
	address, _ := ctx.Value(clientKey{}).(string)
	return address
}
