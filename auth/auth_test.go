package auth_test

import (
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/ecovolt/telemetryd/auth"
	"github.com/ecovolt/telemetryd/auth/secret"
	"github.com/ecovolt/telemetryd/internal/dbtest"
)

const password = "correct horse battery"

// cheap keeps tests quick; what is tested does not depend on the cost.
var cheap = secret.Params{MemoryKiB: 64, Iterations: 1, Threads: 1}

// bundle is a service under test and its database.
type bundle struct {
	*auth.Service
	pool *pgxpool.Pool
}

func setup(t *testing.T) bundle {
	t.Helper()
	pool := dbtest.New(t)
	return bundle{auth.New(pool, auth.Options{Hash: cheap}), pool}
}

// signUp makes an external account.
func (b bundle) signUp(t *testing.T, email string) auth.Result {
	t.Helper()
	got, err := b.SignUp(t.Context(), auth.SignUp{Email: email, Password: password})
	if err != nil || got.Err != "" {
		t.Fatalf("SignUp(%s) = %+v, %v", email, got, err)
	}
	return got
}

// account makes an account of the role and returns its principal.
func (b bundle) account(t *testing.T, role auth.Role) auth.Principal {
	t.Helper()
	email := fmt.Sprintf("%s-%d@team.example", role, time.Now().UnixNano())
	if _, err := b.CreateAccount(t.Context(), operator, auth.NewAccount{Email: email, Password: password, Role: role}); err != nil {
		t.Fatal(err)
	}
	got, err := b.SignIn(t.Context(), auth.SignIn{Email: email, Password: password})
	if err != nil || got.Err != "" {
		t.Fatalf("SignIn = %+v, %v", got, err)
	}
	p, err := b.Authenticate(t.Context(), got.Token)
	if err != nil || p.Role != role {
		t.Fatalf("Authenticate = %+v, %v; want a %s", p, err, role)
	}
	return p
}

func (b bundle) signIn(t *testing.T, email, password string) auth.Result {
	t.Helper()
	got, err := b.SignIn(t.Context(), auth.SignIn{Email: email, Password: password})
	if err != nil {
		t.Fatal(err)
	}
	return got
}

func (b bundle) role(t *testing.T, token string) auth.Role {
	t.Helper()
	p, err := b.Authenticate(t.Context(), token)
	if err != nil {
		t.Fatal(err)
	}
	return p.Role
}

// pass moves everything in the tables of this package into the past, which is
// what the passing of time looks like to the database's clock.
func (b bundle) pass(t *testing.T, d time.Duration) {
	t.Helper()
	for _, statement := range []string{
		`UPDATE auth_attempts SET window_started_at = window_started_at - $1::interval,
			blocked_until = blocked_until - $1::interval, last_used_at = last_used_at - $1::interval`,
		`UPDATE auth_addresses SET free_at = free_at - $1::interval, last_used_at = last_used_at - $1::interval`,
		`UPDATE auth_sessions SET created_at = created_at - $1::interval, expires_at = expires_at - $1::interval`,
		`UPDATE auth_audit SET at = at - $1::interval`,
	} {
		if _, err := b.pool.Exec(t.Context(), statement, d); err != nil {
			t.Fatal(err)
		}
	}
}

// events returns the names in the audit log, oldest first.
func (b bundle) events(t *testing.T, user string) (names []string) {
	t.Helper()
	events, err := b.Audit(t.Context(), operator, auth.AuditQuery{UserID: user})
	if err != nil {
		t.Fatal(err)
	}
	for i := range events {
		names = append(names, events[len(events)-1-i].Name)
	}
	return names
}

// version of a topic, zero when nothing was ever announced on it.
func (b bundle) version(t *testing.T, topic string) (v int64) {
	t.Helper()
	err := b.pool.QueryRow(context.Background(), `SELECT coalesce(max(version), 0) FROM changes WHERE topic = $1`, topic).Scan(&v)
	if err != nil {
		t.Fatal(err)
	}
	return v
}
