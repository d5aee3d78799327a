package dbtest

import (
	"context"
	"fmt"
	"math/rand/v2"
	"os"
	"sync"
	"testing"

	"github.com/jackc/pgx/v5"

	"github.com/ecovolt/telemetryd/internal/await"
	schema "github.com/ecovolt/telemetryd/sql"
)

// urlVariable names the environment variable that says which server to test
// against.
const urlVariable = "TELEMETRYD_TEST_DATABASE_URL"

// Classes of the advisory locks, the first of their two keys. Any value does
// that nobody else uses on a test server.
const (
	lockTemplate = 0x7464_0001 // second key 0: held while the template is made
	lockProcess  = 0x7464_0002 // second key: the process; held as long as it lives
)

// server is this process's hold on the test server. One connection serves to
// make and drop databases; it lives as long as the process, and with it the
// lock that tells other processes that our clones are in use.
type server struct {
	base          string // URL as given; its database is where admin connects
	singleBackend bool
	live          chan struct{} // holds one for each database in use
	process       int32         // our key of lockProcess, part of our clones' names

	mu       sync.Mutex // guards what follows
	admin    *pgx.Conn
	template string // ready to be cloned, or empty
	serial   int    // of the next clone
}

var (
	shared     *server
	sharedErr  error
	sharedOnce sync.Once
)

// connect returns the process's server, or fails the test.
func connect(t testing.TB) *server {
	t.Helper()
	sharedOnce.Do(func() {
		ctx, cancel := context.WithTimeout(context.Background(), await.Patience)
		defer cancel()
		shared, sharedErr = newServer(ctx)
	})
	if sharedErr != nil {
		t.Fatalf("dbtest: %v", sharedErr)
	}
	return shared
}

func newServer(ctx context.Context) (*server, error) {
	base := os.Getenv(urlVariable)
	if base == "" {
		var err error
		if base, err = embedded(ctx); err != nil {
			return nil, fmt.Errorf("no database to test against (run `make db`, or set %s): %w", urlVariable, err)
		}
	}
	admin, err := schema.Connect(ctx, base)
	if err != nil {
		return nil, fmt.Errorf("the test server: %w", err)
	}
	s := &server{
		base:    base,
		live:    make(chan struct{}, maxLive),
		process: rand.Int32(),
		admin:   admin,
	}
	if admin.PgConn().ParameterStatus("telemetryd.single_backend") == "on" {
		s.singleBackend = true
		s.live = make(chan struct{}, maxLiveLone)
	}
	if _, err := admin.Exec(ctx, "SELECT pg_advisory_lock($1, $2)", lockProcess, s.process); err != nil {
		return nil, fmt.Errorf("mark this test process: %w", err)
	}
	return s, nil
}
