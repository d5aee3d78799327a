package auth

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/ecovolt/telemetryd/auth/gate"
	"github.com/ecovolt/telemetryd/auth/secret"
	schema "github.com/ecovolt/telemetryd/sql"
)

// How long bearer sessions last, and how many one account may have.
const (
	SessionLife    = 12 * time.Hour
	PersistentLife = 30 * 24 * time.Hour
	maxSessions    = 8
)

// Session is a bearer session, without its token.
type Session struct {
	ID         string
	UserID     string
	CreatedAt  time.Time
	LastSeenAt time.Time // set at creation and not moved
	ExpiresAt  time.Time
	Persistent bool // lasts 30 days instead of 12 hours
}

// VerifySession returns the session behind a token, or nil when there is none.
func (s *Service) VerifySession(ctx context.Context, token string) (*Session, error) {
	if !WellFormedToken(token) {
		return nil, nil
	}
	session, err := schema.Find[Session](ctx, s.pool, `
		SELECT id, user_id, created_at, last_seen_at, expires_at, persistent
		FROM auth_sessions
		WHERE token_hash = $1 AND expires_at > clock_timestamp()`, secret.Digest(token))
	if err != nil {
		return nil, fmt.Errorf("verify session: %w", err)
	}
	return session, nil
}

// SignOut ends the session behind a token. Without one there is nothing to do,
// which is no error.
func (s *Service) SignOut(ctx context.Context, token, address string) error {
	if !WellFormedToken(token) {
		return nil
	}
	return s.tx(ctx, "sign out", func(ctx context.Context, tx pgx.Tx) error {
		var user string
		err := tx.QueryRow(ctx, `DELETE FROM auth_sessions WHERE token_hash = $1 RETURNING user_id`, secret.Digest(token)).Scan(&user)
		if errors.Is(err, pgx.ErrNoRows) {
			return nil
		}
		if err != nil {
			return err
		}
		if err := record(ctx, tx, Event{Name: signedOut, UserID: user, Address: gate.Address(address)}); err != nil {
			return err
		}
		return schema.Touch(ctx, tx, schema.TopicUser(user))
	})
}

// openSession makes a session for a user whose row the transaction holds
// locked, and closes the oldest beyond maxSessions. app is the id of the app
// password that it is opened with, or "".
func openSession(ctx context.Context, tx pgx.Tx, user, app string, persistent bool) (token string, expires time.Time, err error) {
	token = secret.Token()
	life := SessionLife
	if persistent {
		life = PersistentLife
	}
	id := secret.ID("as")
	err = tx.QueryRow(ctx, `
		INSERT INTO auth_sessions (id, user_id, token_hash, expires_at, persistent, app_password)
		VALUES ($1, $2, $3, clock_timestamp() + $4::interval, $5, nullif($6, ''))
		RETURNING expires_at`, id, user, secret.Digest(token), life, persistent, app).Scan(&expires)
	if err != nil {
		return "", time.Time{}, fmt.Errorf("open session: %w", err)
	}
	_, err = closeUnasked(ctx, tx, `
		DELETE FROM auth_sessions
		WHERE user_id = $1 AND id IN (
			SELECT id FROM auth_sessions WHERE user_id = $1
			ORDER BY expires_at > clock_timestamp() DESC, id = $2 DESC, created_at DESC, id
			OFFSET $3)
		RETURNING user_id, expires_at <= clock_timestamp()`, user, id, maxSessions)
	if err != nil {
		return "", time.Time{}, fmt.Errorf("close oldest sessions: %w", err)
	}
	return token, expires, nil
}

// closeSessions ends every session of a user, but not the one to keep.
func closeSessions(ctx context.Context, tx pgx.Tx, user, keep string) error {
	if _, err := tx.Exec(ctx, `DELETE FROM auth_sessions WHERE user_id = $1 AND id <> $2`, user, keep); err != nil {
		return fmt.Errorf("close sessions: %w", err)
	}
	return nil
}

// closeUnasked deletes sessions that nobody asked to close, records and announces
// that, and returns how many. The statement returns user_id and whether it had
// expired.
func closeUnasked(ctx context.Context, tx pgx.Tx, statement string, args ...any) (int, error) {
	type closed struct {
		User    string
		Expired bool
	}
	gone, err := schema.List(ctx, tx, pgx.RowToStructByPos[closed], statement, args...)
	if err != nil {
		return 0, err
	}
	var topics []string
	for _, c := range gone {
		name := sessionEvicted
		if c.Expired {
			name = sessionExpired
		}
		if err := record(ctx, tx, Event{Name: name, UserID: c.User}); err != nil {
			return 0, err
		}
		topics = append(topics, schema.TopicUser(c.User))
	}
	if len(topics) == 0 {
		return 0, nil
	}
	return len(gone), schema.Touch(ctx, tx, topics...)
}
