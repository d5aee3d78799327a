package convex

import (
	"context"
	"errors"
	"log/slog"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/ecovolt/telemetryd/auth"
	"github.com/ecovolt/telemetryd/internal/dbtest"
	"github.com/ecovolt/telemetryd/internal/fault"
	"github.com/ecovolt/telemetryd/realtime/hub"
	schema "github.com/ecovolt/telemetryd/sql"
	"github.com/ecovolt/telemetryd/timeseries"
)

const testKey = "prod:car|secret"

// echo makes a function that returns its "value" argument.
func echo(name string, kind Kind) Function {
	return Function{Name: name, Kind: kind, Args: Object(Optional("value", Any())),
		Run: func(_ context.Context, c *Call) (any, error) { return c.Args["value"], nil }}
}

// notebook is a small application: a list of texts in the database, and knobs
// for tests to turn.
type notebook struct {
	pool *pgxpool.Pool

	runs    atomic.Int64  // of notes:list
	adds    atomic.Int64  // bodies of notes:add that ran
	waiting chan struct{} // receives when notes:wait or notes:hold has begun
	resume  chan struct{} // lets them end
	mu      sync.Mutex
	listErr error     // what notes:list fails with
	until   time.Time // what notes:until is valid until
}

func (n *notebook) failWith(err error) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.listErr = err
}

func (n *notebook) tx(ctx context.Context, work func(context.Context, pgx.Tx) error) error {
	return schema.Tx(ctx, n.pool, func(ctx context.Context, tx pgx.Tx) error {
		if err := work(ctx, tx); err != nil {
			return err
		}
		return schema.Touch(ctx, tx, "notes")
	})
}

func (n *notebook) add(ctx context.Context, text string) error {
	return n.tx(ctx, func(ctx context.Context, tx pgx.Tx) error {
		_, err := tx.Exec(ctx, `INSERT INTO notes (text) VALUES ($1)`, text)
		return err
	})
}

func (n *notebook) list(ctx context.Context) ([]string, error) {
	rows, err := n.pool.Query(ctx, `SELECT text FROM notes ORDER BY id`)
	if err != nil {
		return nil, err
	}
	return pgx.CollectRows(rows, pgx.RowTo[string])
}

func (n *notebook) functions() []Function {
	text := Object(Field("text", String()))
	wait := func(ctx context.Context) {
		n.waiting <- struct{}{}
		select {
		case <-n.resume:
		case <-ctx.Done():
		}
	}
	return []Function{
		echo("test:echo", Query), echo("test:echoMutation", Mutation), echo("test:echoAction", Action),
		echo("admin/test:nested", Query),
		{Name: "test:who", Kind: Query, Args: Object(Optional("token", String())), Run: func(_ context.Context, c *Call) (any, error) {
			who := map[string]any{"role": string(c.Principal.EffectiveRole())}
			if c.Principal.Key != nil {
				who["key"] = c.Principal.Key.Name
			}
			if c.Principal.SignedIn() {
				who["user"] = c.Principal.UserID
			}
			return who, nil
		}},
		{Name: "test:secret", Kind: Mutation, Access: auth.Ingest, Run: func(context.Context, *Call) (any, error) { return "done", nil }},
		{Name: "test:bulk", Kind: Mutation, Args: Object(Field("records", Raw())), Run: func(_ context.Context, c *Call) (any, error) {
			return len(c.Args.Raw("records")), nil
		}},
		{Name: "test:coded", Kind: Mutation, Run: func(context.Context, *Call) (any, error) {
			err := fault.Coded(fault.Conflict, "VIEW_CONFLICT", "The view has changed.")
			err.Data = map[string]any{"revision": BigInt(7)}
			return nil, err
		}},
		{Name: "test:codedQuery", Kind: Query, Run: func(context.Context, *Call) (any, error) {
			return nil, fault.Coded(fault.NotFound, "NOT_FOUND", "Nothing there.")
		}},
		{Name: "test:broken", Kind: Query, Run: func(context.Context, *Call) (any, error) { return nil, errors.New("password=hunter2") }},
		{Name: "test:brokenMutation", Kind: Mutation, Run: func(context.Context, *Call) (any, error) { return nil, errors.New("password=hunter2") }},
		{Name: "test:panics", Kind: Action, Run: func(context.Context, *Call) (any, error) { panic("hunter2") }},
		{Name: "test:busy", Kind: Mutation, Run: func(context.Context, *Call) (any, error) {
			return nil, &fault.Error{Kind: fault.Unavailable, Message: "busy", RetryAfter: 3 * time.Second}
		}},
		{Name: "test:plain", Kind: Action, Run: func(context.Context, *Call) (any, error) { return nil, fault.New(fault.Invalid, "no good") }},
		{Name: "test:large", Kind: Query, Args: Object(Field("bytes", Number())), Run: func(_ context.Context, c *Call) (any, error) {
			return strings.Repeat("é", int(c.Args.Number("bytes", 0))/2), nil
		}},
		{Name: "notes:list", Kind: Query, Run: func(ctx context.Context, c *Call) (any, error) {
			n.runs.Add(1)
			c.Watch("notes")
			n.mu.Lock()
			err := n.listErr
			n.mu.Unlock()
			if err != nil {
				return nil, err
			}
			return n.list(ctx)
		}},
		{Name: "notes:add", Kind: Mutation, Args: text, Run: func(ctx context.Context, c *Call) (any, error) {
			n.adds.Add(1)
			if err := n.add(ctx, c.Args.String("text")); err != nil {
				return nil, err
			}
			return map[string]string{"added": c.Args.String("text")}, nil
		}},
		{Name: "notes:refuse", Kind: Mutation, Args: text, Run: func(ctx context.Context, c *Call) (any, error) {
			return nil, n.tx(ctx, func(ctx context.Context, tx pgx.Tx) error {
				if _, err := tx.Exec(ctx, `INSERT INTO notes (text) VALUES ($1)`, c.Args.String("text")); err != nil {
					return err
				}
				return fault.New(fault.Invalid, "not that one")
			})
		}},
		{Name: "notes:hold", Kind: Mutation, Args: text, Run: func(ctx context.Context, c *Call) (any, error) {
			n.adds.Add(1)
			err := n.add(ctx, c.Args.String("text"))
			wait(ctx) // committed, not answered
			return "held", err
		}},
		{Name: "notes:wait", Kind: Action, Run: func(ctx context.Context, _ *Call) (any, error) { wait(ctx); return "waited", nil }},
		{Name: "notes:until", Kind: Query, Run: func(_ context.Context, c *Call) (any, error) {
			n.mu.Lock()
			defer n.mu.Unlock()
			c.ValidUntil(n.until)
			return time.Now().Before(n.until), nil
		}},
	}
}

// bench is a server of the notebook, over HTTP on a port of its own.
type bench struct {
	*notebook
	server *Server
	auth   *auth.Service
	hub    *hub.Hub
	url    string
	log    *logLines
}

// logLines collects what is logged.
type logLines struct {
	mu   sync.Mutex
	text strings.Builder
}

func (l *logLines) Write(b []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.Write(b)
}

func (l *logLines) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.String()
}

func newBench(t testing.TB, change ...func(*Options)) *bench {
	t.Helper()
	pool := dbtest.New(t)
	if _, err := pool.Exec(t.Context(), `CREATE TABLE IF NOT EXISTS notes (id bigint GENERATED ALWAYS AS IDENTITY, text text)`); err != nil {
		t.Fatal(err)
	}
	n := &notebook{pool: pool, waiting: make(chan struct{}, 100), resume: make(chan struct{}, 100)}
	registry := NewRegistry()
	if err := registry.Add(n.functions()...); err != nil {
		t.Fatal(err)
	}
	b := &bench{
		notebook: n, log: new(logLines),
		auth: auth.New(pool, auth.Options{StaticKeys: []auth.StaticKey{{Name: "bridge", Secret: testKey}}}),
		hub:  hub.New(timeseries.NewDeltas(pool), hub.Options{}),
	}
	options := Options{
		Registry: registry, Resolver: b.auth, Pool: pool, Hub: b.hub,
		Log: slog.New(slog.NewTextHandler(b.log, nil)),
	}
	for _, f := range change {
		f(&options)
	}
	var err error
	if b.server, err = New(options); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	var tasks sync.WaitGroup
	tasks.Go(func() { b.hub.Run(ctx) })
	tasks.Go(func() { b.server.Run(ctx) })
	select { // or a busy machine refuses the first sockets
	case <-b.server.clock.ready:
	case <-time.After(time.Minute):
		t.Fatal("the database's clock was not read")
	}
	web := httptest.NewServer(b.server)
	b.url = web.URL
	t.Cleanup(func() {
		limit, stop := context.WithTimeout(context.Background(), 20*time.Second)
		defer stop()
		if err := b.server.Shutdown(limit); err != nil {
			t.Errorf("shutdown: %v", err)
		}
		web.Close()
		cancel()
		tasks.Wait()
	})
	return b
}

// eventually waits until ok is true.
func eventually(t testing.TB, what string, ok func() bool) {
	t.Helper()
	for deadline := time.Now().Add(30 * time.Second); !ok(); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("timed out waiting for %s", what)
		}
	}
}

// signUp makes an account and gives its id and a token.
func (b *bench) signUp(t testing.TB, email string) (user, token string) {
	t.Helper()
	result, err := b.auth.SignUp(t.Context(), auth.SignUp{Email: email, Password: "a long enough password"})
	if err != nil {
		t.Fatal(err)
	}
	return result.UserID, result.Token
}
