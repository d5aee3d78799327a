package registry

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"strings"

	"github.com/ecovolt/telemetryd/auth"
	"github.com/ecovolt/telemetryd/internal/fault"
	"github.com/ecovolt/telemetryd/internal/load"
)

// CheckKey finds the deploy key in what a client sends as one. The client's
// library may put the identity to act as behind the key, after a colon; there
// are no such identities here, so it is dropped. Keys are opaque otherwise. A
// wrong one is a fault.Unauthenticated.
func (r *Registry) CheckKey(ctx context.Context, text string) (Caller, error) {
	if text == "" {
		return Caller{}, fault.New(fault.Unauthenticated, "the deploy key is empty")
	}
	from := Caller{Credentials: auth.Credentials{Key: text}}
	p, err := r.resolver.Resolve(ctx, from.Credentials)
	if i := strings.LastIndexByte(text, ':'); fault.Is(err, fault.Unauthenticated) && i > 0 && isIdentity(text[i+1:]) {
		from.Key = text[:i]
		p, err = r.resolver.Resolve(ctx, from.Credentials)
	}
	if err != nil {
		return Caller{}, err
	}
	from.KeyHolder = &p
	return from, nil
}

// isIdentity reports whether text is a base64 JSON object.
func isIdentity(text string) bool {
	decoded, err := base64.StdEncoding.DecodeString(text)
	return err == nil && len(decoded) > 0 && decoded[0] == '{' && json.Valid(decoded)
}

// Knows reports whether a token is an account's, and as whom its holder is counted
// (see load.WithCaller). While that cannot be found out it may be one.
func (r *Registry) Knows(ctx context.Context, token string) (caller string, known bool) {
	p, err := r.resolver.Resolve(ctx, auth.Credentials{Token: token})
	return load.Caller(auth.As(ctx, p)), err != nil || p.SignedIn()
}
