package timeseries

import (
	"context"
	"errors"
	"fmt"

	"github.com/jackc/pgx/v5"

	schema "github.com/ecovolt/telemetryd/sql"
)

// summaries are brought up to date by whoever refreshes the rollups.
type summaries struct{ store *Store }

// dueSummaries are the sessions that have grown since they were summarised, a
// while ago, or whose summary lacks channels: ahead leaves them to Do, and there were
// versions that did not know of them.
const dueSummaries = `
	SELECT s.session
	FROM sessions s LEFT JOIN session_summaries m USING (session)
	WHERE s.deleted_at IS NULL AND (s.batch > coalesce(m.batch, 0) OR m.channels IS NULL)
	  AND (m.channels IS NULL OR m.computed_at < clock_timestamp() - $1::interval)`

// Due implements rollup.Work.
func (w summaries) Due(ctx context.Context, conn *pgx.Conn) (due bool, err error) {
	if err = conn.QueryRow(ctx, "SELECT EXISTS ("+dueSummaries+")", summaryPause).Scan(&due); err != nil {
		return false, fmt.Errorf("look for sessions to summarise: %w", err)
	}
	return due, nil
}

// ahead adds up new runs, all but their channels, which are counted by the levels.
func (w summaries) ahead(ctx context.Context, conn *pgx.Conn) error {
	sessions, err := schema.List(ctx, conn, pgx.RowTo[int32], `
		SELECT s.session
		FROM sessions s LEFT JOIN session_summaries m USING (session)
		WHERE s.deleted_at IS NULL AND s.batch > 0 AND m.session IS NULL`)
	if err != nil {
		return fmt.Errorf("find sessions to add up: %w", err)
	}
	for _, session := range sessions {
		err := w.store.summarising.Do(ctx, session, func() error {
			return oneSnapshot(ctx, conn, func(tx pgx.Tx) error {
				_, _, err := addUp(ctx, tx, session)
				return err
			})
		})
		if err != nil {
			return fmt.Errorf("add up run %d: %w", session, err)
		}
	}
	return nil
}

// Do computes what changed since the summaries were made.
func (w summaries) Do(ctx context.Context, conn *pgx.Conn) error {
	sessions, err := schema.List(ctx, conn, pgx.RowTo[int32], dueSummaries, summaryPause)
	if err != nil {
		return fmt.Errorf("find sessions to summarise: %w", err)
	}
	var failed error
	for _, session := range sessions { // one that fails keeps none out
		err := w.store.summarising.Do(ctx, session, func() error { return w.store.summarise(ctx, conn, session) })
		if ctx.Err() != nil {
			return errors.Join(failed, err)
		}
		if err != nil {
			failed = errors.Join(failed, fmt.Errorf("summarise run %d: %w", session, err))
			if conn.IsClosed() {
				break // all others would fail alike
			}
			continue
		}
		// Lists of sessions show figures of the summary.
		if _, err := conn.Exec(ctx, "UPDATE sessions SET revision = revision + 1 WHERE session = $1", session); err != nil {
			return errors.Join(failed, fmt.Errorf("announce a summary: %w", err))
		}
	}
	return failed
}
