package timeseries

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/ecovolt/telemetryd/internal/fault"
	"github.com/ecovolt/telemetryd/internal/load"
	"github.com/ecovolt/telemetryd/timeseries/lag"
)

// Replica takes reads of sessions off the primary without showing anybody less
// than the primary would.
//
// Before each read it asks the replica whether it holds what the primary knew
// of the sessions a moment ago, when the caller's access was checked. Where it
// does not, because it lags or is away, the primary is read instead. So whoever
// stored a batch reads it back at once, and a replica that lags behind a car
// that is driving still serves the runs of yesterday.
type Replica struct {
	primary, store *Store
	pool           *pgxpool.Pool
	log            *slog.Logger

	down                 atomic.Bool
	served, behind, away atomic.Int64

	mu  sync.Mutex // guards lag
	lag lag.Meter
}

const (
	// replicaPatience is how long a read waits for the replica to say what it
	// holds, before it goes to the primary.
	replicaPatience = 2 * time.Second
	// replicaWatch is how often the replica is looked at. One that was away
	// gets its first read after it.
	replicaWatch = time.Second
)

// NewReplica returns a Replica of the primary's store, on a pool of the replica.
// Nothing connects before the first read.
func NewReplica(primary *Store, pool *pgxpool.Pool, log *slog.Logger) *Replica {
	if log == nil {
		log = slog.New(slog.DiscardHandler)
	}
	return &Replica{primary: primary, store: New(pool, Options{Logger: log, Columns: primary.Columns}), pool: pool, log: log}
}

// Read calls read with the replica's store if that holds the sessions as they
// were given, and with the primary's otherwise. When the replica fails in the
// middle, read is called a second time, with the primary's; so it must not have
// answered anybody before it can no longer fail.
func (r *Replica) Read(ctx context.Context, sessions []*Session, read func(*Store) error) error {
	if r.down.Load() {
		r.away.Add(1)
		return read(r.primary)
	}
	held, err := r.holds(ctx, sessions)
	if ctx.Err() != nil {
		return ctx.Err()
	}
	if err != nil {
		r.away.Add(1)
		r.setDown(err)
		return read(r.primary)
	}
	if !held {
		r.behind.Add(1)
		return read(r.primary)
	}
	err = read(r.store)
	if err == nil || fault.As(err) != nil || ctx.Err() != nil {
		r.served.Add(1)
		return err
	}
	r.away.Add(1)
	r.log.Warn("a read failed on the replica; the primary repeats it", "error", err)
	return read(r.primary)
}

// holds reports whether the replica has the sessions, with at least the batches
// and changes of metadata that they are known to have. A session that was made
// anew under the same id is another one.
func (r *Replica) holds(ctx context.Context, sessions []*Session) (bool, error) {
	// Asked by the daemon itself: a caller that holds its share of the connections
	// does not make the replica one that is away.
	ctx, cancel := context.WithTimeout(load.WithCaller(ctx, ""), replicaPatience)
	defer cancel()
	ids, created := make([]string, len(sessions)), make([]time.Time, len(sessions))
	batches, revisions := make([]int32, len(sessions)), make([]int32, len(sessions))
	for i, s := range sessions {
		ids[i], created[i], batches[i], revisions[i] = s.ID, s.CreatedAt, s.Batch, s.Revision
	}
	var held int
	err := r.pool.QueryRow(ctx, `
		SELECT count(*)
		FROM sessions s
		JOIN unnest($1::text[], $2::timestamptz[], $3::int[], $4::int[]) AS known (id, created_at, batch, revision)
		  ON s.id = known.id AND s.created_at = known.created_at AND s.batch >= known.batch AND s.revision >= known.revision
		WHERE s.deleted_at IS NULL`, ids, created, batches, revisions).Scan(&held)
	return held == len(sessions), err
}

// Run watches the replica until the context ends: whether it answers, and how
// far it is behind.
func (r *Replica) Run(ctx context.Context) {
	ticker := time.NewTicker(replicaWatch)
	defer ticker.Stop()
	for {
		if err := r.look(ctx); err == nil {
			if r.down.CompareAndSwap(true, false) {
				r.log.Info("the replica answers again")
			}
		} else if ctx.Err() == nil {
			r.setDown(err)
		}
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
		}
	}
}

func (r *Replica) setDown(err error) {
	if r.down.CompareAndSwap(false, true) {
		r.log.Warn("cannot read from the replica; the primary serves exports and charts", "error", err)
	}
}

// look asks both servers how far they are. Only the replica's failure is one.
func (r *Replica) look(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, replicaPatience)
	defer cancel()
	if _, err := r.holds(ctx, nil); err != nil { // a server that has no sessions to ask about is none
		return fmt.Errorf("ask the replica what it holds: %w", err)
	}
	var written *int64
	_ = r.primary.pool.QueryRow(ctx, `SELECT (pg_current_wal_lsn() - '0/0')::bigint`).Scan(&written) // not known while it is away
	var replayed *int64
	err := r.pool.QueryRow(ctx, `
		SELECT (pg_last_wal_replay_lsn() - '0/0')::bigint
		WHERE pg_is_in_recovery()`).Scan(&replayed)
	if errors.Is(err, pgx.ErrNoRows) {
		err = nil // a copy that is kept up in another way
	}
	if err != nil {
		return fmt.Errorf("ask the replica how far it is: %w", err)
	}
	if written != nil && replayed != nil {
		r.mu.Lock()
		r.lag.Note(time.Now(), *written, *replayed)
		r.mu.Unlock()
	}
	return nil
}

// ReplicaStats is what became of reads, and how the replica is.
type ReplicaStats struct {
	Up bool
	// Lag is for how long the replica has been without something that the
	// primary had written, known to about a second. Behind is that in bytes of
	// the write-ahead log.
	Lag         time.Duration
	BehindBytes int64
	// Reads that the replica served, those that the primary served since the
	// replica lacked something, and those since it was away or failed.
	Served, Behind, Away int64
}

// Stats returns the figures as of now.
func (r *Replica) Stats() ReplicaStats {
	s := ReplicaStats{Up: !r.down.Load(), Served: r.served.Load(), Behind: r.behind.Load(), Away: r.away.Load()}
	r.mu.Lock()
	defer r.mu.Unlock()
	s.Lag, s.BehindBytes = r.lag.Since(time.Now()), r.lag.Bytes
	return s
}
