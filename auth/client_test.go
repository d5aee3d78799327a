package auth_test

import (
	"context"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/ecovolt/telemetryd/auth"
	"github.com/ecovolt/telemetryd/internal/dbtest"
	"github.com/ecovolt/telemetryd/internal/load"
)

// callers notes as whom connections are asked for.
type callers struct {
	mu   sync.Mutex
	seen []string
}

func (c *callers) TraceAcquireStart(ctx context.Context, _ *pgxpool.Pool, _ pgxpool.TraceAcquireStartData) context.Context {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.seen = append(c.seen, load.Caller(ctx))
	return ctx
}

func (*callers) TraceAcquireEnd(context.Context, *pgxpool.Pool, pgxpool.TraceAcquireEndData) {}

func (*callers) TraceQueryStart(ctx context.Context, _ *pgx.Conn, _ pgx.TraceQueryStartData) context.Context {
	return ctx
}

func (*callers) TraceQueryEnd(context.Context, *pgx.Conn, pgx.TraceQueryEndData) {}

// Whoever makes up keys and tokens waits with its network, however many it makes
// up. One that was good waits alone from then on, until it is good no more.
func TestMadeUpCredentialsAreNoCallers(t *testing.T) {
	t.Parallel()
	config, err := pgxpool.ParseConfig(dbtest.URL(t))
	if err != nil {
		t.Fatal(err)
	}
	seen := new(callers)
	config.ConnConfig.Tracer = seen
	pool, err := pgxpool.NewWithConfig(t.Context(), config)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(pool.Close)
	s := auth.New(pool, auth.Options{})
	secret, key, err := s.CreateKey(t.Context(), operator, auth.NewKey{Name: "bridge"})
	if err != nil {
		t.Fatal(err)
	}
	pit := auth.WithClientAddress(t.Context(), "192.0.2.1")
	network := load.Caller(pit)
	look := func(what string, c auth.Credentials, alone bool) {
		t.Helper()
		seen.seen = nil
		_, _ = s.Resolve(pit, c)
		own := slices.ContainsFunc(seen.seen, func(caller string) bool { return strings.HasPrefix(caller, "credential ") })
		if len(seen.seen) == 0 || own != alone || !own && slices.ContainsFunc(seen.seen, func(caller string) bool { return caller != network }) {
			t.Errorf("%s waits as %q, alone %v", what, seen.seen, alone)
		}
	}
	for _, made := range []string{"a", "b"} {
		look("a made-up key", auth.Credentials{Key: "made up " + made}, false)
		look("again", auth.Credentials{Key: "made up " + made}, false)
		look("a made-up token", auth.Credentials{Token: strings.Repeat(made, 43)}, false)
	}
	good := auth.Credentials{Key: secret}
	seen.seen = nil
	if _, err := s.Resolve(pit, good); err != nil || seen.seen[0] != network {
		t.Errorf("a key that is not known yet waits as %q, %v", seen.seen, err)
	}
	look("a key that was good", good, true)
	if err := s.RevokeKey(t.Context(), operator, key.ID); err != nil {
		t.Fatal(err)
	}
	look("a key that was revoked", good, true)
	look("and is known to be", good, false)
}
