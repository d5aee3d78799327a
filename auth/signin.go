package auth

import (
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/ecovolt/telemetryd/auth/check"
	"github.com/ecovolt/telemetryd/auth/gate"
	"github.com/ecovolt/telemetryd/auth/secret"
	"github.com/ecovolt/telemetryd/internal/fault"
	schema "github.com/ecovolt/telemetryd/sql"
)

// What users are told. Clients show these texts as they are.
const (
	textMissing     = "Email and password are required"
	textBadSignIn   = "Invalid email or password"
	textBlocked     = "Too many attempts. Please try again later."
	textUnavailable = "This account is unavailable"
	textTaken       = "Unable to create an account with those details"
	textBadEmail    = "Enter a valid email address"
	textBadName     = "Name may contain letters, numbers, spaces, apostrophes, periods, and hyphens"
	textShort       = "Password must be at least 12 characters"
	textLong        = "Password must be at most 128 characters"
	textGuessable   = "Password is too easy to guess"
	textCodeNeeded  = "Enter the code of your authenticator"
	textCodeWrong   = "Invalid code"
	textByApp       = "Who signed in by an app password cannot change the password"
	textCodeUsed    = "This code was used already. Please wait for the next one."
	textAppNeeded   = "This account has a second factor. Sign in here with an app password, which you make on its page."
)

// Limits of a new password, in UTF-16 units.
const (
	minPassword = 12
	maxPassword = 128
)

// Result answers a sign-in or sign-up. User mistakes are results, not errors:
// then Err is set and Token is empty.
type Result struct {
	Token      string // bearer token, 43 characters
	UserID     string
	ExpiresAt  time.Time
	Err        string        // what to tell the user
	Code       string        // with Err: CodeNeeded or ""
	Kind       fault.Kind    // with Err: what sort of mistake it is
	RetryAfter time.Duration // with Err: how long to wait; zero where waiting does not help
}

// Fault is the user's mistake as an error, or nil.
func (r Result) Fault() *fault.Error {
	if r.Err == "" {
		return nil
	}
	return &fault.Error{Kind: r.Kind, Code: r.Code, Message: r.Err, RetryAfter: r.RetryAfter}
}

// CodeNeeded is the code of the answer to a right password that lacks the code of
// the account's second factor.
const CodeNeeded = "SECOND_FACTOR_REQUIRED"

func mistake(kind fault.Kind, text string) Result { return Result{Err: text, Kind: kind} }

// SignIn is a request to sign in.
type SignIn struct {
	Email    string
	Password string
	Remember bool   // 30 days instead of 12 hours
	Address  string // client IP address, for its limit and the audit log; "" when not known
	// Code is of the authenticator, or a recovery code; "" when none was asked for.
	Code string
	// App takes an app password in the place of the account's where that has a
	// second factor, for clients that have no way to ask for a code.
	App bool
}

// SignUp is a request for an account.
type SignUp struct {
	Email         string
	Password      string
	Name          string // optional
	RequestedRole Role   // Internal asks for approval; all else means External
	Address       string // as in SignIn
}

// SignIn checks the password and opens a session. Equal work is done for
// accounts that do not exist. It fails with fault.Unavailable when too many
// wait for a check already.
func (s *Service) SignIn(ctx context.Context, in SignIn) (Result, error) {
	result, err := s.signIn(ctx, in)
	if s.options.OnSignIn != nil {
		outcome := "refused"
		switch {
		case err != nil:
			outcome = "failed"
		case result.Err == "":
			outcome = "succeeded"
		case result.Kind == fault.RateLimited:
			outcome = "blocked"
		case result.Code == CodeNeeded:
			outcome = "asked"
		}
		s.options.OnSignIn(outcome)
	}
	return result, err
}

func (s *Service) signIn(ctx context.Context, in SignIn) (Result, error) {
	if in.Email == "" || in.Password == "" {
		return mistake(fault.Invalid, textMissing), nil
	}
	email, ok := check.Email(in.Email)
	if !ok || check.UTF16Length(in.Password) > maxPassword {
		return mistake(fault.Unauthenticated, textBadSignIn), nil
	}
	event := Event{EmailHash: emailHash(email), Address: gate.Address(in.Address)}
	leave, refused, err := s.enter(ctx, "signin", event, signInBlocked)
	defer leave()
	if err != nil || refused != nil {
		return deref(refused), err
	}
	found, err := s.findForSignIn(ctx, email)
	if err != nil {
		return Result{}, err
	}
	event.UserID = found.id
	match, stale := false, false
	if found.id == "" {
		s.secrets.Pretend(found.decoy, in.Password)
	} else {
		match, stale = s.secrets.Verify(found.hash, in.Password)
	}
	if !match && (!in.App || found.id == "") { // an app password is looked at below
		return s.failSignIn(ctx, event)
	}
	stale = stale && match
	renewed := found.hash
	if stale {
		if renewed, err = s.secrets.Hash(in.Password); err != nil {
			return Result{}, err
		}
	}

	var result Result
	err = s.tx(ctx, "sign in", func(ctx context.Context, tx pgx.Tx) error {
		result = Result{}
		// Locked, so that a ban or a new password comes before or after, and
		// sign-ins of one account count its sessions one at a time.
		var role Role
		var status Approval
		err := tx.QueryRow(ctx, `
			SELECT role, approval_status FROM users
			WHERE id = $1 AND password_hash = $2 FOR UPDATE`, found.id, found.hash).Scan(&role, &status)
		if errors.Is(err, pgx.ErrNoRows) {
			result = mistake(fault.Unauthenticated, textBadSignIn)
			event.Name = signInFailed
			return record(ctx, tx, event)
		}
		if err != nil {
			return err
		}
		app, refused, err := s.second(ctx, tx, in, match, event)
		if err != nil || refused != nil {
			result = deref(refused)
			return err
		}
		if role == Guest && status == Rejected {
			result = mistake(fault.Forbidden, textUnavailable)
			event.Name = signInFailed
			event.Detail = map[string]any{"reason": "rejected"}
			return record(ctx, tx, event)
		}
		if stale {
			if _, err := tx.Exec(ctx, `UPDATE users SET password_hash = $2 WHERE id = $1`, found.id, renewed); err != nil {
				return fmt.Errorf("renew password hash: %w", err)
			}
		}
		result.UserID = found.id
		result.Token, result.ExpiresAt, err = openSession(ctx, tx, found.id, app, in.Remember)
		if err != nil {
			return err
		}
		settle := gate.Forget
		if app != "" { // which must not give more attempts at the codes
			settle = gate.TakeBack
			event.Detail = map[string]any{"app_password": app}
		}
		if err := settle(ctx, tx, attemptKey("signin", email)); err != nil {
			return err
		}
		event.Name = signInSucceeded
		return record(ctx, tx, event)
	})
	if err != nil {
		return Result{}, err
	}
	return result, nil
}

// SignUp makes an account and opens its first session, which lasts 30 days.
// Everybody starts as external; who asks for internal waits for approval.
func (s *Service) SignUp(ctx context.Context, in SignUp) (Result, error) {
	email, ok := check.Email(in.Email)
	if !ok {
		return mistake(fault.Invalid, textBadEmail), nil
	}
	name, ok := check.Name(in.Name)
	if !ok {
		return mistake(fault.Invalid, textBadName), nil
	}
	if text := checkNewPassword(in.Password, email); text != "" {
		return mistake(fault.Invalid, text), nil
	}
	event := Event{EmailHash: emailHash(email), Address: gate.Address(in.Address)}
	leave, refused, err := s.enter(ctx, "signup", event, signUpBlocked)
	defer leave()
	if err != nil || refused != nil {
		return deref(refused), err
	}
	hash, err := s.secrets.Hash(in.Password)
	if err != nil {
		return Result{}, err
	}
	account := account{email: email, name: name, role: External, status: Approved, hash: hash}
	if in.RequestedRole == Internal {
		account.requested, account.status = Internal, Pending
	}

	var result Result
	err = s.tx(ctx, "sign up", func(ctx context.Context, tx pgx.Tx) error {
		result = Result{}
		id, err := insertAccount(ctx, tx, account)
		if err != nil {
			return err
		}
		if id == "" {
			result = mistake(fault.Conflict, textTaken)
			event.Name = signUpRejected
			return record(ctx, tx, event)
		}
		result.UserID = id
		result.Token, result.ExpiresAt, err = openSession(ctx, tx, id, "", true)
		if err != nil {
			return err
		}
		if err := gate.Forget(ctx, tx, attemptKey("signup", email)); err != nil {
			return err
		}
		event.Name, event.UserID = signUpSucceeded, id
		if err := record(ctx, tx, event); err != nil {
			return err
		}
		return schema.Touch(ctx, tx, schema.TopicUsers, schema.TopicUser(id))
	})
	if err != nil {
		return Result{}, err
	}
	return result, nil
}

// enter waits for a place to work on a password in, and counts the attempt. It
// returns the refusal, or nil to go on, and what leaves the place again.
func (s *Service) enter(ctx context.Context, kind string, event Event, blocked string) (leave func(), refused *Result, err error) {
	if leave, err = s.gate.Enter(ctx, event.Address); err != nil {
		return func() {}, nil, err
	}
	refused, err = s.limit(ctx, kind+":"+event.EmailHash, event, blocked)
	return leave, refused, err
}

func attemptKey(kind, email string) string { return kind + ":" + emailHash(email) }

// limit counts the attempt and returns the refusal, or nil to go on.
func (s *Service) limit(ctx context.Context, key string, event Event, name string) (*Result, error) {
	v, err := s.limits.Count(ctx, event.Address, key)
	if err != nil || !v.Blocked {
		return nil, err
	}
	// Only the attempt that brought the block about is recorded: a flood must
	// not be able to fill the log.
	if v.First {
		event.Name = name
		if err := s.note(ctx, event); err != nil {
			return nil, err
		}
	}
	return &Result{Err: textBlocked, Kind: fault.RateLimited, RetryAfter: v.RetryAfter}, nil
}

func (s *Service) failSignIn(ctx context.Context, event Event) (Result, error) {
	event.Name = signInFailed
	if err := s.note(ctx, event); err != nil {
		return Result{}, err
	}
	return mistake(fault.Unauthenticated, textBadSignIn), nil
}

// note records an event that comes with no other change.
func (s *Service) note(ctx context.Context, event Event) error {
	return s.tx(ctx, "record event", func(ctx context.Context, tx pgx.Tx) error {
		return record(ctx, tx, event)
	})
}

type signInRow struct {
	id, hash string      // empty when there is no such account
	decoy    secret.Work // what to do then
}

// findForSignIn looks an account up in one statement, the same whether it
// exists or not. While imported scrypt hashes remain, checks take two clearly
// different times; so an unknown address is given one of them too, always the
// same one, as often as the accounts have it.
func (s *Service) findForSignIn(ctx context.Context, email string) (signInRow, error) {
	var (
		row             signInRow
		imported, total float64
		decoys          []byte
	)
	err := s.pool.QueryRow(ctx, `
		SELECT coalesce(u.id, ''), coalesce(u.password_hash, ''), c.imported, c.total, d.secret
		FROM (SELECT count(*) FILTER (WHERE password_hash LIKE 'scrypt-%') AS imported, count(*) AS total FROM users) c
		CROSS JOIN (SELECT secret FROM auth_secrets WHERE name = 'decoy') d
		LEFT JOIN users u ON u.email = $1`, email).Scan(&row.id, &row.hash, &imported, &total, &decoys)
	if err != nil {
		return signInRow{}, fmt.Errorf("look up account: %w", err)
	}
	mac := hmac.New(sha256.New, decoys)
	mac.Write([]byte(email))
	place := float64(binary.BigEndian.Uint64(mac.Sum(nil))) / math.MaxUint64
	if total > 0 && place < imported/total {
		row.decoy = secret.Scrypt
	}
	return row, nil
}

func checkNewPassword(password, email string) string {
	switch n := check.UTF16Length(password); {
	case n < minPassword:
		return textShort
	case n > maxPassword:
		return textLong
	case check.Guessable(password, email):
		return textGuessable
	}
	return ""
}

func deref(r *Result) Result {
	if r == nil {
		return Result{}
	}
	return *r
}
