package auth

import (
	"context"
	"fmt"

	"github.com/jackc/pgx/v5"

	"github.com/ecovolt/telemetryd/auth/gate"
	"github.com/ecovolt/telemetryd/internal/fault"
	schema "github.com/ecovolt/telemetryd/sql"
)

// Sessions returns the sessions of an account that have not ended, the newest
// first: one's own, or anybody's for administrators.
func (s *Service) Sessions(ctx context.Context, by Principal, user string) ([]Session, error) {
	action := ManageUsers
	if by.SignedIn() && user == by.UserID {
		action = OwnSessions
	}
	if d := Allow(by, action, SessionAge{}); !d.Allowed {
		return nil, d.Err
	}
	list, err := schema.List(ctx, s.pool, pgx.RowToStructByPos[Session], `
		SELECT id, user_id, created_at, last_seen_at, expires_at, persistent
		FROM auth_sessions
		WHERE user_id = $1 AND expires_at > clock_timestamp()
		ORDER BY created_at DESC, id`, storable(user))
	if err != nil {
		return nil, fmt.Errorf("list sessions: %w", err)
	}
	return list, nil
}

// SessionEnd is a request to end sessions of one's own.
type SessionEnd struct {
	Password string
	Session  string // "" is all but the one that asks
	Address  string // client IP address; "" when not known
}

// EndSessions ends one session of the signed-in account, or all but the one that
// asks, after checking the password, which counts as a sign-in attempt. A session
// that is not the account's is NotFound.
func (s *Service) EndSessions(ctx context.Context, p Principal, in SessionEnd) (Result, error) {
	if d := Allow(p, OwnSessions, SessionAge{}); !d.Allowed {
		return Result{}, d.Err
	}
	if in.Session != "" && storable(in.Session) == "" {
		return Result{}, errNoSession()
	}
	address := gate.Address(in.Address)
	leave, err := s.gate.Enter(ctx, address)
	if err != nil {
		return Result{}, err
	}
	defer leave()
	email, _, event, refused, err := s.confirm(ctx, p, in.Password, address)
	if err != nil || refused != nil {
		return deref(refused), err
	}
	err = s.tx(ctx, "end sessions", func(ctx context.Context, tx pgx.Tx) error {
		tag, err := tx.Exec(ctx, `
			DELETE FROM auth_sessions
			WHERE user_id = $1 AND CASE WHEN $2 = '' THEN id <> $3 ELSE id = $2 END`, p.UserID, in.Session, p.SessionID)
		if err != nil {
			return err
		}
		if tag.RowsAffected() == 0 && in.Session != "" {
			return errNoSession()
		}
		if err := gate.Forget(ctx, tx, attemptKey("signin", email)); err != nil {
			return err
		}
		event.Name, event.Detail = sessionsEnded, map[string]any{"sessions": tag.RowsAffected()}
		if err := record(ctx, tx, event); err != nil {
			return err
		}
		return schema.Touch(ctx, tx, schema.TopicUser(p.UserID))
	})
	if err != nil {
		return Result{}, err
	}
	return Result{UserID: p.UserID, ExpiresAt: p.ExpiresAt}, nil
}

func errNoSession() *fault.Error {
	return fault.Coded(fault.NotFound, "NOT_FOUND", "No session of yours has this id.")
}

// EndSessionsOf ends all sessions of another account. Admins only.
func (s *Service) EndSessionsOf(ctx context.Context, by Principal, target string) error {
	return s.manage(ctx, by, target, "end sessions", func(ctx context.Context, tx pgx.Tx, u *managed) error {
		if err := closeSessions(ctx, tx, u.id, ""); err != nil {
			return err
		}
		return record(ctx, tx, Event{Name: sessionsEnded, UserID: u.id}.by(by))
	})
}
