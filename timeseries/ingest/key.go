package ingest

import (
	"bytes"
	"context"
	"fmt"

	"github.com/jackc/pgx/v5"

	"github.com/ecovolt/telemetryd/internal/fault"
	schema "github.com/ecovolt/telemetryd/sql"
)

// claimKey finds out whether an upload before had this one's idempotency key, if
// it has one: then all of its batches must be known, but for those of runs that
// were deleted since. Another upload of that key waits until this one has ended.
func (u *upload) claimKey(ctx context.Context, tx pgx.Tx) error {
	if u.opt.IdempotencyKey == "" || u.claimed {
		return nil
	}
	u.claimed = true
	var claim pgx.Batch
	claim.Queue("SELECT pg_advisory_xact_lock(hashtextextended($1, 0))", u.opt.IdempotencyKey)
	claim.Queue(`
		SELECT upload
		FROM ingest_batches
		JOIN sessions USING (session)
		WHERE idempotency_key = $1 AND deleted_at IS NULL
		LIMIT 1`, u.opt.IdempotencyKey).QueryRow(func(row pgx.Row) error {
		err := row.Scan(&u.keyUpload)
		u.keyUsed = err == nil
		return ifThere(err)
	})
	if err := tx.SendBatch(ctx, &claim).Close(); err != nil {
		return fmt.Errorf("claim the idempotency key: %w", err)
	}
	return nil
}

// keyConflict refuses other records under a key that was used.
func (u *upload) keyConflict() error {
	return fault.New(fault.Conflict, "the idempotency key %q was used for other records", fault.Clip(u.opt.IdempotencyKey))
}

// concludeKey keeps what the upload was, by which it is known when some of its
// runs are deleted; or, when some are missing, compares it with what it was. What
// was deleted stays so, and a session that was made for it goes.
func (u *upload) concludeKey(ctx context.Context, tx pgx.Tx) error {
	if u.opt.IdempotencyKey == "" {
		return nil
	}
	sum := u.reader.sum()
	var keep pgx.Batch
	switch {
	case u.missing == nil:
		keep.Queue(`
			UPDATE ingest_batches
			SET upload = $2
			WHERE idempotency_key = $1
			  AND upload IS NULL
			  AND session IN (SELECT session FROM sessions WHERE id = ANY ($3) AND deleted_at IS NULL)`, u.opt.IdempotencyKey, sum[:], ids(u.result.Sessions))
	case bytes.Equal(sum[:], u.keyUpload):
		keep.Queue("DELETE FROM sessions WHERE id = ANY ($1) AND deleted_at IS NULL AND batch = 0", u.missing)
	default:
		return u.keyConflict()
	}
	return schema.Later(ctx, tx, &keep)
}
