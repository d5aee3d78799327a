package registry

import (
	"context"
	"encoding/json"
	"fmt"
	"runtime/debug"
	"time"

	"github.com/ecovolt/telemetryd/api/convex/value"
	"github.com/ecovolt/telemetryd/auth"
	"github.com/ecovolt/telemetryd/internal/fault"
)

// Resolver turns what a call carries into a principal. A bad token is a guest;
// a bad key is a fault.Unauthenticated. *auth.Service is one.
type Resolver interface {
	Resolve(ctx context.Context, c auth.Credentials) (auth.Principal, error)
}

// Caller is what a request says of who sends it.
type Caller struct {
	auth.Credentials
	// KeyHolder is the principal of the deploy key, when it was just checked.
	KeyHolder *auth.Principal
	// BaseURL is where the client reached us, without a slash at the end.
	BaseURL string
}

// Request is a call as a client wrote it. Everything in it is untrusted.
type Request struct {
	Path      string          // the function's name, in any of its forms
	Args      json.RawMessage // an object, an array of one, or nothing
	Component string          // of the original's components, which do not exist here
}

// Invocation is a function with its checked arguments and its caller.
type Invocation struct {
	Function *Function
	// Object is the arguments' JSON object as the caller sent it.
	Object []byte
	Args   Args
	Caller Caller
}

// Prepare finds the function of a request and checks its arguments. AnyKind
// accepts every function. The errors may be shown to the caller: NotFound for an
// unknown function, Invalid for its kind, its name and its arguments.
func (r *Registry) Prepare(request Request, kind Kind, from Caller) (*Invocation, error) {
	if request.Component != "" {
		return nil, unknownFunction(request.Component + "/" + request.Path)
	}
	name, err := ParseName(request.Path)
	if err != nil {
		return nil, &fault.Error{Kind: fault.Invalid, Message: err.Error()}
	}
	f := r.Lookup(name)
	switch {
	case f == nil:
		return nil, unknownFunction(name)
	case kind != AnyKind && f.Kind != kind:
		return nil, fault.New(fault.Invalid, "Trying to execute %s as %s, but it is defined as %s", f.Name, kind, f.Kind)
	}
	object, err := value.SoleObject(request.Args)
	if err != nil {
		return nil, argumentError("%v", err)
	}
	args, err := decodeArgs(object, f.Args)
	if err != nil {
		return nil, err
	}
	// The bearer token, where the function takes one, is an argument.
	if token := args.String("token"); token != "" {
		from.Token = token
	}
	return &Invocation{Function: f, Object: object, Args: args, Caller: from}, nil
}

// unknownFunction is the answer to a name that nobody registered. Clients look
// for its first words.
func unknownFunction(name string) error {
	return fault.New(fault.NotFound, "Could not find public function for '%.80s'", name)
}

// Run runs a function, and returns its result and when that ends to hold (zero:
// only by a change). What a query reads is told to watch before it is read; nil
// is nobody. A panic is returned as an error.
func (r *Registry) Run(ctx context.Context, in *Invocation, watch func(topics ...string)) (result any, until time.Time, err error) {
	call := &Call{Args: in.Args, watch: watch}
	if in.Function.LinksHere {
		call.BaseURL = in.Caller.BaseURL
	}
	defer func() {
		// A panic must not take the other callers down with it.
		if p := recover(); p != nil {
			err = fmt.Errorf("panic in %s: %v\n%s", in.Function.Name, p, debug.Stack())
		}
	}()
	if err := r.resolve(ctx, in.Caller, call); err != nil {
		return nil, call.until, err
	}
	if rule := in.Function.Access; rule != "" {
		if d := auth.Allow(call.Principal, rule, auth.SessionAge{}); !d.Allowed {
			return nil, call.until, d.Err
		}
	}
	result, err = in.Function.Run(ctx, call)
	return result, call.until, err
}

// resolve finds out who calls. The answer of a watched query rests on the
// account too: it is watched, and asked again once it is.
func (r *Registry) resolve(ctx context.Context, from Caller, call *Call) error {
	switch {
	case from.Credentials == (auth.Credentials{}):
		call.Principal = auth.Principal{Role: auth.Guest}
		return nil
	case from.Token == "" && from.KeyHolder != nil:
		call.Principal = *from.KeyHolder
		return nil
	}
	p, err := r.resolver.Resolve(ctx, from.Credentials)
	if topics := p.Topics(); err == nil && call.watch != nil && len(topics) > 0 {
		call.Watch(topics...)
		p, err = r.resolver.Resolve(ctx, from.Credentials)
	}
	if err != nil {
		return fmt.Errorf("resolve caller: %w", err)
	}
	call.Principal = p
	if !p.ExpiresAt.IsZero() {
		call.ValidUntil(p.ExpiresAt)
	}
	return nil
}
