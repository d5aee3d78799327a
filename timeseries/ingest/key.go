package ingest

import (
	"context"
	"fmt"

	"github.com/jackc/pgx/v5"
)

// claimKey has the first chunk of an upload logged under its idempotency key, if
// it has one, and finds out whether an upload before was: then all of this one's
// batches must be known. Another upload of that key waits until this one has ended.
func (u *upload) claimKey(ctx context.Context, tx pgx.Tx) error {
	if u.opt.IdempotencyKey == "" || u.claimed {
		u.key = ""
		return nil
	}
	u.key, u.claimed = u.opt.IdempotencyKey, true
	var claim pgx.Batch
	claim.Queue("SELECT pg_advisory_xact_lock(hashtextextended($1, 0))", u.key)
	claim.Queue(`
		SELECT EXISTS (
			SELECT
			FROM ingest_batches
			JOIN sessions USING (session)
			WHERE idempotency_key = $1 AND deleted_at IS NULL)`, u.key).QueryRow(func(row pgx.Row) error { return row.Scan(&u.keyUsed) })
	if err := tx.SendBatch(ctx, &claim).Close(); err != nil {
		return fmt.Errorf("claim the idempotency key: %w", err)
	}
	return nil
}
