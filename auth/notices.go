package auth

import (
	"context"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"

	schema "github.com/ecovolt/telemetryd/sql"
)

// maxNotices is how many an account is shown, the newest.
const maxNotices = 50

// credentialEvents are the entries of the audit log that an account's owner is told of.
var credentialEvents = []string{passwordChanged, emailChanged, factorOn, factorOff, codesRenewed, codeUsed, appCreated, appRevoked}

// Notice tells an account's owner of a change of its credentials. It is an entry of
// the audit log, as long as that is kept.
type Notice struct {
	ID      int64
	At      time.Time // database time
	Event   string    // such as password_changed
	Address string    // where it came from; "" when not known
	ByOther bool      // an administrator did it
}

// Notices returns what happened to the credentials of the signed-in account and was
// not dismissed, the newest first.
func (s *Service) Notices(ctx context.Context, p Principal) ([]Notice, error) {
	if d := Allow(p, OwnCredentials, SessionAge{}); !d.Allowed {
		return nil, d.Err
	}
	list, err := schema.List(ctx, s.pool, pgx.RowToStructByPos[Notice], `
		SELECT a.id, a.at, a.event, coalesce(a.client_address, ''),
		       coalesce(a.actor_user_id <> a.user_id, a.detail ? 'actor', false)
		FROM auth_audit a JOIN users u ON u.id = a.user_id
		WHERE a.user_id = $1 AND a.id > u.notices_through AND a.event = ANY($2)
		ORDER BY a.id DESC LIMIT $3`, p.UserID, credentialEvents, maxNotices)
	if err != nil {
		return nil, fmt.Errorf("list notices: %w", err)
	}
	return list, nil
}

// DismissNotices takes notices up to that id away, for the signed-in account.
func (s *Service) DismissNotices(ctx context.Context, p Principal, through int64) error {
	if d := Allow(p, OwnCredentials, SessionAge{}); !d.Allowed {
		return d.Err
	}
	// No further than there are entries: a notice that is yet to come is not dismissed.
	_, err := s.pool.Exec(ctx, `
		UPDATE users SET notices_through = greatest(notices_through, least($2, (SELECT max(id) FROM auth_audit WHERE user_id = $1)))
		WHERE id = $1`, p.UserID, through)
	if err != nil {
		return fmt.Errorf("dismiss notices: %w", err)
	}
	return nil
}
