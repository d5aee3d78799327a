package timeseries

import (
	"context"
	"log/slog"

	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/ecovolt/telemetryd/internal/load"
	"github.com/ecovolt/telemetryd/timeseries/analysis"
	"github.com/ecovolt/telemetryd/timeseries/archive"
	"github.com/ecovolt/telemetryd/timeseries/column"
	"github.com/ecovolt/telemetryd/timeseries/compare"
	"github.com/ecovolt/telemetryd/timeseries/delta"
	"github.com/ecovolt/telemetryd/timeseries/energy"
	"github.com/ecovolt/telemetryd/timeseries/ingest"
	"github.com/ecovolt/telemetryd/timeseries/merge"
	"github.com/ecovolt/telemetryd/timeseries/note"
	"github.com/ecovolt/telemetryd/timeseries/pace"
	"github.com/ecovolt/telemetryd/timeseries/places"
	"github.com/ecovolt/telemetryd/timeseries/registry"
	"github.com/ecovolt/telemetryd/timeseries/rollup"
	"github.com/ecovolt/telemetryd/timeseries/rollup/tall"
	"github.com/ecovolt/telemetryd/timeseries/series"
	"github.com/ecovolt/telemetryd/timeseries/signal"
	"github.com/ecovolt/telemetryd/timeseries/track"
	"github.com/ecovolt/telemetryd/timeseries/turns"
)

// Options tune a Store. The zero value is fit for use.
type Options struct {
	// Logger takes what operators should know. Nil discards it.
	Logger *slog.Logger
	// OnCommit is called after a batch or another change of these sessions was
	// committed, so that a local hub need not wait for its next tick. Nil is no call.
	OnCommit func(sessionIDs ...string)
	// OnIngest is told of every upload that was committed. Nil is no call.
	OnIngest func(ingest.Stats)
	// InFlight counts the uploads that are being stored, for those who work
	// beside them. Nil makes one that the Store alone knows.
	InFlight *load.InFlight
	// LargeRefresh is rollup.Options.Large.
	LargeRefresh int64
	// Reads and Exports are the connections for what somebody waits for, and for
	// long answers. Nil takes those of the Store.
	Reads, Exports *pgxpool.Pool
	// Columns holds what charts read of late. Nil holds nothing.
	Columns *column.Memory
	// OnRefresh is told how each pass of the rollups' refresher ended. Nil is no call.
	OnRefresh func(rollup.Result, error)
}

// Store is the telemetry store: records, sessions, rollups and what is derived
// from them. It is safe for concurrent use.
type Store struct {
	// Writer is the one way in: batches, streams, imports, repairs.
	Writer *ingest.Writer
	// Merges makes one run of what the radio sent and what a logger kept.
	Merges *merge.Merger
	// Analysis works out laps, distance and energy.
	Analysis *analysis.Analysis
	// Archives are the files that a browser opens a whole session from.
	Archives *archive.Archives
	// Channels are what there is to ask for.
	Channels *registry.Registry
	// Notes are what is noted of runs.
	Notes *note.Notes
	// Deltas are the records that came after a position.
	Deltas *delta.Reader
	// PageBytes is how much a page of records holds at least when it ends before it
	// has as many as were asked for: a record may have 1 MiB. Twenty thousand usual
	// ones have less than what New sets. It is to be set before the Store is used.
	PageBytes int

	pool           *pgxpool.Pool // for what is written, and for the daemon's own work
	reads, exports *pgxpool.Pool

	places   places.Places
	profiles savedProfiles

	log      *slog.Logger
	onCommit func(sessionIDs ...string)
	inFlight *load.InFlight

	summarising turns.Turns[int32]

	// Rollups are what charts read instead of the records. Whoever refreshes them
	// brings the summaries of sessions up to date as well.
	Rollups *rollup.Rollups
	// Columns are what is in memory of runs, for Series and Laps.
	Columns *column.Memory
	// Series are what charts and maps show of sessions.
	Series *series.Reader
	// Tracks are the circuits that runs go round.
	Tracks *track.Tracks
	// Laps lays laps over one another.
	Laps *compare.Reader
	// Signals count what channels were.
	Signals *signal.Reader
	// Energy says where the energy of runs went.
	Energy *energy.Reader
	// Pace is what runs may still spend.
	Pace *pace.Reader
}

// New makes a Store on a migrated database.
func New(pool *pgxpool.Pool, opt Options) *Store {
	if opt.Reads == nil {
		opt.Reads = pool
	}
	if opt.Exports == nil {
		opt.Exports = pool
	}
	if opt.InFlight == nil {
		opt.InFlight = new(load.InFlight)
	}
	s := &Store{
		Analysis: analysis.New(pool, opt.Reads, opt.InFlight), Deltas: delta.New(pool), pool: pool, reads: opt.Reads, exports: opt.Exports, log: opt.Logger, onCommit: opt.OnCommit, Columns: opt.Columns, inFlight: opt.InFlight, PageBytes: 32 << 20,
	}
	if s.log == nil {
		s.log = slog.New(slog.DiscardHandler)
	}
	if s.onCommit == nil {
		s.onCommit = func(...string) {}
	}
	if opt.OnIngest == nil {
		opt.OnIngest = func(ingest.Stats) {}
	}
	s.places.Log = s.log
	s.Writer = &ingest.Writer{
		Pool: pool, Log: s.log, InFlight: s.inFlight, OnCommit: s.onCommit, OnIngest: opt.OnIngest,
		Purge: func(ctx context.Context) {
			if _, err := s.PurgeDeleted(ctx); err != nil {
				s.log.Info("the records of the failed import are invisible, and will be removed by the daemon", "error", err)
			}
		},
		Forget: forgetRange,
		Places: &s.places,
	}
	s.Merges = &merge.Merger{Writer: s.Writer, MaxRecords: 2_000_000}
	s.Channels = registry.New(pool, opt.Reads)
	columns := rollup.MemberColumns{Channels: s.Channels}
	s.Rollups = rollup.New(pool, rollup.Options{
		Logger: s.log, InFlight: s.inFlight, Large: opt.LargeRefresh, Ahead: summaries{s}.ahead, Meanwhile: columns.Do, OnPass: opt.OnRefresh,
		Also: []rollup.Work{tall.Levels{Channels: s.Channels}, s.Channels, columns, summaries{s}},
	})
	s.Series = series.New(opt.Reads, s.Rollups, s.Channels, opt.Columns)
	s.Tracks = track.New(pool, opt.Reads)
	s.Notes = note.New(pool, opt.Reads)
	s.Laps = compare.New(opt.Reads, s.Channels, s.Rollups, opt.Columns)
	s.Signals = signal.New(opt.Reads, s.Channels, s.Series)
	s.Energy = energy.New(opt.Reads)
	s.Pace = pace.New(opt.Reads, s.Analysis)
	s.Archives = archive.New(opt.Exports, &s.places, s.archiveStats)
	return s
}

// Ping reports whether the database answers.
func (s *Store) Ping(ctx context.Context) error { return s.pool.Ping(ctx) }
