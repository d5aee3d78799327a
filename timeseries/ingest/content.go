package ingest

import (
	"context"

	"github.com/jackc/pgx/v5"

	"github.com/ecovolt/telemetryd/internal/fault"
	schema "github.com/ecovolt/telemetryd/sql"
	"github.com/ecovolt/telemetryd/timeseries/ingest/repeat"
)

// Content is what an upload knows of the file that it comes out of.
type Content struct {
	// Digests are SHA-256 sums of what is in the file: the first is kept, by the
	// others it may have been kept before.
	Digests [][]byte
	// Run is the id of the run that was made for the file, and Name its name unless
	// it has one; empty where the records name their run, or the sender does.
	Run, Name string
	// Again stores the file even if its run has it already, as other records.
	Again bool
}

// conclude does what is left when all of an upload was stored.
func (u *upload) conclude(ctx context.Context, tx pgx.Tx) error {
	if err := u.concludeKey(ctx, tx); err != nil {
		return err
	}
	var c *Content
	if u.opt.Content != nil {
		c = u.opt.Content()
	}
	if c != nil && u.result.Inserted > 0 && !c.Again {
		if err := u.refuseKnown(ctx, tx, c); err != nil {
			return err
		}
	}
	if u.loaders != nil && !u.loaders.joined { // all of it is to be looked at
		if err := u.loaders.join(ctx, tx, true); err != nil {
			return err
		}
	}
	if err := u.refuseRepeats(ctx, tx, c); err != nil || c == nil {
		return err
	}
	var note pgx.Batch
	note.Queue(`
		INSERT INTO imported_files (session, digest)
		SELECT session, $2
		FROM sessions
		WHERE id = ANY ($1) AND deleted_at IS NULL
		ON CONFLICT DO NOTHING`, ids(u.result.Sessions), c.Digests[0])
	note.Queue(`
		UPDATE sessions
		SET name = $2, updated_at = clock_timestamp()
		WHERE id = $1 AND deleted_at IS NULL AND name IS NULL AND '' NOT IN ($1, $2)`, c.Run, c.Name)
	return schema.Later(ctx, tx, &note)
}

// refuseKnown refuses a file that its run has already, where it has just been
// stored as other records.
func (u *upload) refuseKnown(ctx context.Context, tx pgx.Tx, c *Content) error {
	stored := []string{}
	for _, s := range u.result.Sessions {
		if s.Inserted > 0 {
			stored = append(stored, s.ID)
		}
	}
	known, err := repeat.File(ctx, tx, c.Digests, stored)
	if known == nil {
		return err
	}
	f := fault.Coded(fault.Conflict, "KNOWN_FILE", "%v with other options; nothing was stored", known)
	f.Data = map[string]any{"session_id": known.Run}
	return f
}
