package auth

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/ecovolt/telemetryd/auth/gate"
	"github.com/ecovolt/telemetryd/internal/fault"
	schema "github.com/ecovolt/telemetryd/sql"
)

// The events of the audit log.
const (
	signUpSucceeded = "sign_up_succeeded"
	signUpRejected  = "sign_up_rejected" // the address is taken
	signUpBlocked   = "sign_up_blocked"
	signInSucceeded = "sign_in_succeeded"
	signInFailed    = "sign_in_failed"
	signInBlocked   = "sign_in_blocked"
	signedOut       = "sign_out"
	sessionExpired  = "session_expired"
	sessionEvicted  = "session_evicted" // more than 8 sessions of one account
	sessionsEnded   = "sessions_ended"  // by their owner or an administrator
	roleChanged     = "role_changed"
	userRejected    = "user_rejected"
	userBanned      = "user_banned"
	userDeleted     = "user_deleted"
	userCreated     = "user_created" // at the command line or by an import
	upgradeAsked    = "upgrade_requested"
	passwordChanged = "password_changed"
	emailChanged    = "email_changed" // by an import
	userUnbanned    = "user_unbanned"
	codeAsked       = "second_factor_asked" // the password was right, and no code came with it
	factorOn        = "second_factor_on"
	factorOff       = "second_factor_off"
	codesRenewed    = "recovery_codes_renewed"
	codeUsed        = "recovery_code_used"
	appCreated      = "app_password_created"
	appRevoked      = "app_password_revoked"
	keyCreated      = "key_created"
	keyRevoked      = "key_revoked"
	SessionEdited   = "session_edited" // a run's name or its book was changed
	NoteChanged     = "note_changed"   // added, changed or deleted
	SessionMerged   = "session_merged" // a logger's file was merged into a run
	MergeUndone     = "merge_undone"
	ChannelChanged  = "channel_changed" // declared or described
	ChannelHidden   = "channel_hidden"
	TrackChanged    = "track_changed" // named, or its gates moved
	TrackDeleted    = "track_deleted"
	TracksMerged    = "tracks_merged"
	TrackSplit      = "track_split"
	SessionRepaired = "session_repaired" // a run's records were put back, dropped or shifted
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

// record appends to the audit log inside the transaction of what it tells of. Where
// the event names no address it is the one that the request came from.
func record(ctx context.Context, tx pgx.Tx, e Event) error {
	if e.Address == "" {
		e.Address = gate.Address(ClientAddress(ctx))
	}
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

// Audited makes the next transaction under the context enter the event as done
// by that principal, or not commit.
func Audited(ctx context.Context, by Principal, e Event) context.Context {
	return schema.WithBeforeCommit(ctx, func(ctx context.Context, tx pgx.Tx) error { return record(ctx, tx, e.by(by)) })
}

// AuditQuery selects entries of the audit log. The zero value is the newest 100.
type AuditQuery struct {
	Before   int64     // only entries with a lower id, for the next page; zero: from the newest
	UserID   string    // only entries about the account; "" is all
	ActorID  string    // only what this account, key or command did to others; "" is all
	Name     string    // only this event; "" is all
	From, To time.Time // only entries from then on, and before then; zero is no bound
	Limit    int       // 1 to 1000; zero means 100
}

// Audit returns entries of the audit log, newest first. Admins only.
func (s *Service) Audit(ctx context.Context, by Principal, q AuditQuery) ([]Event, error) {
	if d := Allow(by, ReadAudit, SessionAge{}); !d.Allowed {
		return nil, d.Err
	}
	if q.Limit == 0 {
		q.Limit = 100
	}
	if q.Limit < 1 || q.Limit > 1000 {
		return nil, fault.Field("limit", "must be 1 to 1000")
	}
	// What is asked for is all that the statement has, so that each is planned for itself.
	var (
		where = []string{"true"}
		args  = pgx.NamedArgs{"limit": q.Limit}
	)
	for _, filter := range []struct {
		name, condition string
		value           any
		given           bool
	}{
		{"before", `id < @before`, q.Before, q.Before != 0},
		{"user", `user_id = @user`, q.UserID, q.UserID != ""},
		{"actor", `(actor_user_id = @actor OR actor_user_id IS NULL AND detail->>'actor' = @actor)`, q.ActorID, q.ActorID != ""},
		{"event", `event = @event`, q.Name, q.Name != ""},
		{"from", `at >= @from`, q.From, !q.From.IsZero()},
		{"to", `at < @to`, q.To, !q.To.IsZero()},
	} {
		if !filter.given {
			continue
		}
		if text, ok := filter.value.(string); ok && storable(text) != text {
			return []Event{}, nil // nothing is stored under such a text
		}
		where = append(where, filter.condition)
		args[filter.name] = filter.value
	}
	events, err := schema.List(ctx, s.pool, pgx.RowToStructByPos[Event], `
		SELECT id, at, event, coalesce(user_id, ''), coalesce(actor_user_id, ''), coalesce(email_hash, ''),
		       coalesce(client_address, ''), detail
		FROM auth_audit
		WHERE `+strings.Join(where, " AND ")+`
		ORDER BY id DESC LIMIT @limit`, args)
	if err != nil {
		return nil, fmt.Errorf("read audit log: %w", err)
	}
	return events, nil
}

// emailHash is how limits and the audit log refer to an address.
func emailHash(email string) string {
	sum := sha256.Sum256([]byte(email))
	return hex.EncodeToString(sum[:])
}
