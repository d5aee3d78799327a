package auth

import (
	"context"
	"errors"

	"github.com/jackc/pgx/v5"

	"github.com/ecovolt/telemetryd/auth/check"
	"github.com/ecovolt/telemetryd/auth/factor"
	"github.com/ecovolt/telemetryd/auth/gate"
	"github.com/ecovolt/telemetryd/internal/fault"
	schema "github.com/ecovolt/telemetryd/sql"
)

// PasswordChange is a request to change one's own password.
type PasswordChange struct {
	Current string
	New     string
	Address string // client IP address; "" when not known
}

// ChangePassword sets a new password for the signed-in account after checking
// the current one, which counts as a sign-in attempt. All its other sessions
// end. On success the result holds the account id and the time at which the
// session that stays ends, but no token.
func (s *Service) ChangePassword(ctx context.Context, p Principal, in PasswordChange) (Result, error) {
	if d := Allow(p, ChangePassword, SessionAge{}); !d.Allowed {
		return Result{}, d.Err
	}
	if text := checkNewPassword(in.New, ""); text != "" {
		return mistake(fault.Invalid, text), nil
	}
	var byApp bool // without a code
	err := s.pool.QueryRow(ctx, `SELECT EXISTS (SELECT FROM auth_sessions WHERE id = $1 AND app_password IS NOT NULL)`, p.SessionID).Scan(&byApp)
	if err != nil || byApp {
		return mistake(fault.Forbidden, textByApp), err
	}
	address := gate.Address(in.Address)
	leave, err := s.gate.Enter(ctx, address)
	if err != nil {
		return Result{}, err
	}
	defer leave()
	email, stored, event, refused, err := s.confirm(ctx, p, in.Current, address)
	if err != nil || refused != nil {
		return deref(refused), err
	}
	if check.Guessable(in.New, email) {
		return mistake(fault.Invalid, textGuessable), nil
	}
	hash, err := s.secrets.Hash(in.New)
	if err != nil {
		return Result{}, err
	}
	result := Result{UserID: p.UserID, ExpiresAt: p.ExpiresAt}
	err = s.tx(ctx, "change password", func(ctx context.Context, tx pgx.Tx) error {
		set, err := setPassword(ctx, tx, p.UserID, stored, hash)
		if err != nil {
			return err
		}
		if !set { // somebody else was faster
			result = mistake(fault.Unauthenticated, textBadSignIn)
			return nil
		}
		if err := closeSessions(ctx, tx, p.UserID, p.SessionID); err != nil {
			return err
		}
		if err := gate.Forget(ctx, tx, attemptKey("signin", email)); err != nil {
			return err
		}
		event.Name = passwordChanged
		if err := record(ctx, tx, event); err != nil {
			return err
		}
		return schema.Touch(ctx, tx, schema.TopicUser(p.UserID))
	})
	if err != nil {
		return Result{}, err
	}
	return result, nil
}

// confirm checks the password of the signed-in account, which counts as a sign-in
// attempt. The caller is within the gate. refused is what to answer where it is
// not the one, and nil where it is.
func (s *Service) confirm(ctx context.Context, p Principal, password, address string) (email, hash string, event Event, refused *Result, err error) {
	err = s.pool.QueryRow(ctx, `SELECT email, password_hash FROM users WHERE id = $1`, p.UserID).Scan(&email, &hash)
	if errors.Is(err, pgx.ErrNoRows) {
		return "", "", event, nil, errNoUser()
	}
	if err != nil {
		return "", "", event, nil, err
	}
	event = Event{UserID: p.UserID, EmailHash: emailHash(email), Address: address}
	if refused, err = s.limit(ctx, attemptKey("signin", email), event, signInBlocked); err != nil || refused != nil {
		return "", "", event, refused, err
	}
	if match, _ := s.secrets.Verify(hash, password); !match {
		result, err := s.failSignIn(ctx, event)
		return "", "", event, &result, err
	}
	return email, hash, event, nil, nil
}

// ResetPassword sets an account's password without knowing the current one
// and ends all its sessions and app passwords; its second factor stays. Admins
// only, and not for oneself.
func (s *Service) ResetPassword(ctx context.Context, by Principal, target, password string) error {
	if d := Allow(by, ManageUsers, SessionAge{}); !d.Allowed {
		return d.Err
	}
	hash, err := s.hashNew(ctx, password, "")
	if err != nil {
		return err
	}
	return s.manage(ctx, by, target, "reset password", func(ctx context.Context, tx pgx.Tx, u *managed) error {
		if check.Guessable(password, u.email) {
			return fault.Field("password", "%s", textGuessable)
		}
		if _, err := setPassword(ctx, tx, u.id, "", hash); err != nil {
			return err
		}
		if err := closeSessions(ctx, tx, u.id, ""); err != nil {
			return err
		}
		if err := factor.RevokeApps(ctx, tx, u.id); err != nil {
			return err
		}
		if err := gate.Forget(ctx, tx, attemptKey("signin", u.email)); err != nil {
			return err
		}
		return record(ctx, tx, Event{Name: passwordChanged, UserID: u.id}.by(by))
	})
}

// setPassword stores a hash, if the stored one is still the expected one.
func setPassword(ctx context.Context, tx pgx.Tx, user, expected, hash string) (bool, error) {
	tag, err := tx.Exec(ctx, `
		UPDATE users SET password_hash = $3, password_changed_at = clock_timestamp(), updated_at = clock_timestamp()
		WHERE id = $1 AND (password_hash = $2 OR $2 = '')`, user, expected, hash)
	return err == nil && tag.RowsAffected() == 1, err
}
