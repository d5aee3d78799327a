package timeseries

import (
	"context"
	"encoding/json"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"

	schema "github.com/ecovolt/telemetryd/sql"
	"github.com/ecovolt/telemetryd/timeseries/analysis"
	"github.com/ecovolt/telemetryd/timeseries/ingest/aside"
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

var setAsideSQL = "WITH RECURSIVE " + aside.Page("true") + `
	SELECT id, reason, timestamp, time, received_at, source, record
	FROM set_aside
	WHERE id IN (SELECT id FROM page)
	ORDER BY id`

// SetAside lists records that were set aside, in order of arrival: at most the
// query's limit, and none beyond PageBytes of the Store. more says that others follow. An
// unknown session has none.
func (s *Store) SetAside(ctx context.Context, q SetAsideQuery) (list []OddRecord, more bool, err error) {
	var session int32
	err = s.reads.QueryRow(ctx, "SELECT session FROM sessions WHERE id = $1 AND deleted_at IS NULL", q.SessionID).Scan(&session)
	if err == pgx.ErrNoRows {
		return nil, false, nil
	}
	if err != nil {
		return nil, false, fmt.Errorf("list records set aside: %w", err)
	}
	if list, err = schema.List(ctx, s.reads, pgx.RowToStructByPos[OddRecord], setAsideSQL, session, q.After, q.Limit, s.PageBytes); err != nil {
		return nil, false, fmt.Errorf("list records set aside: %w", err)
	}
	if len(list) > 0 {
		err = s.reads.QueryRow(ctx, "SELECT EXISTS (SELECT FROM set_aside WHERE session = $1 AND id > $2)", session, list[len(list)-1].ID).Scan(&more)
	}
	if err != nil {
		return nil, false, fmt.Errorf("look for more records set aside: %w", err)
	}
	return list, more, nil
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
