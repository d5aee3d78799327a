// Package progress says how far what is worked out of a run's records behind them has
// come. Each kind of it has a table with a row for each run (session, batch, rewritten,
// changed): batches up to batch are in it, unless records were taken away (another
// sessions.rewritten) or changed by a later batch since.
//
// It holds no state. The tables are their packages'.
package progress

import (
	"context"

	"github.com/jackc/pgx/v5"
)

// Due is a query for the runs that a table is behind: session, batch, rewritten, and
// done, the batch from which on something is missing.
func Due(table string) string {
	return `
	SELECT s.session, s.batch, s.rewritten, CASE WHEN p.rewritten = s.rewritten THEN p.batch ELSE 0 END AS done
	FROM sessions s LEFT JOIN ` + table + ` p USING (session)
	WHERE s.deleted_at IS NULL AND (s.batch > coalesce(p.batch, 0) OR s.rewritten > coalesce(p.rewritten, 0))`
}

// Resume notes that a run is followed to a batch, and returns from which one on: 0 to
// begin anew. The transaction does that and calls Reached, or changes nothing.
func Resume(ctx context.Context, tx pgx.Tx, table string, session, batch, rewritten int32) (done int32, err error) {
	// A plan for all times would consider every chunk of the records.
	if _, err := tx.Exec(ctx, "SELECT set_config('plan_cache_mode', 'force_custom_plan', true)"); err != nil {
		return 0, err
	}
	err = tx.QueryRow(ctx, `
		INSERT INTO `+table+` AS p (session, batch, rewritten, changed)
		VALUES ($1, 0, $2, $3)
		ON CONFLICT (session) DO UPDATE SET
			rewritten = excluded.rewritten, changed = excluded.changed,
			batch = CASE WHEN p.rewritten = excluded.rewritten AND NOT EXISTS (
				SELECT FROM ingest_batches b
				WHERE b.session = p.session AND b.batch > p.changed AND b.batch <= excluded.changed AND b.changed > 0) THEN p.batch ELSE 0 END
		RETURNING batch`, session, rewritten, batch).Scan(&done)
	return done, err
}

// Reached notes how far a run was followed.
func Reached(ctx context.Context, tx pgx.Tx, table string, session, batch int32) error {
	_, err := tx.Exec(ctx, "UPDATE "+table+" SET batch = $2 WHERE session = $1", session, batch)
	return err
}
