package dbtest

import (
	"context"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/ecovolt/telemetryd/internal/await"
)

// New returns a pool on the test's own migrated database. Calls with the same t
// get pools on the same database, as several instances of the daemon would;
// subtests have databases of their own. The pool is closed and the database
// dropped when the test ends.
func New(t testing.TB) *pgxpool.Pool {
	t.Helper()
	return open(t, URL(t))
}

// URL returns the URL of the test's own migrated database, the one that New
// connects to.
func URL(t testing.TB) string {
	t.Helper()
	return database(t, "", kindMigrated)
}

// With returns a URL of a test's database with more settings, such as
// pool_max_conns=3.
func With(url, settings string) string {
	if strings.Contains(url, "?") {
		return url + "&" + settings
	}
	return url + "?" + settings
}

// Empty returns the URL of a database of the test's own that holds nothing, not
// even the timescaledb extension. It is for tests of the migrations themselves.
func Empty(t testing.TB) string {
	t.Helper()
	return database(t, "empty", kindEmpty)
}

// Another returns the URL of a further migrated database of the test's own. Calls
// with the same name get the same one.
func Another(t testing.TB, name string) string {
	t.Helper()
	return database(t, "another "+name, kindMigrated)
}

// Edition tells which edition of TimescaleDB the database runs: "apache" or
// "community".
func Edition(t testing.TB, pool *pgxpool.Pool) string {
	t.Helper()
	var license string
	if err := pool.QueryRow(t.Context(), "SHOW timescaledb.license").Scan(&license); err != nil {
		t.Fatalf("dbtest: which edition: %v", err)
	}
	if license == "apache" {
		return "apache"
	}
	return "community"
}

// NeedsCommunity skips a test on the Apache edition, and says why.
func NeedsCommunity(t testing.TB, pool *pgxpool.Pool, why string) {
	t.Helper()
	if Edition(t, pool) == "apache" {
		t.Skip(why)
	}
}

// SingleBackend reports whether the server has one backend for all
// connections, and so neither background workers nor anything that needs two
// transactions at once. It is true for the WASM build of the community
// edition that test/pglite serves.
func SingleBackend(t testing.TB) bool {
	t.Helper()
	return connect(t).singleBackend
}

// NeedsBackends skips a test where all connections have one backend, and says why
// it needs more, or why that slow server would show nothing that others do not.
func NeedsBackends(t testing.TB, why string) {
	t.Helper()
	if SingleBackend(t) {
		t.Skip(why)
	}
}

func open(t testing.TB, url string) *pgxpool.Pool {
	t.Helper()
	pool, err := pgxpool.New(t.Context(), url)
	if err != nil {
		t.Fatalf("dbtest: %v", err)
	}
	t.Cleanup(func() {
		// Close waits for every connection that was not given back. A test
		// that forgot one must fail instead of hanging.
		closed := make(chan struct{})
		go func() { pool.Close(); close(closed) }()
		select {
		case <-closed:
		case <-time.After(await.Patience):
			t.Errorf("dbtest: %d connections were never released to the pool", pool.Stat().AcquiredConns())
		}
	})
	return pool
}

// withDatabase returns the base URL with another database name. Both forms that
// libpq takes are understood: postgres://... and key=value.
func withDatabase(base, name string) string {
	rest, isURL := strings.CutPrefix(base, "postgres://")
	if !isURL {
		rest, isURL = strings.CutPrefix(base, "postgresql://")
	}
	if !isURL {
		return base + " dbname=" + name
	}
	rest, query, hasQuery := strings.Cut(rest, "?")
	authority, _, _ := strings.Cut(rest, "/")
	url := "postgres://" + authority + "/" + name
	if hasQuery {
		url += "?" + query
	}
	return url
}

func short(parent context.Context) (context.Context, context.CancelFunc) {
	return context.WithTimeout(context.WithoutCancel(parent), await.Patience)
}
