package analyst_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"github.com/ecovolt/telemetryd/internal/analyst"
	"github.com/ecovolt/telemetryd/internal/await"
	"github.com/ecovolt/telemetryd/internal/dbtest"
)

// signIn connects as a person who is a member of the analysts' role.
func signIn(t *testing.T) (conn *pgx.Conn, login string) {
	t.Helper()
	dbtest.NeedsBackends(t, "the server has one backend, whoever connects")
	pool := dbtest.New(t)
	var database string
	if err := pool.QueryRow(t.Context(), "SELECT current_database()").Scan(&database); err != nil {
		t.Fatal(err)
	}
	login = "analyst_of_" + database
	if _, err := pool.Exec(t.Context(), fmt.Sprintf("CREATE ROLE %s LOGIN PASSWORD 'read' IN ROLE %s", login, analyst.Role)); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_, _ = pool.Exec(context.WithoutCancel(t.Context()), "DROP ROLE "+login)
	})
	u, err := url.Parse(dbtest.URL(t))
	if err != nil {
		t.Fatal(err)
	}
	u.User = url.UserPassword(login, "read")
	conn, err = pgx.Connect(t.Context(), u.String())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close(context.WithoutCancel(t.Context())) })
	return conn, login
}

func TestRestrict(t *testing.T) {
	t.Parallel()
	conn, _ := signIn(t)
	pool := dbtest.New(t)
	owner, err := pool.Acquire(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer owner.Release()
	statements := []string{
		"SELECT pg_advisory_lock(1)", "SELECT pg_try_advisory_xact_lock_shared(1, 2)", "SELECT lo_create(0)", "SELECT lo_from_bytea(0, 'x')",
		"SELECT pg_logical_emit_message(false, 'x', repeat('x', 1000))",
		"CREATE TEMP TABLE t (i int)",
	}
	if _, err := conn.Exec(t.Context(), "SELECT pg_advisory_lock(1), pg_advisory_unlock(1)"); err != nil {
		t.Fatalf("an analyst of an unrestricted database: %v", err)
	}
	lacks, err := analyst.Lacks(t.Context(), pool)
	if err != nil || len(lacks) < 2 {
		t.Errorf("before, an analyst can %v, %v; want at least locks and temporary tables", lacks, err)
	}
	for range 2 { // each start does it
		if err := analyst.Restrict(t.Context(), owner.Conn()); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := conn.Exec(t.Context(), "SET default_transaction_read_only = off"); err != nil {
		t.Fatal(err)
	}
	for _, statement := range statements {
		_, err := conn.Exec(t.Context(), statement)
		var pg *pgconn.PgError
		if !errors.As(err, &pg) || pg.Code != "42501" {
			t.Errorf("%s: %v, want no permission", statement, err)
		}
		if strings.HasPrefix(statement, "SELECT lo_") {
			continue
		}
		if _, err := owner.Exec(t.Context(), statement); err != nil {
			t.Errorf("the owner: %s: %v", statement, err)
		}
	}
	if lacks, err := analyst.Lacks(t.Context(), pool); err != nil || len(lacks) > 0 {
		t.Errorf("an analyst can still %v, %v", lacks, err)
	}
}

func TestGuard(t *testing.T) {
	t.Parallel()
	conn, login := signIn(t)
	pool := dbtest.New(t)
	var log strings.Builder
	guard := analyst.Guard{Pool: pool, Log: slog.New(slog.NewTextHandler(&log, nil)), Statement: time.Minute, Transaction: time.Millisecond}
	look := func(want int) {
		t.Helper()
		if n, err := guard.Look(t.Context()); err != nil || n != want {
			t.Errorf("%d sessions ended, %v; want %d", n, err, want)
		}
	}
	// Whoever is no analyst is let be.
	tx, err := pool.Begin(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer tx.Rollback(t.Context())
	look(0)
	if _, err := conn.Exec(t.Context(), "SET statement_timeout = 0; SET idle_in_transaction_session_timeout = 0; BEGIN; LOCK TABLE telemetry IN ACCESS SHARE MODE"); err != nil {
		t.Fatal(err)
	}
	look(1)
	if _, err := conn.Exec(t.Context(), "SELECT"); err == nil {
		t.Error("its session goes on")
	}
	if !strings.Contains(log.String(), login) {
		t.Errorf("the log does not say who: %s", log.String())
	}

	again, _ := pgx.ConnectConfig(t.Context(), conn.Config())
	done := make(chan error, 1)
	go func() {
		_, err := again.Exec(t.Context(), "SET statement_timeout = 0; SELECT pg_sleep(600)")
		done <- err
	}()
	guard.Statement, guard.Transaction = time.Millisecond, time.Hour
	await.Until(t, "the statement is ended", func() bool {
		n, err := guard.Look(t.Context())
		return err == nil && n == 1
	})
	if err := <-done; err == nil {
		t.Error("the statement went on to its end")
	}
}
