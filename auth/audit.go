package auth

import (
	"context"
	"encoding/json"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"
)

// The events of the audit log.
const (
	SignUpSucceeded = "sign_up_succeeded"
	SignUpRejected  = "sign_up_rejected" // the address is taken
	SignUpBlocked   = "sign_up_blocked"
	SignInSucceeded = "sign_in_succeeded"
	SignInFailed    = "sign_in_failed"
	SignInBlocked   = "sign_in_blocked"
	SignedOut       = "sign_out"
	SessionExpired  = "session_expired"
	SessionEvicted  = "session_evicted" // more than 8 sessions of one account
	RoleChanged     = "role_changed"
	UserRejected    = "user_rejected"
	UserBanned      = "user_banned"
	UserDeleted     = "user_deleted"
	UserCreated     = "user_created" // at the command line or by an import
	UpgradeAsked    = "upgrade_requested"
	PasswordChanged = "password_changed"
	KeyCreated      = "key_created"
	KeyRevoked      = "key_revoked"
)

// Event is one entry of the audit log. Only Name is required.
type Event struct {
	ID        int64
	At        time.Time // database time
	Name      string
	UserID    string // whom it happened to
	ActorID   string // the account that did it, when another one
	EmailHash string // hex SHA-256
	Address   string // client address
	Detail    map[string]any
}

// by notes who did it.
func (e Event) by(p Principal) Event {
	e.ActorID = p.UserID
	if actor := p.actor(); actor != "" && p.UserID == "" {
		detail := map[string]any{"actor": actor}
		for k, v := range e.Detail {
			detail[k] = v
		}
		e.Detail = detail
	}
	return e
}

// record appends to the audit log inside the transaction of what it tells of.
func record(ctx context.Context, tx pgx.Tx, e Event) error {
	var detail []byte
	if len(e.Detail) > 0 {
		var err error
		if detail, err = json.Marshal(e.Detail); err != nil {
			return fmt.Errorf("audit %s: %w", e.Name, err)
		}
	}
	_, err := tx.Exec(ctx, `
		INSERT INTO auth_audit (event, user_id, actor_user_id, email_hash, client_address, detail)
		VALUES ($1, nullif($2, ''), nullif($3, ''), nullif($4, ''), nullif($5, ''), $6::jsonb)`,
		e.Name, e.UserID, e.ActorID, e.EmailHash, e.Address, detail)
	if err != nil {
		return fmt.Errorf("audit %s: %w", e.Name, err)
	}
	return nil
}
