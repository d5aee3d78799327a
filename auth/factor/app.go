package factor

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/ecovolt/telemetryd/auth/check"
	"github.com/ecovolt/telemetryd/auth/secret"
	"github.com/ecovolt/telemetryd/internal/fault"
	schema "github.com/ecovolt/telemetryd/sql"
)

const (
	// appMark starts every app password, so that people and secret scanners know one.
	appMark = "tda_"
	maxApps = 20 // of one account
)

// AppPassword is what a client that can ask for no code signs in with, without the
// secret.
type AppPassword struct {
	ID         string
	Name       string
	CreatedAt  time.Time
	LastUsedAt *time.Time // newest sign-in; nil: none yet
}

// MakeApp makes an app password and returns the secret, which is shown this once.
// An account that has as many as it may is fault.Conflict.
func MakeApp(ctx context.Context, tx pgx.Tx, user, name string) (string, AppPassword, error) {
	name, ok := check.Label(name)
	if !ok {
		return "", AppPassword{}, fault.Field("name", "must be 1 to %d printable characters", check.MaxLabel)
	}
	var count int
	if err := tx.QueryRow(ctx, `SELECT count(*) FROM auth_app_passwords WHERE user_id = $1`, user).Scan(&count); err != nil {
		return "", AppPassword{}, fmt.Errorf("count app passwords: %w", err)
	}
	if count >= maxApps {
		return "", AppPassword{}, fault.New(fault.Conflict, "This account has %d app passwords. Revoke one first.", count)
	}
	made := appMark + secret.Token()
	app := AppPassword{ID: secret.ID("ap"), Name: name}
	err := tx.QueryRow(ctx, `
		INSERT INTO auth_app_passwords (id, user_id, name, secret_hash) VALUES ($1, $2, $3, $4)
		RETURNING created_at`, app.ID, user, app.Name, secret.Digest(made)).Scan(&app.CreatedAt)
	if err != nil {
		return "", AppPassword{}, fmt.Errorf("store app password: %w", err)
	}
	return made, app, nil
}

// UseApp returns the id of the account's app password, and notes its use. It is ""
// for any other text.
func UseApp(ctx context.Context, tx pgx.Tx, user, password string) (id string, err error) {
	err = tx.QueryRow(ctx, `
		UPDATE auth_app_passwords SET last_used_at = clock_timestamp()
		WHERE user_id = $1 AND secret_hash = $2 RETURNING id`, user, secret.Digest(password)).Scan(&id)
	if err != nil && !errors.Is(err, pgx.ErrNoRows) {
		return "", fmt.Errorf("look up app password: %w", err)
	}
	return id, nil
}

// Apps returns an account's app passwords, the oldest first.
func Apps(ctx context.Context, q schema.Querier, user string) ([]AppPassword, error) {
	apps, err := schema.List(ctx, q, pgx.RowToStructByPos[AppPassword], `
		SELECT id, name, created_at, last_used_at FROM auth_app_passwords
		WHERE user_id = $1 ORDER BY created_at, id`, user)
	if err != nil {
		return nil, fmt.Errorf("list app passwords: %w", err)
	}
	return apps, nil
}

// RevokeApp ends an app password, and the sessions that were opened with it. It
// returns its name, which is "" where the account has no such one.
func RevokeApp(ctx context.Context, tx pgx.Tx, user, id string) (name string, err error) {
	err = tx.QueryRow(ctx, `DELETE FROM auth_app_passwords WHERE user_id = $1 AND id = $2 RETURNING name`, user, id).Scan(&name)
	if err != nil && !errors.Is(err, pgx.ErrNoRows) {
		return "", fmt.Errorf("revoke app password: %w", err)
	}
	return name, nil
}

// RevokeApps ends all app passwords of an account with their sessions.
func RevokeApps(ctx context.Context, tx pgx.Tx, user string) error {
	if _, err := tx.Exec(ctx, `DELETE FROM auth_app_passwords WHERE user_id = $1`, user); err != nil {
		return fmt.Errorf("revoke app passwords: %w", err)
	}
	return nil
}
