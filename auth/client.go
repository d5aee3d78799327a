package auth

import (
	"context"
	"sync"

	"github.com/ecovolt/telemetryd/auth/gate"
	"github.com/ecovolt/telemetryd/internal/load"
)

type clientKey struct{}

// WithClientAddress notes the IP address that a request comes from, as the
// outermost layer found it out. It is what SignIn.Address and the like want, and
// the caller as whom the request waits until it is known who sent it.
func WithClientAddress(ctx context.Context, address string) context.Context {
	return load.WithCaller(context.WithValue(ctx, clientKey{}, address), load.Stranger(gate.Address(address)))
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

// mostProven is how many credentials are remembered as good.
const mostProven = 4096

// proven are the digests of credentials that were good when they were last looked
// up. The look-up of such a one waits its turn alone, so that a flood from the
// same network does not keep it. All others wait with their network: or whoever
// makes up many would have many turns.
type proven struct {
	mu   sync.Mutex
	good map[string]struct{}
}

// as returns the context for the look-up of a credential.
func (p *proven) as(ctx context.Context, digest []byte) context.Context {
	p.mu.Lock()
	defer p.mu.Unlock()
	if _, good := p.good[string(digest)]; !good {
		return As(ctx, Principal{})
	}
	return load.WithCaller(ctx, "credential "+string(digest))
}

// note takes down what a look-up found. It forgets any other one where it has no
// room.
func (p *proven) note(digest []byte, good bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if !good {
		delete(p.good, string(digest))
		return
	}
	if p.good == nil {
		p.good = map[string]struct{}{}
	}
	p.good[string(digest)] = struct{}{}
	for other := range p.good {
		if len(p.good) <= mostProven {
			return
		}
		delete(p.good, other)
	}
}

// ClientAddress returns the noted address, or "".
func ClientAddress(ctx context.Context) string {
	address, _ := ctx.Value(clientKey{}).(string)
	return address
}
