package timeseries

import (
	"context"
	"fmt"
	"math"
	"time"

	"github.com/jackc/pgx/v5"

	schema "github.com/ecovolt/telemetryd/sql"
	"github.com/ecovolt/telemetryd/timeseries/record"
)

// The statuses of the run on the road.
const (
	LiveActive = "active"
	LiveEnded  = "ended"
)

// ReasonInterrupt is the one reason for an end that the bridge gives.
const ReasonInterrupt = "user_interrupt"

// LiveReport is what the bridge says of the run on the road. Times are ISO
// 8601 texts, kept as they are.
type LiveReport struct {
	Status      string // LiveActive or LiveEnded
	SessionID   string
	SessionName *string
	StartedAt   string
	EndedAt     *string // kept only when ended
	Reason      *string // ReasonInterrupt; kept only when ended
	RecordCount float64 // rounded down, 0 at least
}

// LiveState is the last report that counted.
type LiveState struct {
	Status      string  `json:"status"`
	SessionID   string  `json:"session_id"`
	SessionName *string `json:"session_name,omitempty"`
	StartedAt   string  `json:"started_at"`
	EndedAt     *string `json:"ended_at,omitempty"`
	Reason      *string `json:"reason,omitempty"`
	RecordCount int64   `json:"record_count"`
	UpdatedAt   string  `json:"updated_at"` // server time of the report, ISO 8601 UTC with milliseconds
}

// LiveState returns the live state, or nil when nothing was ever reported.
func (s *Store) LiveState(ctx context.Context) (*LiveState, error) {
	return readLive(ctx, s.reads)
}

// NewestAge returns how long ago the newest record of any run was measured, by its
// own time and the database's clock: zero where the car's is ahead, and negative
// where there is no record.
func (s *Store) NewestAge(ctx context.Context) (time.Duration, error) {
	var age *time.Duration
	err := s.reads.QueryRow(ctx, "SELECT clock_timestamp() - max(last_time) FROM sessions WHERE deleted_at IS NULL").Scan(&age)
	if err != nil {
		return 0, fmt.Errorf("how old the newest record is: %w", err)
	}
	if age == nil {
		return -1, nil
	}
	return max(*age, 0), nil
}

// ReportLive stores the report and returns the state as it is then. A report
// that comes late is ignored: an end of another session than the stored one,
// or an active one of a session that has ended. An end also marks the session
// as ended, once.
func (s *Store) ReportLive(ctx context.Context, r LiveReport) (*LiveState, error) {
	if err := r.check(); err != nil {
		return nil, err
	}
	var state *LiveState
	ended := false
	err := schema.Tx(ctx, s.pool, func(ctx context.Context, tx pgx.Tx) error {
		if err := lockLive(ctx, tx); err != nil {
			return err
		}
		var err error
		if state, err = readLive(ctx, tx); err != nil || state != nil && r.late(*state) {
			return err
		}
		if state, err = writeLive(ctx, tx, r); err != nil {
			return err
		}
		if r.Status == LiveEnded {
			at, err := record.ParseTime(deref(r.EndedAt))
			tag, err := tx.Exec(ctx, `
				UPDATE sessions SET ended_at = coalesce($2, clock_timestamp()), revision = revision + 1
				WHERE id = $1 AND deleted_at IS NULL AND ended_at IS NULL`, r.SessionID, nullTime(at, err))
			if err != nil {
				return fmt.Errorf("mark the session as ended: %w", err)
			}
			ended = tag.RowsAffected() > 0
		}
		return schema.Touch(ctx, tx, schema.TopicLive)
	})
	if err != nil {
		return nil, err
	}
	if ended {
		s.onCommit(r.SessionID)
	}
	return state, nil
}

func (r LiveReport) check() error {
	var p problems
	if r.Status != LiveActive && r.Status != LiveEnded {
		p.add("status", "must be active or ended")
	}
	if r.SessionID == "" {
		p.add("session_id", "must not be empty")
	}
	p.text("session_id", r.SessionID, maxIDText)
	p.text("session_name", deref(r.SessionName), maxNameText)
	p.text("started_at", r.StartedAt, maxTimeText)
	p.text("ended_at", deref(r.EndedAt), maxTimeText)
	if r.Reason != nil && *r.Reason != ReasonInterrupt {
		p.add("reason", "must be user_interrupt")
	}
	if math.IsNaN(r.RecordCount) || math.Abs(r.RecordCount) > maxCount {
		p.add("record_count", "must be a finite number below 2^53")
	}
	return p.err()
}

// late reports whether the report was overtaken by what is stored.
func (r LiveReport) late(stored LiveState) bool {
	if r.Status == LiveEnded {
		return stored.SessionID != r.SessionID
	}
	return stored.SessionID == r.SessionID && stored.Status == LiveEnded
}

// lockLive makes the transaction the only writer of the live state, which also
// works while there is no row to lock. A writer that locks a sessions row too
// does so after this.
func lockLive(ctx context.Context, tx pgx.Tx) error {
	return schema.Lock(ctx, tx, schema.TopicLive)
}

const liveColumns = `status, session_id, session_name, started_at, ended_at, reason, record_count,
	to_char(updated_at AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.MS"Z"')`

func readLive(ctx context.Context, q schema.Querier) (*LiveState, error) {
	state, err := schema.Find[LiveState](ctx, q, "SELECT "+liveColumns+" FROM live_session")
	if err != nil {
		return nil, fmt.Errorf("read live state: %w", err)
	}
	return state, nil
}

func writeLive(ctx context.Context, tx pgx.Tx, r LiveReport) (*LiveState, error) {
	if r.Status != LiveEnded {
		r.EndedAt, r.Reason = nil, nil
	}
	state, err := schema.One(ctx, tx, pgx.RowToAddrOfStructByPos[LiveState], `
		INSERT INTO live_session (status, session_id, session_name, started_at, ended_at, reason, record_count)
		VALUES ($1, $2, $3, $4, $5, $6, $7)
		ON CONFLICT (singleton) DO UPDATE SET status = $1, session_id = $2, session_name = $3, started_at = $4,
			ended_at = $5, reason = $6, record_count = $7, updated_at = clock_timestamp()
		RETURNING `+liveColumns,
		r.Status, r.SessionID, r.SessionName, r.StartedAt, r.EndedAt, r.Reason, int64(max(0, math.Floor(r.RecordCount))))
	if err != nil {
		return nil, fmt.Errorf("store live state: %w", err)
	}
	return state, nil
}

func deref(s *string) string {
	if s == nil {
		return ""
	}
	return *s
}

// nullTime is NULL where there is no time.
func nullTime(t time.Time, err error) *time.Time {
	if err != nil {
		return nil
	}
	return &t
}
