package registry

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"runtime/debug"
	"strings"
	"time"

	"github.com/ecovolt/telemetryd/api/convex/value"
	"github.com/ecovolt/telemetryd/auth"
	"github.com/ecovolt/telemetryd/internal/fault"
	"github.com/ecovolt/telemetryd/internal/load"
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
	Parts     []value.Member  // those of Args, where it is an object that was read already
	Component string          // of the original's components, which do not exist here
}

// Invocation is a function with its checked arguments and its caller.
type Invocation struct {
	Function *Function
	// Object is the arguments' JSON object as the caller sent it.
	Object []byte
	Args   Args
	Caller Caller
	// Journal is what the last run of a Paginated query left; see Call.
	Journal string
}

// Outcome is what a function answered.
type Outcome struct {
	Value   any       // for value.Append
	Until   time.Time // when that ends to hold; zero: only by a change
	Journal string    // for the next run
	Caller  string    // on whose behalf it ran; see load.WithCaller
}

// Prepare finds the function of a request and checks its arguments. AnyKind
// accepts every function. The errors may be shown to the caller: NotFound for an
// unknown function, coded NOT_SERVED for one that is known not to be here, Invalid
// for its kind, its name and its arguments.
func (r *Registry) Prepare(request Request, kind Kind, from Caller) (*Invocation, error) {
	if request.Component != "" {
		return nil, r.unknown(request.Component + "/" + request.Path)
	}
	name, err := ParseName(request.Path)
	if err != nil {
		return nil, &fault.Error{Kind: fault.Invalid, Message: err.Error()}
	}
	f := r.Lookup(name)
	switch {
	case f == nil:
		return nil, r.unknown(name)
	case kind != AnyKind && f.Kind != kind:
		return nil, fault.New(fault.Invalid, "Trying to execute %s as %s, but it is defined as %s", f.Name, kind, f.Kind)
	}
	object, err := value.SoleObject(request.Args)
	if err != nil {
		return nil, argumentError("%v", err)
	}
	members := request.Parts
	if members == nil {
		if members, err = value.Split(object); err != nil {
			return nil, argumentError("%v", err)
		}
	}
	args, err := decodeArgs(members, f.Args)
	if err != nil {
		return nil, err
	}
	return (&Invocation{Function: f, Object: object, Args: args}).As(from), nil
}

// As returns the same invocation by another caller. The bearer token, where the
// function takes one, is an argument.
func (in Invocation) As(from Caller) *Invocation {
	if token := in.Args.String("token"); token != "" {
		from.Token = token
	}
	in.Caller = from
	return &in
}

// unknown is the answer to a name that nobody registered. Clients look for the
// first words of the last form.
func (r *Registry) unknown(name string) error {
	module, _, _ := strings.Cut(name, ":")
	if sentence := cmp.Or(r.unserved[name], r.unserved[module]); sentence != "" {
		return fault.Coded(fault.NotFound, "NOT_SERVED", "%s", sentence)
	}
	return fault.New(fault.NotFound, "Could not find public function for '%.80s'", name)
}

// Run runs a function. What a query reads is told to watch before it is read;
// nil is nobody. A panic is returned as an error; Until holds for errors, too.
func (r *Registry) Run(ctx context.Context, in *Invocation, watch func(topics ...string)) (out Outcome, err error) {
	call := &Call{Args: in.Args, watch: watch}
	if in.Function.LinksHere {
		call.BaseURL = in.Caller.BaseURL
	}
	if in.Function.Paginated {
		call.Journal = in.Journal
	}
	defer func() {
		// A panic must not take the other callers down with it.
		if p := recover(); p != nil {
			err = fmt.Errorf("panic in %s: %v\n%s", in.Function.Name, p, debug.Stack())
		}
		out.Until, out.Journal = call.until, call.Journal
	}()
	if err := r.resolve(ctx, in.Caller, call); err != nil {
		return out, err
	}
	ctx = auth.As(ctx, call.Principal)
	out.Caller = load.Caller(ctx)
	if rule := in.Function.Access; rule != "" {
		if d := auth.Allow(call.Principal, rule, auth.SessionAge{}); !d.Allowed {
			return out, d.Err
		}
	}
	if in.Function.Large {
		if err := r.large.Enter(ctx); err != nil {
			return out, err
		}
		defer r.large.Leave(out.Caller)
	}
	out.Value, err = in.Function.Run(ctx, call)
	return out, err
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
