package timeseries

import (
	"context"
	"encoding/json"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"
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
	rows, err := s.pool.Query(ctx, `
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
