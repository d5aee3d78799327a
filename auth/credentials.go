package auth

import (
	"context"
	"errors"
	"fmt"

	"github.com/jackc/pgx/v5"

	"github.com/ecovolt/telemetryd/auth/factor"
	"github.com/ecovolt/telemetryd/auth/gate"
	"github.com/ecovolt/telemetryd/internal/fault"
	schema "github.com/ecovolt/telemetryd/sql"
)

// second looks, behind the password, at what else an account with a second factor
// needs: the code, or an app password in the place of both. match is whether the
// password is the account's own. It returns the id of the app password, or "", and
// the refusal, or nil to go on.
func (s *Service) second(ctx context.Context, tx pgx.Tx, in SignIn, match bool, event Event) (app string, refused *Result, err error) {
	on, err := factor.Find(ctx, tx, event.UserID)
	if err != nil {
		return "", nil, err
	}
	refuse := func(text, name, reason string) (string, *Result, error) {
		event.Name = name
		if reason != "" {
			event.Detail = map[string]any{"reason": reason}
		}
		result := mistake(fault.Unauthenticated, text)
		return "", &result, record(ctx, tx, event)
	}
	switch {
	case on == nil && match:
		return "", nil, nil
	case on == nil:
		return refuse(textBadSignIn, signInFailed, "")
	case in.App:
		app, err = factor.UseApp(ctx, tx, event.UserID, in.Password)
		switch {
		case err != nil || app != "":
			return app, nil, err
		case match:
			return refuse(textAppNeeded, signInFailed, "no app password")
		}
		return refuse(textBadSignIn, signInFailed, "")
	case in.Code == "":
		_, refused, err = refuse(textCodeNeeded, codeAsked, "")
		refused.Code = CodeNeeded
		return "", refused, err
	}
	if text, err := s.checkCode(ctx, tx, event, in.Code); err != nil || text != "" {
		if err != nil {
			return "", nil, err
		}
		return refuse(text, signInFailed, "code")
	}
	return "", nil, nil
}

// checkCode returns what to say of a code that lets nobody in, or "". The use of a
// recovery code is recorded.
func (s *Service) checkCode(ctx context.Context, tx pgx.Tx, event Event, code string) (text string, err error) {
	verdict, err := s.factors.Check(ctx, tx, event.UserID, code)
	switch {
	case err != nil:
		return "", err
	case verdict == factor.Wrong:
		return textCodeWrong, nil
	case verdict == factor.Used:
		return textCodeUsed, nil
	case verdict == factor.Recovered:
		event.Name = codeUsed
		return "", record(ctx, tx, event)
	}
	return "", nil
}

// Proof is what a change of one's own credentials takes. It counts as a sign-in
// attempt.
type Proof struct {
	Password string // of the account
	Code     string // of its second factor, or a recovery code, where it has one
}

// withProof runs work for a signed-in account that has shown the proof, in a
// transaction that holds the account's row locked, and records the event that work
// names, if it does.
func (s *Service) withProof(ctx context.Context, p Principal, in Proof, doing string, work func(context.Context, pgx.Tx, *Event) error) error {
	if d := Allow(p, OwnCredentials, SessionAge{}); !d.Allowed {
		return d.Err
	}
	if in.Password == "" {
		return fault.New(fault.Invalid, "The account's password is missing.")
	}
	address := gate.Address(ClientAddress(ctx))
	leave, err := s.gate.Enter(ctx, address)
	if err != nil {
		return err
	}
	defer leave()
	email, hash, shown, refused, err := s.confirm(ctx, p, in.Password, address)
	if err != nil {
		return err
	}
	if refused != nil {
		return refused.Fault()
	}
	var mistaken string
	err = s.tx(ctx, doing, func(ctx context.Context, tx pgx.Tx) error {
		mistaken = ""
		event := shown
		var locked string
		err := tx.QueryRow(ctx, `SELECT id FROM users WHERE id = $1 AND password_hash = $2 FOR UPDATE`, p.UserID, hash).Scan(&locked)
		if errors.Is(err, pgx.ErrNoRows) { // somebody else was faster
			mistaken = textBadSignIn
			return nil
		}
		if err != nil {
			return fmt.Errorf("lock account: %w", err)
		}
		on, err := factor.Find(ctx, tx, p.UserID)
		if err != nil {
			return err
		}
		if on != nil {
			if mistaken, err = s.checkCode(ctx, tx, event, in.Code); err != nil {
				return err
			}
			if mistaken != "" {
				event.Name, event.Detail = signInFailed, map[string]any{"reason": "code"}
				return record(ctx, tx, event)
			}
		}
		if err := work(ctx, tx, &event); err != nil {
			return err
		}
		if err := gate.Forget(ctx, tx, attemptKey("signin", email)); err != nil || event.Name == "" {
			return err
		}
		return recordOwn(ctx, tx, event)
	})
	if err == nil && mistaken != "" {
		return fault.New(fault.Unauthenticated, "%s", mistaken)
	}
	return err
}

// recordOwn records what an account did to itself, and tells who watches it.
func recordOwn(ctx context.Context, tx pgx.Tx, event Event) error {
	if err := record(ctx, tx, event); err != nil {
		return err
	}
	return schema.Touch(ctx, tx, schema.TopicUsers, schema.TopicUser(event.UserID))
}

// Factor returns what the signed-in account has of a second factor, or nil.
func (s *Service) Factor(ctx context.Context, p Principal) (*factor.Status, error) {
	if d := Allow(p, OwnCredentials, SessionAge{}); !d.Allowed {
		return nil, d.Err
	}
	return factor.Find(ctx, s.pool, p.UserID)
}

// BeginFactor makes a second factor for the signed-in account, which is in force
// once ConfirmFactor has had a code of it. An account that has one is fault.Conflict.
func (s *Service) BeginFactor(ctx context.Context, p Principal, in Proof) (made factor.Enrolment, err error) {
	err = s.withProof(ctx, p, in, "begin second factor", func(ctx context.Context, tx pgx.Tx, _ *Event) (err error) {
		made, err = s.factors.Begin(ctx, tx, p.UserID)
		return err
	})
	return made, err
}

// ConfirmFactor puts the second factor that was begun into force, which ends the
// account's other sessions, and returns its recovery codes. The code counts as a
// sign-in attempt.
func (s *Service) ConfirmFactor(ctx context.Context, p Principal, code string) (codes []string, err error) {
	if d := Allow(p, OwnCredentials, SessionAge{}); !d.Allowed {
		return nil, d.Err
	}
	profile, err := s.CurrentProfile(ctx, p)
	if err != nil {
		return nil, err
	}
	if profile == nil {
		return nil, errNoUser()
	}
	shown := Event{UserID: p.UserID, EmailHash: emailHash(profile.Email), Address: gate.Address(ClientAddress(ctx))}
	key := attemptKey("signin", profile.Email)
	refused, err := s.limit(ctx, key, shown, signInBlocked)
	if err != nil {
		return nil, err
	}
	if refused != nil {
		return nil, refused.Fault()
	}
	err = s.tx(ctx, "confirm second factor", func(ctx context.Context, tx pgx.Tx) error {
		event := shown
		u, err := lockUser(ctx, tx, p.UserID)
		if err != nil {
			return err
		}
		if !u.exists {
			return errNoUser()
		}
		if codes, err = s.factors.Confirm(ctx, tx, p.UserID, code); err != nil || codes == nil {
			return err
		}
		if err := closeSessions(ctx, tx, p.UserID, p.SessionID); err != nil {
			return err
		}
		if err := gate.TakeBack(ctx, tx, key); err != nil {
			return err
		}
		event.Name = factorOn
		return recordOwn(ctx, tx, event)
	})
	if err == nil && codes == nil {
		return nil, fault.New(fault.Unauthenticated, textCodeWrong)
	}
	return codes, err
}

// RenewRecoveryCodes returns new recovery codes; those before are void. An account
// without a second factor is fault.Conflict.
func (s *Service) RenewRecoveryCodes(ctx context.Context, p Principal, in Proof) (codes []string, err error) {
	err = s.withProof(ctx, p, in, "renew recovery codes", func(ctx context.Context, tx pgx.Tx, event *Event) (err error) {
		if err := needFactor(ctx, tx, p.UserID); err != nil {
			return err
		}
		event.Name = codesRenewed
		codes, err = factor.RenewRecoveryCodes(ctx, tx, p.UserID)
		return err
	})
	return codes, err
}

// TurnOffFactor removes the signed-in account's second factor with its app
// passwords and their sessions. Without one there is nothing to do.
func (s *Service) TurnOffFactor(ctx context.Context, p Principal, in Proof) error {
	return s.withProof(ctx, p, in, "turn off second factor", func(ctx context.Context, tx pgx.Tx, event *Event) error {
		was, err := factor.Remove(ctx, tx, p.UserID)
		if was {
			event.Name = factorOff
		}
		return err
	})
}

// ResetFactor removes another account's second factor, for who has lost both device
// and recovery codes, and ends all its sessions. Admins only, and not for oneself.
func (s *Service) ResetFactor(ctx context.Context, by Principal, target string) error {
	return s.manage(ctx, by, target, "reset second factor", func(ctx context.Context, tx pgx.Tx, u *managed) error {
		was, err := factor.Remove(ctx, tx, u.id)
		if err != nil || !was {
			return err
		}
		if err := closeSessions(ctx, tx, u.id, ""); err != nil {
			return err
		}
		return record(ctx, tx, Event{Name: factorOff, UserID: u.id}.by(by))
	})
}

// AppPasswords returns those of the signed-in account, the oldest first.
func (s *Service) AppPasswords(ctx context.Context, p Principal) ([]factor.AppPassword, error) {
	if d := Allow(p, OwnCredentials, SessionAge{}); !d.Allowed {
		return nil, d.Err
	}
	return factor.Apps(ctx, s.pool, p.UserID)
}

// MakeAppPassword makes an app password and returns the secret, which is shown this
// once: only its digest is stored. An account without a second factor, which needs
// none, or with 20 of them is fault.Conflict.
func (s *Service) MakeAppPassword(ctx context.Context, p Principal, name string, in Proof) (made string, app factor.AppPassword, err error) {
	err = s.withProof(ctx, p, in, "make app password", func(ctx context.Context, tx pgx.Tx, event *Event) (err error) {
		if err := needFactor(ctx, tx, p.UserID); err != nil {
			return err
		}
		if made, app, err = factor.MakeApp(ctx, tx, p.UserID, name); err != nil {
			return err
		}
		event.Name, event.Detail = appCreated, map[string]any{"app_password": app.ID, "name": app.Name}
		return nil
	})
	return made, app, err
}

// RevokeAppPassword ends one of one's own app passwords, and the sessions that were
// opened with it.
func (s *Service) RevokeAppPassword(ctx context.Context, p Principal, id string) error {
	if d := Allow(p, OwnCredentials, SessionAge{}); !d.Allowed {
		return d.Err
	}
	return s.tx(ctx, "revoke app password", func(ctx context.Context, tx pgx.Tx) error {
		name, err := factor.RevokeApp(ctx, tx, p.UserID, storable(id))
		if err != nil {
			return err
		}
		if name == "" {
			return fault.Coded(fault.NotFound, "NOT_FOUND", "No app password of yours has this id.")
		}
		return recordOwn(ctx, tx, Event{
			Name: appRevoked, UserID: p.UserID, Detail: map[string]any{"app_password": id, "name": name},
		})
	})
}

func needFactor(ctx context.Context, tx pgx.Tx, user string) error {
	on, err := factor.Find(ctx, tx, user)
	if err == nil && on == nil {
		return fault.New(fault.Conflict, "This account has no second factor.")
	}
	return err
}
