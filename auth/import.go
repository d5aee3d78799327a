package auth

import (
	"context"
	"errors"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/ecovolt/telemetryd/auth/check"
	"github.com/ecovolt/telemetryd/auth/secret"
	"github.com/ecovolt/telemetryd/internal/fault"
	schema "github.com/ecovolt/telemetryd/sql"
)

// ImportedAccount is an account of another installation or of the former
// backend. It keeps its id, so that what refers to it stays right.
type ImportedAccount struct {
	ID            string
	Email         string
	Name          string
	Role          Role
	RequestedRole Role // "" when none
	Approval      Approval
	PasswordHash  string    // see secret.Valid; renewed at the next sign-in
	CreatedAt     time.Time // zero: now
}

// ImportOutcome is what an import did with one account.
type ImportOutcome string

// The outcomes.
const (
	Imported  ImportOutcome = "imported"
	Updated   ImportOutcome = "updated"
	Unchanged ImportOutcome = "unchanged" // it was there already
)

const maxUserID = 128

// ImportAccount stores an account under its id; repeating it changes nothing.
// An account that is there already is left alone unless overwrite is set; then
// its profile is replaced, and its password hash too if nobody has signed in
// with it here since. An address that another account has is fault.Conflict.
// Admins only.
func (s *Service) ImportAccount(ctx context.Context, by Principal, in ImportedAccount, overwrite bool) (ImportOutcome, error) {
	if d := Allow(by, ManageUsers, SessionAge{}); !d.Allowed {
		return "", d.Err
	}
	a, err := in.check()
	if err != nil {
		return "", err
	}
	var outcome ImportOutcome
	err = s.tx(ctx, "import account", func(ctx context.Context, tx pgx.Tx) error {
		outcome = Unchanged
		if err := lockAdmins(ctx, tx); err != nil {
			return err
		}
		var owner string
		err := tx.QueryRow(ctx, `SELECT id FROM users WHERE email = $1 AND id <> $2`, a.email, a.id).Scan(&owner)
		if err == nil {
			return fault.New(fault.Conflict, "Another account has this e-mail already.")
		}
		if !errors.Is(err, pgx.ErrNoRows) {
			return err
		}
		u, err := lockUser(ctx, tx, a.id)
		if err != nil {
			return err
		}
		if !u.exists {
			outcome = Imported
			id, err := insertAccount(ctx, tx, a)
			if err != nil {
				return err
			}
			if id == "" {
				return fault.New(fault.Conflict, "Another account has this e-mail already.")
			}
			return noteCreated(ctx, tx, by, id, a)
		}
		if !overwrite {
			return nil
		}
		if a.role != Admin {
			if err := u.keepAnAdmin(ctx, tx); err != nil {
				return err
			}
		}
		outcome = Updated
		_, err = tx.Exec(ctx, `
			UPDATE users SET email = $2, name = nullif($3, ''), role = $4, requested_role = nullif($5, ''),
				approval_status = $6, created_at = coalesce($8, created_at), updated_at = clock_timestamp(),
				password_hash = CASE WHEN password_hash LIKE '%$argon2id$%' THEN password_hash ELSE $7 END
			WHERE id = $1`, a.id, a.email, a.name, a.role, a.requested, a.status, a.hash, a.createdAt)
		if err != nil {
			return err
		}
		if a.email != u.email {
			if err := record(ctx, tx, Event{Name: emailChanged, UserID: a.id, EmailHash: emailHash(a.email)}.by(by)); err != nil {
				return err
			}
		}
		e := Event{Name: roleChanged, UserID: a.id, Detail: map[string]any{"from": u.role, "to": a.role, "import": true}}
		if err := record(ctx, tx, e.by(by)); err != nil {
			return err
		}
		return schema.Touch(ctx, tx, schema.TopicUsers, schema.TopicUser(a.id))
	})
	if err != nil {
		return "", err
	}
	return outcome, nil
}

// Check reports what ImportAccount would refuse about the account itself.
func (in ImportedAccount) Check() error {
	_, err := in.check()
	return err
}

func (in ImportedAccount) check() (account, error) {
	a := account{id: in.ID, role: in.Role, requested: in.RequestedRole, status: in.Approval, hash: in.PasswordHash}
	if storable(in.ID) == "" {
		return a, fault.Field("id", "must be 1 to %d characters", maxUserID)
	}
	var ok bool
	if a.email, ok = check.Email(in.Email); !ok {
		return a, fault.Field("email", "%s", textBadEmail)
	}
	if a.name, ok = check.Name(in.Name); !ok {
		return a, fault.Field("name", "%s", textBadName)
	}
	if !in.Role.valid() {
		return a, fault.Field("role", "must be guest, external, internal or admin")
	}
	if in.RequestedRole != "" && in.RequestedRole != External && in.RequestedRole != Internal {
		return a, fault.Field("requestedRole", "must be external or internal")
	}
	if !in.Approval.valid() {
		return a, fault.Field("approval", "must be pending, approved or rejected")
	}
	if !secret.Valid(in.PasswordHash) {
		return a, fault.Field("passwordHash", "is of no known kind")
	}
	if !in.CreatedAt.IsZero() {
		a.createdAt = &in.CreatedAt
	}
	return a, nil
}
