package convex

import (
	"context"
	"encoding/json"
	"fmt"
	"runtime/debug"

	"github.com/ecovolt/telemetryd/auth"
	"github.com/ecovolt/telemetryd/internal/fault"
)

// anyKind lets find accept every function.
const anyKind Kind = 0

// find looks a function up by the name that a caller wrote.
func (s *Server) find(path string, kind Kind) (*Function, error) {
	name, err := ParseName(path)
	if err != nil {
		return nil, &fault.Error{Kind: fault.Invalid, Message: err.Error()}
	}
	f := s.registry.Lookup(name)
	switch {
	case f == nil:
		return nil, unknownFunction(name)
	case kind != anyKind && f.Kind != kind:
		return nil, wrongKind(f, kind)
	}
	return f, nil
}

// invocation is a function with the arguments of one call.
type invocation struct {
	function *Function
	raw      json.RawMessage
	args     Args
	caller   caller
}

// caller is what a request says of who sends it.
type caller struct {
	auth.Credentials
	// keyHolder is the principal of the deploy key, when it was just checked.
	keyHolder *Principal
	base      string // URL under which the client reached us
}

// prepare checks the arguments. The bearer token, where the function takes
// one, is one of them.
func prepare(f *Function, raw json.RawMessage, from caller) (invocation, error) {
	args, err := decodeArgs(raw, f.Args)
	if err != nil {
		return invocation{}, err
	}
	if token := args.String("token"); token != "" {
		from.Token = token
	}
	return invocation{function: f, raw: raw, args: args, caller: from}, nil
}

// execute runs a function and gives its result undecoded, with the call for
// what the function said of it.
func (s *Server) execute(ctx context.Context, in invocation, watch func(...string)) (result any, call *Call, err error) {
	call = &Call{Args: in.args, Raw: in.raw, watch: watch}
	if in.function.LinksHere {
		call.BaseURL = in.caller.base
	}
	defer func() {
		// A panic must not take the other callers down with it.
		if p := recover(); p != nil {
			err = fmt.Errorf("panic in %s: %v\n%s", in.function.Name, p, debug.Stack())
		}
	}()
	if err := s.resolve(ctx, in, call); err != nil {
		return nil, call, err
	}
	if rule := in.function.Access; rule != "" {
		if d := auth.Allow(call.Principal, rule, auth.SessionAge{}); !d.Allowed {
			return nil, call, d.Err
		}
	}
	result, err = in.function.Run(ctx, call)
	return result, call, err
}

// resolve finds out who calls. The answer of a watched query rests on the
// account too: it is watched, and asked again once it is.
func (s *Server) resolve(ctx context.Context, in invocation, call *Call) error {
	from := in.caller
	switch {
	case from.Credentials == (auth.Credentials{}):
		call.Principal = Principal{Role: auth.Guest}
		return nil
	case from.Token == "" && from.keyHolder != nil:
		call.Principal = *from.keyHolder
		return nil
	}
	p, err := s.resolver.Resolve(ctx, from.Credentials)
	if topics := p.Topics(); err == nil && call.watch != nil && len(topics) > 0 {
		call.Watch(topics...)
		p, err = s.resolver.Resolve(ctx, from.Credentials)
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
