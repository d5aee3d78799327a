package convextest

import (
	"context"
	"errors"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/ecovolt/telemetryd/api/convex/registry"
	"github.com/ecovolt/telemetryd/api/convex/value"
	"github.com/ecovolt/telemetryd/auth"
	"github.com/ecovolt/telemetryd/auth/secret"
	"github.com/ecovolt/telemetryd/internal/dbtest"
	"github.com/ecovolt/telemetryd/internal/fault"
	schema "github.com/ecovolt/telemetryd/sql"
)

// Key is the deploy key of the holder "bridge".
const Key = "prod:car|secret"

// echo makes a function that returns its "value" argument.
func echo(name string, kind registry.Kind) registry.Function {
	return registry.Function{Name: name, Kind: kind, Args: registry.Object(registry.Optional("value", registry.Any())),
		Run: func(_ context.Context, c *registry.Call) (any, error) { return c.Args["value"], nil }}
}

// Notebook is the application: a list of texts in the database, and knobs
// for tests to turn.
type Notebook struct {
	Pool     *pgxpool.Pool
	Auth     *auth.Service
	Registry *registry.Registry

	Runs    atomic.Int64  // of notes:list
	Adds    atomic.Int64  // bodies of notes:add that ran
	Waiting chan struct{} // receives when notes:wait or notes:hold has begun
	Resume  chan struct{} // lets them end
	mu      sync.Mutex
	listErr error     // what notes:list fails with
	Until   time.Time // what notes:until is valid until
}

// FailWith lets notes:list fail with err from its next run on; nil ends that.
func (n *Notebook) FailWith(err error) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.listErr = err
}

func (n *Notebook) tx(ctx context.Context, work func(context.Context, pgx.Tx) error) error {
	return schema.Tx(ctx, n.Pool, func(ctx context.Context, tx pgx.Tx) error {
		if err := work(ctx, tx); err != nil {
			return err
		}
		return schema.Touch(ctx, tx, "notes")
	})
}

// Add commits another text.
func (n *Notebook) Add(ctx context.Context, text string) error {
	return n.tx(ctx, func(ctx context.Context, tx pgx.Tx) error {
		_, err := tx.Exec(ctx, `INSERT INTO jottings (text) VALUES ($1)`, text)
		return err
	})
}

// List returns the texts in the order in which they were added.
func (n *Notebook) List(ctx context.Context) ([]string, error) {
	return schema.List(ctx, n.Pool, pgx.RowTo[string], `SELECT text FROM jottings ORDER BY id`)
}

func (n *Notebook) functions() []registry.Function {
	text := registry.Object(registry.Field("text", registry.String()))
	wait := func(ctx context.Context) {
		n.Waiting <- struct{}{}
		select {
		case <-n.Resume:
		case <-ctx.Done():
		}
	}
	return []registry.Function{
		echo("test:echo", registry.Query), echo("test:echoMutation", registry.Mutation), echo("test:echoAction", registry.Action),
		echo("admin/test:nested", registry.Query),
		{Name: "test:who", Kind: registry.Query, Args: registry.Object(registry.Optional("token", registry.String()), registry.Optional("value", registry.Number())), Run: func(_ context.Context, c *registry.Call) (any, error) {
			who := map[string]any{"role": string(c.Principal.EffectiveRole())}
			if c.Principal.Key != nil {
				who["key"] = c.Principal.Key.Name
			}
			if c.Principal.SignedIn() {
				who["user"] = c.Principal.UserID
			}
			return who, nil
		}},
		{Name: "test:secret", Kind: registry.Mutation, Access: auth.Ingest, Run: func(context.Context, *registry.Call) (any, error) { return "done", nil }},
		{Name: "test:bulk", Kind: registry.Mutation, Args: registry.Object(registry.Field("records", registry.Raw())), Run: func(_ context.Context, c *registry.Call) (any, error) {
			return len(c.Args.Raw("records")), nil
		}},
		{Name: "test:coded", Kind: registry.Mutation, Run: func(context.Context, *registry.Call) (any, error) {
			err := fault.Coded(fault.Conflict, "VIEW_CONFLICT", "The view has changed.")
			err.Data = map[string]any{"revision": value.BigInt(7)}
			return nil, err
		}},
		{Name: "test:codedQuery", Kind: registry.Query, Run: func(context.Context, *registry.Call) (any, error) {
			return nil, fault.Coded(fault.NotFound, "NOT_FOUND", "Nothing there.")
		}},
		{Name: "test:broken", Kind: registry.Query, Run: func(context.Context, *registry.Call) (any, error) { return nil, errors.New("password=hunter2") }},
		{Name: "test:brokenMutation", Kind: registry.Mutation, Run: func(context.Context, *registry.Call) (any, error) { return nil, errors.New("password=hunter2") }},
		{Name: "test:panics", Kind: registry.Action, Run: func(context.Context, *registry.Call) (any, error) { panic("hunter2") }},
		{Name: "test:busy", Kind: registry.Mutation, Run: func(context.Context, *registry.Call) (any, error) {
			return nil, &fault.Error{Kind: fault.Unavailable, Message: "busy", RetryAfter: 3 * time.Second}
		}},
		{Name: "test:plain", Kind: registry.Action, Run: func(context.Context, *registry.Call) (any, error) { return nil, fault.New(fault.Invalid, "no good") }},
		{Name: "test:large", Kind: registry.Query, Args: registry.Object(registry.Field("bytes", registry.Number())), Run: func(_ context.Context, c *registry.Call) (any, error) {
			return strings.Repeat("é", int(c.Args.Number("bytes", 0))/2), nil
		}},
		{Name: "notes:list", Kind: registry.Query, Run: func(ctx context.Context, c *registry.Call) (any, error) {
			n.Runs.Add(1)
			c.Watch("notes")
			n.mu.Lock()
			err := n.listErr
			n.mu.Unlock()
			if err != nil {
				return nil, err
			}
			return n.List(ctx)
		}},
		{Name: "notes:page", Kind: registry.Query, Paginated: true, Args: registry.Object(registry.Field("size", registry.Number())), Run: func(ctx context.Context, c *registry.Call) (any, error) {
			c.Watch("notes")
			notes, err := n.List(ctx)
			if err != nil {
				return nil, err
			}
			slices.Sort(notes)
			if c.Journal == "" {
				c.Journal = notes[int(c.Args.Number("size", 0))-1]
			}
			return notes[:slices.Index(notes, c.Journal)+1], nil
		}},
		{Name: "notes:add", Kind: registry.Mutation, Args: text, Run: func(ctx context.Context, c *registry.Call) (any, error) {
			n.Adds.Add(1)
			if err := n.Add(ctx, c.Args.String("text")); err != nil {
				return nil, err
			}
			return map[string]string{"added": c.Args.String("text")}, nil
		}},
		{Name: "notes:refuse", Kind: registry.Mutation, Args: text, Run: func(ctx context.Context, c *registry.Call) (any, error) {
			return nil, n.tx(ctx, func(ctx context.Context, tx pgx.Tx) error {
				if _, err := tx.Exec(ctx, `INSERT INTO jottings (text) VALUES ($1)`, c.Args.String("text")); err != nil {
					return err
				}
				return fault.New(fault.Invalid, "not that one")
			})
		}},
		{Name: "notes:hold", Kind: registry.Mutation, Args: text, Run: func(ctx context.Context, c *registry.Call) (any, error) {
			n.Adds.Add(1)
			err := n.Add(ctx, c.Args.String("text"))
			wait(ctx) // committed, not answered
			return "held", err
		}},
		{Name: "notes:wait", Kind: registry.Action, Run: func(ctx context.Context, _ *registry.Call) (any, error) { wait(ctx); return "waited", nil }},
		{Name: "notes:until", Kind: registry.Query, Run: func(_ context.Context, c *registry.Call) (any, error) {
			n.mu.Lock()
			defer n.mu.Unlock()
			c.ValidUntil(n.Until)
			return time.Now().Before(n.Until), nil
		}},
	}
}

// New makes a notebook on the test's database.
func New(t testing.TB) *Notebook {
	t.Helper()
	pool := dbtest.New(t)
	if _, err := pool.Exec(t.Context(), `CREATE TABLE IF NOT EXISTS jottings (id bigint GENERATED ALWAYS AS IDENTITY, text text)`); err != nil {
		t.Fatal(err)
	}
	n := &Notebook{
		Pool: pool, Waiting: make(chan struct{}, 100), Resume: make(chan struct{}, 100),
		Auth: auth.New(pool, auth.Options{
			StaticKeys: []auth.StaticKey{{Name: "bridge", Secret: Key}},
			Hash:       secret.Params{MemoryKiB: 64, Iterations: 1}, // no test is about its cost
		}),
	}
	n.Registry = registry.New(n.Auth)
	if err := n.Registry.Add(n.functions()...); err != nil {
		t.Fatal(err)
	}
	return n
}

// SignUp makes an account and returns its id and a token.
func (n *Notebook) SignUp(t testing.TB, email string) (user, token string) {
	t.Helper()
	result, err := n.Auth.SignUp(t.Context(), auth.SignUp{Email: email, Password: "a long enough password"})
	if err != nil {
		t.Fatal(err)
	}
	return result.UserID, result.Token
}
