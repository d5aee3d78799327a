package ingest

import (
	"context"
	"fmt"

	"github.com/jackc/pgx/v5"

	"github.com/ecovolt/telemetryd/internal/fault"
)

// LockSession locks the row of a session until the transaction ends, for whatever
// is no upload, and returns its key. It returns NotFound where there is none.
func LockSession(ctx context.Context, tx pgx.Tx, id string) (session int32, err error) {
	// Whoever waited for a run that was shifted meanwhile finds that its row is
	// gone, and another one there.
	for there := true; there; {
		err := tx.QueryRow(ctx, "SELECT session FROM sessions WHERE id = $1 AND deleted_at IS NULL FOR UPDATE", id).Scan(&session)
		if err == nil {
			return session, nil
		}
		if err == pgx.ErrNoRows {
			err = tx.QueryRow(ctx, "SELECT EXISTS (SELECT FROM sessions WHERE id = $1 AND deleted_at IS NULL)", id).Scan(&there)
		}
		if err != nil {
			return 0, fmt.Errorf("lock session: %w", err)
		}
	}
	return 0, fault.NoSession(id)
}
