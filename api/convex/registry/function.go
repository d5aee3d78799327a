package registry

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/ecovolt/telemetryd/auth"
	"github.com/ecovolt/telemetryd/internal/load"
)

// Kind is what sort of function it is: which endpoint runs it, and with what
// promises.
type Kind int

// The kinds.
const (
	// AnyKind stands for all of them, where a caller may run any function.
	AnyKind Kind = iota
	// Query reads, and is run again when what it read changes.
	Query
	// Mutation writes, in a transaction, once per request.
	Mutation
	// Action does anything else; it is never run again by the server.
	Action
)

// String returns the kind as error messages name it.
func (k Kind) String() string {
	switch k {
	case Query:
		return "Query"
	case Mutation:
		return "Mutation"
	case Action:
		return "Action"
	}
	return fmt.Sprintf("Kind(%d)", int(k))
}

// Function is one callable function.
type Function struct {
	Name string // canonical, "module:function"
	Kind Kind
	// Args is checked before Run. Nil stands for no arguments at all.
	Args *ObjectValidator
	// Access is the rule that the caller must satisfy before Run. Leave it empty
	// where the rule depends on the session or where a refusal is answered with
	// an empty result: then Run asks auth.Allow itself.
	Access auth.Action
	// LinksHere says that the result holds URLs of this server, made from
	// Call.BaseURL. Clients that reach it under different names then watch
	// results of their own.
	LinksHere bool
	// Large says that the result may take tens of MB. Few such functions run at a
	// time, each for another caller.
	Large bool
	// Paginated says that the query answers a page whose end is held; see
	// Call.Journal.
	Paginated bool
	// Run does the work and returns the result, in the forms that value.Append
	// knows; nil is null. A *fault.Error is shown to the caller, any other
	// error is logged and answered with "Server Error".
	Run func(ctx context.Context, c *Call) (any, error)
}

// Registry is a set of functions, by canonical name.
type Registry struct {
	functions map[string]*Function
	unserved  map[string]string // by module or name: why
	resolver  Resolver
	large     *load.Queue // for the Large functions that run
}

const (
	// mostLarge is how many Large functions run at once, each for another caller.
	mostLarge = 2
	// largePatience is how long one waits for others.
	largePatience = 20 * time.Second
)

// New makes an empty registry, whose callers the resolver finds out.
func New(resolver Resolver) *Registry {
	return &Registry{
		functions: make(map[string]*Function), unserved: make(map[string]string),
		resolver: resolver, large: load.NewQueue(mostLarge, 1, largePatience),
	}
}

// Unserved says of a module, or of one function of it, that clients know it and
// that it is not here. Who calls it gets the coded error NOT_SERVED with the
// sentence, which is for people, unless a function of that name was added.
func (r *Registry) Unserved(name, sentence string) { r.unserved[name] = sentence }

// Add registers functions. It refuses a name that is taken or not canonical, a
// missing Run, and an unknown kind.
func (r *Registry) Add(functions ...Function) error {
	for _, f := range functions {
		canonical, err := ParseName(f.Name)
		if err != nil {
			return fmt.Errorf("register function: %w", err)
		}
		if canonical != f.Name {
			return fmt.Errorf("register function %q: its canonical name is %q", f.Name, canonical)
		}
		if r.functions[f.Name] != nil {
			return fmt.Errorf("register function %q: already registered", f.Name)
		}
		if f.Run == nil || f.Kind < Query || f.Kind > Action {
			return fmt.Errorf("register function %q: needs a kind and a Run", f.Name)
		}
		if f.Args == nil {
			f.Args = Object()
		}
		r.functions[f.Name] = &f
	}
	return nil
}

// Lookup returns the function with the canonical name, or nil.
func (r *Registry) Lookup(name string) *Function { return r.functions[name] }

// All lists the functions by name.
func (r *Registry) All() []*Function {
	all := slices.Collect(maps.Values(r.functions))
	slices.SortFunc(all, func(a, b *Function) int { return strings.Compare(a.Name, b.Name) })
	return all
}
