// Package progress says how far what is worked out of a run's records behind them has
// come. Each kind of it has a table with a row for each run (session, batch, rewritten,
// changed): batches up to batch are in it, unless records were taken away (another
// sessions.rewritten) or changed by a later batch since.
//
// It holds no state, and what works goes on a connection of its caller's. The tables are
// their packages'.
package progress

import (
	"context"
	"errors"
	"fmt"
	"time"

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

// Run is one that a table is behind: a row of Due.
type Run struct{ Session, Batch, Rewritten, Done int32 }

// SmallestFirst orders rows d of Due by how many records are missing, joined to their
// sessions s: a race that is on must not wait for an import.
const SmallestFirst = " ORDER BY s.records * (d.batch - d.done) / greatest(d.batch, 1), session DESC"

// longestTurn is how long all else that follows records waits while a large import is
// followed; it goes on in the next pass.
const longestTurn = 2 * time.Second

// Turn works on runs one after another, piece by piece in transactions of their own,
// until all are done or longestTurn is over. A piece reports whether its run is
// done, and what to do when the transaction has ended. A run that fails keeps none out,
// unless all would; what names the work in the error.
func Turn(ctx context.Context, conn *pgx.Conn, what string, runs []Run, piece func(pgx.Tx, Run) (ended func(), done bool, err error)) (failed error) {
	begun := time.Now()
	for _, r := range runs {
		for done := false; !done && ctx.Err() == nil && !conn.IsClosed() && time.Since(begun) < longestTurn; {
			var ended func()
			err := pgx.BeginFunc(ctx, conn, func(tx pgx.Tx) (err error) {
				ended, done, err = piece(tx, r)
				return err
			})
			if ended != nil {
				ended()
			}
			if err != nil {
				failed = errors.Join(failed, fmt.Errorf("%s of run %d: %w", what, r.Session, err))
				break
			}
		}
	}
	return failed
}
