package auth

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/ecovolt/telemetryd/auth/check"
	"github.com/ecovolt/telemetryd/internal/fault"
	schema "github.com/ecovolt/telemetryd/sql"
)

// Approval is how far a request for a role has come. It grants nothing.
type Approval string

// The states of approval.
const (
	Pending  Approval = "pending"
	Approved Approval = "approved"
	Rejected Approval = "rejected"
)

// valid reports whether a is one of the three states.
func (a Approval) valid() bool { return a == Pending || a == Approved || a == Rejected }

// Profile is an account as others may see it.
type Profile struct {
	UserID        string
	Email         string
	Name          string // "" when none was given
	Role          Role
	RequestedRole Role // "" when none is asked for
	Approval      Approval
	CreatedAt     time.Time
	SecondFactor  bool // one is in force
}

const profileColumns = `id, email, coalesce(name, ''), role, coalesce(requested_role, ''), approval_status, created_at,
	EXISTS (SELECT FROM auth_factors f WHERE f.user_id = users.id AND f.confirmed_at IS NOT NULL)`

// CurrentProfile returns the principal's own profile, or nil for nobody.
func (s *Service) CurrentProfile(ctx context.Context, p Principal) (*Profile, error) {
	if !p.SignedIn() {
		return nil, nil
	}
	return s.profile(ctx, `id = $1`, p.UserID)
}

// Users returns every profile, oldest first. Admins only.
func (s *Service) Users(ctx context.Context, by Principal) ([]Profile, error) {
	return s.profiles(ctx, by, `true`)
}

// PendingUsers returns the profiles that wait for approval, oldest first. Admins only.
func (s *Service) PendingUsers(ctx context.Context, by Principal) ([]Profile, error) {
	return s.profiles(ctx, by, `approval_status = 'pending'`)
}

// FindUser returns the profile of an account id or e-mail. Admins only.
func (s *Service) FindUser(ctx context.Context, by Principal, idOrEmail string) (Profile, error) {
	if d := Allow(by, ManageUsers, SessionAge{}); !d.Allowed {
		return Profile{}, d.Err
	}
	found, err := s.profile(ctx, `id = $1`, storable(idOrEmail))
	if email, ok := check.Email(idOrEmail); err == nil && found == nil && ok {
		found, err = s.profile(ctx, `email = $1`, email)
	}
	if err != nil {
		return Profile{}, err
	}
	if found == nil {
		return Profile{}, errNoUser()
	}
	return *found, nil
}

func (s *Service) profile(ctx context.Context, where string, args ...any) (*Profile, error) {
	found, err := schema.Find[Profile](ctx, s.pool, `SELECT `+profileColumns+` FROM users WHERE `+where, args...)
	if err != nil {
		return nil, fmt.Errorf("read profile: %w", err)
	}
	return found, nil
}

func (s *Service) profiles(ctx context.Context, by Principal, where string) ([]Profile, error) {
	if d := Allow(by, ManageUsers, SessionAge{}); !d.Allowed {
		return nil, d.Err
	}
	found, err := schema.List(ctx, s.pool, pgx.RowToStructByPos[Profile], `SELECT `+profileColumns+` FROM users WHERE `+where+` ORDER BY created_at, id`)
	if err != nil {
		return nil, fmt.Errorf("list users: %w", err)
	}
	return found, nil
}

// SetRole gives an account a role, which also approves it and settles what it
// asked for. Its sessions stay. Refused for oneself (INVALID_OPERATION), for
// an unknown account (NOT_FOUND) and for the last admin (LAST_ADMIN).
func (s *Service) SetRole(ctx context.Context, by Principal, target string, role Role) error {
	if !role.valid() {
		return fault.Field("role", "must be guest, external, internal or admin")
	}
	return s.manage(ctx, by, target, "set role", func(ctx context.Context, tx pgx.Tx, u *managed) error {
		if role != Admin {
			if err := u.keepAnAdmin(ctx, tx); err != nil {
				return err
			}
		}
		_, err := tx.Exec(ctx, `
			UPDATE users SET role = $2, approval_status = 'approved', requested_role = NULL, updated_at = clock_timestamp()
			WHERE id = $1`, u.id, role)
		if err != nil {
			return err
		}
		return record(ctx, tx, Event{Name: roleChanged, UserID: u.id, Detail: map[string]any{"from": u.role, "to": role}}.by(by))
	})
}

// Reject turns down what an account asked for. Its role stays. Rejecting it
// again changes nothing.
func (s *Service) Reject(ctx context.Context, by Principal, target string) error {
	return s.manage(ctx, by, target, "reject user", func(ctx context.Context, tx pgx.Tx, u *managed) error {
		if u.status == Rejected && u.requested == "" {
			return nil
		}
		_, err := tx.Exec(ctx, `
			UPDATE users SET approval_status = 'rejected', requested_role = NULL, updated_at = clock_timestamp()
			WHERE id = $1`, u.id)
		if err != nil {
			return err
		}
		return record(ctx, tx, Event{Name: userRejected, UserID: u.id}.by(by))
	})
}

// Ban makes an account a rejected guest, which cannot sign in, and ends all
// its sessions.
func (s *Service) Ban(ctx context.Context, by Principal, target string) error {
	return s.manage(ctx, by, target, "ban user", func(ctx context.Context, tx pgx.Tx, u *managed) error {
		if err := u.keepAnAdmin(ctx, tx); err != nil {
			return err
		}
		_, err := tx.Exec(ctx, `
			UPDATE users SET role = 'guest', approval_status = 'rejected', requested_role = NULL, updated_at = clock_timestamp()
			WHERE id = $1`, u.id)
		if err != nil {
			return err
		}
		if err := closeSessions(ctx, tx, u.id, ""); err != nil {
			return err
		}
		return record(ctx, tx, Event{Name: userBanned, UserID: u.id}.by(by))
	})
}

// Unban makes a banned account what a new one is, external; it signs in again with
// the password that it had. An account that is not banned is left as it is.
func (s *Service) Unban(ctx context.Context, by Principal, target string) error {
	return s.manage(ctx, by, target, "unban user", func(ctx context.Context, tx pgx.Tx, u *managed) error {
		if u.role != Guest || u.status != Rejected {
			return nil
		}
		_, err := tx.Exec(ctx, `
			UPDATE users SET role = 'external', approval_status = 'approved', updated_at = clock_timestamp()
			WHERE id = $1`, u.id)
		if err != nil {
			return err
		}
		return record(ctx, tx, Event{Name: userUnbanned, UserID: u.id}.by(by))
	})
}

// Delete removes an account with its profile and sessions. Deleting what is
// not there succeeds, so that it can be repeated.
func (s *Service) Delete(ctx context.Context, by Principal, target string) error {
	return s.settle(ctx, by, target, "delete user", func(ctx context.Context, tx pgx.Tx, u *managed) error {
		if u.exists {
			if err := u.keepAnAdmin(ctx, tx); err != nil {
				return err
			}
		}
		if _, err := tx.Exec(ctx, `DELETE FROM users WHERE id = $1`, u.id); err != nil {
			return err
		}
		return record(ctx, tx, Event{Name: userDeleted, UserID: u.id}.by(by))
	})
}

// RequestUpgrade asks for the internal role. Those who have it or more need
// nothing; a rejected guest may not ask (UNAUTHORIZED).
func (s *Service) RequestUpgrade(ctx context.Context, p Principal) error {
	if d := Allow(p, RequestUpgrade, SessionAge{}); !d.Allowed {
		return d.Err
	}
	return s.tx(ctx, "request upgrade", func(ctx context.Context, tx pgx.Tx) error {
		u, err := lockUser(ctx, tx, p.UserID)
		switch {
		case err != nil:
			return err
		case !u.exists:
			return errNoUser()
		case u.role == Guest && u.status == Rejected:
			return fault.Coded(fault.Forbidden, "UNAUTHORIZED", "This account cannot ask for a role.")
		case u.role == Internal, u.role == Admin, u.status == Pending && u.requested == Internal:
			return nil
		}
		_, err = tx.Exec(ctx, `
			UPDATE users SET approval_status = 'pending', requested_role = 'internal', updated_at = clock_timestamp()
			WHERE id = $1`, p.UserID)
		if err != nil {
			return err
		}
		if err := record(ctx, tx, Event{Name: upgradeAsked, UserID: p.UserID}); err != nil {
			return err
		}
		return schema.Touch(ctx, tx, schema.TopicUsers, schema.TopicUser(p.UserID))
	})
}

// managed is an account whose row the transaction holds locked.
type managed struct {
	id        string
	exists    bool
	email     string
	role      Role
	requested Role
	status    Approval
}

// manage runs a change that an administrator makes to another account. It fails with
// NOT_FOUND for one that does not exist.
func (s *Service) manage(ctx context.Context, by Principal, target, doing string, work func(context.Context, pgx.Tx, *managed) error) error {
	return s.settle(ctx, by, target, doing, func(ctx context.Context, tx pgx.Tx, u *managed) error {
		if !u.exists {
			return errNoUser()
		}
		return work(ctx, tx, u)
	})
}

// settle runs a change to another account, which may be gone, one at a time in the
// whole database: the last administrator is protected by a count that nobody else
// can be changing.
func (s *Service) settle(ctx context.Context, by Principal, target, doing string, work func(context.Context, pgx.Tx, *managed) error) error {
	if d := Allow(by, ManageUsers, SessionAge{}); !d.Allowed {
		return d.Err
	}
	if by.SignedIn() && target == by.UserID {
		return fault.Coded(fault.Invalid, "INVALID_OPERATION", "You cannot do this to your own account.")
	}
	target = storable(target)
	return s.tx(ctx, doing, func(ctx context.Context, tx pgx.Tx) error {
		if err := lockAdmins(ctx, tx); err != nil {
			return err
		}
		if err := stillAdmin(ctx, tx, by); err != nil {
			return err
		}
		u, err := lockUser(ctx, tx, target)
		if err != nil {
			return err
		}
		if err := work(ctx, tx, u); err != nil {
			return err
		}
		return schema.Touch(ctx, tx, schema.TopicUsers, schema.TopicUser(target))
	})
}

// lockAdmins is what lets the number of administrators sink.
func lockAdmins(ctx context.Context, tx pgx.Tx) error { return schema.Lock(ctx, tx, "administrators") }

// stillAdmin looks again under the lock: another administrator may have
// changed the caller's role since the request came in.
func stillAdmin(ctx context.Context, tx pgx.Tx, by Principal) error {
	if by.Key != nil && by.Key.Scope == ScopeAdmin {
		return nil
	}
	role := Guest
	err := tx.QueryRow(ctx, `SELECT role FROM users WHERE id = $1`, by.UserID).Scan(&role)
	if err != nil && !errors.Is(err, pgx.ErrNoRows) {
		return fmt.Errorf("look up administrator: %w", err)
	}
	if d := Allow(Principal{Role: role, UserID: by.UserID}, ManageUsers, SessionAge{}); !d.Allowed {
		return d.Err
	}
	return nil
}

func lockUser(ctx context.Context, tx pgx.Tx, id string) (*managed, error) {
	u := managed{id: id}
	err := tx.QueryRow(ctx, `
		SELECT email, role, coalesce(requested_role, ''), approval_status FROM users WHERE id = $1 FOR UPDATE`, id).
		Scan(&u.email, &u.role, &u.requested, &u.status)
	if errors.Is(err, pgx.ErrNoRows) {
		return &u, nil
	}
	if err != nil {
		return nil, fmt.Errorf("lock user: %w", err)
	}
	u.exists = true
	return &u, nil
}

// keepAnAdmin refuses when the account is the only administrator.
func (u *managed) keepAnAdmin(ctx context.Context, tx pgx.Tx) error {
	if u.role != Admin {
		return nil
	}
	var admins int
	if err := tx.QueryRow(ctx, `SELECT count(*) FROM users WHERE role = 'admin'`).Scan(&admins); err != nil {
		return fmt.Errorf("count administrators: %w", err)
	}
	if admins <= 1 {
		return fault.Coded(fault.Conflict, "LAST_ADMIN", "The last administrator cannot be removed.")
	}
	return nil
}

func errNoUser() *fault.Error {
	return fault.Coded(fault.NotFound, "NOT_FOUND", "User not found.")
}

// storable returns the text if an id can be it, and otherwise "", which none is:
// the database takes neither zero bytes nor broken UTF-8.
func storable(id string) string {
	if len(id) > maxUserID {
		return ""
	}
	return schema.Storable(id)
}
