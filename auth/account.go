package auth

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/ecovolt/telemetryd/auth/check"
	"github.com/ecovolt/telemetryd/auth/factor"
	"github.com/ecovolt/telemetryd/auth/secret"
	"github.com/ecovolt/telemetryd/internal/fault"
	schema "github.com/ecovolt/telemetryd/sql"
)

// account is a row to be written.
type account struct {
	id              string // empty: a new one is made
	email, name     string
	role, requested Role
	status          Approval
	hash            string
	createdAt       *time.Time // nil: now
}

// insertAccount returns the new account's id, or "" when the address is taken.
func insertAccount(ctx context.Context, tx pgx.Tx, a account) (string, error) {
	if a.id == "" {
		a.id = secret.ID("us")
	}
	err := tx.QueryRow(ctx, `
		INSERT INTO users (id, email, name, role, requested_role, approval_status, password_hash, created_at)
		VALUES ($1, $2, nullif($3, ''), $4, nullif($5, ''), $6, $7, coalesce($8, clock_timestamp()))
		ON CONFLICT (email) DO NOTHING RETURNING id`,
		a.id, a.email, a.name, a.role, a.requested, a.status, a.hash, a.createdAt).Scan(&a.id)
	if errors.Is(err, pgx.ErrNoRows) {
		return "", nil
	}
	if err != nil {
		return "", fmt.Errorf("insert account: %w", err)
	}
	return a.id, nil
}

// NewAccount is an account that an administrator makes.
type NewAccount struct {
	Email    string
	Password string
	Name     string // optional
	Role     Role
}

// CreateAccount makes an approved account and returns its id. Admins only.
func (s *Service) CreateAccount(ctx context.Context, by Principal, in NewAccount) (string, error) {
	if d := Allow(by, ManageUsers, SessionAge{}); !d.Allowed {
		return "", d.Err
	}
	a, err := s.prepare(ctx, in)
	if err != nil {
		return "", err
	}
	var id string
	err = s.tx(ctx, "create account", func(ctx context.Context, tx pgx.Tx) error {
		id, err = insertAccount(ctx, tx, a)
		if err != nil {
			return err
		}
		if id == "" {
			return fault.New(fault.Conflict, "An account with this e-mail exists already.")
		}
		return noteCreated(ctx, tx, by, id, a)
	})
	return id, err
}

// Bootstrap makes the first administrator from the settings. It does nothing
// when there is an administrator already, so the settings may stay. An account
// that has the address already is made administrator with this password, and
// its sessions and second factor end: nobody can have signed up under it beforehand
// to profit. It reports whether it changed anything.
func (s *Service) Bootstrap(ctx context.Context, email, password string) (bool, error) {
	var admins int
	err := s.pool.QueryRow(ctx, `SELECT count(*) FROM users WHERE role = 'admin'`).Scan(&admins)
	if err != nil {
		return false, fmt.Errorf("count administrators: %w", err)
	}
	if admins > 0 {
		return false, nil
	}
	a, err := s.prepare(ctx, NewAccount{Email: email, Password: password, Role: Admin})
	if err != nil {
		return false, err
	}
	by := Operator("settings")
	done := false
	err = s.tx(ctx, "make the first administrator", func(ctx context.Context, tx pgx.Tx) error {
		done = false
		// Instances that start together take turns, and all but the first see
		// that it is done.
		if err := lockAdmins(ctx, tx); err != nil {
			return err
		}
		if err := tx.QueryRow(ctx, `SELECT count(*) FROM users WHERE role = 'admin'`).Scan(&admins); err != nil || admins > 0 {
			return err
		}
		done = true
		id, err := insertAccount(ctx, tx, a)
		if err != nil {
			return err
		}
		if id != "" {
			return noteCreated(ctx, tx, by, id, a)
		}
		err = tx.QueryRow(ctx, `
			UPDATE users SET role = 'admin', approval_status = 'approved', requested_role = NULL, password_hash = $2,
				password_changed_at = clock_timestamp(), updated_at = clock_timestamp()
			WHERE email = $1 RETURNING id`, a.email, a.hash).Scan(&id)
		if err != nil {
			return err
		}
		if err := closeSessions(ctx, tx, id, ""); err != nil {
			return err
		}
		if _, err := factor.Remove(ctx, tx, id); err != nil {
			return err
		}
		if err := record(ctx, tx, Event{Name: roleChanged, UserID: id, Detail: map[string]any{"to": Admin}}.by(by)); err != nil {
			return err
		}
		return schema.Touch(ctx, tx, schema.TopicUsers, schema.TopicUser(id))
	})
	return done && err == nil, err
}

func (s *Service) prepare(ctx context.Context, in NewAccount) (account, error) {
	email, ok := check.Email(in.Email)
	if !ok {
		return account{}, fault.Field("email", "%s", textBadEmail)
	}
	name, ok := check.Name(in.Name)
	if !ok {
		return account{}, fault.Field("name", "%s", textBadName)
	}
	if !in.Role.valid() {
		return account{}, fault.Field("role", "must be guest, external, internal or admin")
	}
	hash, err := s.hashNew(ctx, in.Password, email)
	if err != nil {
		return account{}, err
	}
	return account{email: email, name: name, role: in.Role, status: Approved, hash: hash}, nil
}

// hashNew checks and hashes a new password.
func (s *Service) hashNew(ctx context.Context, password, email string) (string, error) {
	if text := checkNewPassword(password, email); text != "" {
		return "", fault.Field("password", "%s", text)
	}
	leave, err := s.gate.Enter(ctx, "")
	if err != nil {
		return "", err
	}
	defer leave()
	return s.secrets.Hash(password)
}

func noteCreated(ctx context.Context, tx pgx.Tx, by Principal, id string, a account) error {
	e := Event{Name: userCreated, UserID: id, EmailHash: emailHash(a.email), Detail: map[string]any{"role": a.role}}
	if err := record(ctx, tx, e.by(by)); err != nil {
		return err
	}
	return schema.Touch(ctx, tx, schema.TopicUsers, schema.TopicUser(id))
}
