package timeseries

import (
	"context"
	"encoding/json"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/ecovolt/telemetryd/timeseries/analysis"
	"github.com/ecovolt/telemetryd/timeseries/rollup"
)

// OddRecord is a record that was set aside, since its time cannot be right.
type OddRecord struct {
	ID         int64
	Reason     string // no time, too early, too late or stray
	Timestamp  string // as received
	Time       *time.Time
	ReceivedAt time.Time
	Source     string
	Record     json.RawMessage // the other members
}

// SetAsideQuery says which records to list.
type SetAsideQuery struct {
	SessionID string
	After     int64 // the id of the last one read before
	Limit     int
}

// SetAside lists records that were set aside, in order of arrival.
func (s *Store) SetAside(ctx context.Context, q SetAsideQuery) ([]OddRecord, error) {
	rows, err := s.reads.Query(ctx, `
		SELECT a.id, a.reason, a.timestamp, a.time, a.received_at, a.source, a.record
		FROM set_aside a
		JOIN sessions s USING (session)
		WHERE s.id = $1 AND s.deleted_at IS NULL AND a.id > $2
		ORDER BY a.id
		LIMIT $3`, q.SessionID, q.After, q.Limit)
	if err != nil {
		return nil, fmt.Errorf("list records set aside: %w", err)
	}
	list, err := pgx.CollectRows(rows, pgx.RowToStructByPos[OddRecord])
	if err != nil {
		return nil, fmt.Errorf("list records set aside: %w", err)
	}
	return list, nil
}

// forgetRange has what is derived from a session follow when records are taken
// out: the next batch, which is being stored, has all of it done again.
func forgetRange(ctx context.Context, tx pgx.Tx, session int32, from, to time.Time) error {
	if err := rollup.ForgetRange(ctx, tx, session, from, to); err != nil {
		return err
	}
	if err := analysis.Forget(ctx, tx, session); err != nil {
		return err
	}
	var batch pgx.Batch
	batch.Queue("DELETE FROM summary_parts WHERE session = $1 AND minute > $2::timestamptz - INTERVAL '1 minute' AND minute <= $3", session, from, to)
	batch.Queue("DELETE FROM archive_parts WHERE session = $1", session)
	batch.Queue("DELETE FROM archives WHERE session = $1", session)
	if err := tx.SendBatch(ctx, &batch).Close(); err != nil {
		return fmt.Errorf("forget what was derived from records: %w", err)
	}
	return nil
}
