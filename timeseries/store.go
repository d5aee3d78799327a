package timeseries

import (
	"context"
	"log/slog"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"
)

// Options tune a Store. The zero value is fit for use.
type Options struct {
	// Logger takes what operators should know. Nil discards it.
	Logger *slog.Logger
	// Now is the clock against which a record's time counts as too far ahead.
	// Nil is time.Now.
	Now func() time.Time
	// OnCommit is called after a batch or another change of these sessions was
	// committed, so that a local hub need not wait for its next tick. Nil is no call.
	OnCommit func(sessionIDs ...string)
}

// Store is the telemetry store: records, sessions, rollups and what is derived
// from them. It is safe for concurrent use.
type Store struct {
	pool     *pgxpool.Pool
	log      *slog.Logger
	now      func() time.Time
	onCommit func(sessionIDs ...string)
	catalog  catalogCache
}

// New makes a Store on a migrated database.
func New(pool *pgxpool.Pool, opt Options) *Store {
	s := &Store{pool: pool, log: opt.Logger, now: opt.Now, onCommit: opt.OnCommit}
	if s.log == nil {
		s.log = slog.New(slog.DiscardHandler)
	}
	if s.now == nil {
		s.now = time.Now
	}
	if s.onCommit == nil {
		s.onCommit = func(...string) {}
	}
	return s
}

// Ping reports whether the database answers.
func (s *Store) Ping(ctx context.Context) error { return s.pool.Ping(ctx) }
