package timeseries

import (
	"context"
	"log/slog"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/ecovolt/telemetryd/internal/load"
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
	// OnIngest is told of every upload that was committed. Nil is no call.
	OnIngest func(IngestStats)
	// Uploads counts the uploads that are being stored, for those who work
	// beside them. Nil makes one that the Store alone knows.
	Uploads *load.Uploads
}

// IngestStats is what an upload cost.
type IngestStats struct {
	Source        string
	Inserted      int           // records stored
	AlreadyStored int           // records recognised as stored before
	Took          time.Duration // from the first decoded record to after the commit
	Copying       time.Duration // thereof in COPY
}

// Store is the telemetry store: records, sessions, rollups and what is derived
// from them. It is safe for concurrent use.
type Store struct {
	pool     *pgxpool.Pool
	log      *slog.Logger
	now      func() time.Time
	onCommit func(sessionIDs ...string)
	onIngest func(IngestStats)
	catalog  catalogCache
	uploads  *load.Uploads
}

// New makes a Store on a migrated database.
func New(pool *pgxpool.Pool, opt Options) *Store {
	s := &Store{pool: pool, log: opt.Logger, now: opt.Now, onCommit: opt.OnCommit, onIngest: opt.OnIngest, uploads: opt.Uploads}
	if s.log == nil {
		s.log = slog.New(slog.DiscardHandler)
	}
	if s.now == nil {
		s.now = time.Now
	}
	if s.onCommit == nil {
		s.onCommit = func(...string) {}
	}
	if s.onIngest == nil {
		s.onIngest = func(IngestStats) {}
	}
	if s.uploads == nil {
		s.uploads = new(load.Uploads)
	}
	return s
}

// Ping reports whether the database answers.
func (s *Store) Ping(ctx context.Context) error { return s.pool.Ping(ctx) }
