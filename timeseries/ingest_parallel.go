package timeseries

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"runtime"
	"sync/atomic"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"golang.org/x/sync/errgroup"

	schema "github.com/ecovolt/telemetryd/sql"
	"github.com/ecovolt/telemetryd/timeseries/decode"
)

// One connection copies no faster than one processor of the server works. A
// large file therefore goes in over several, each with its own transactions.
// It still appears whole or not at all: its records are loaded under the key
// of a session that counts as deleted, and one transaction, the leader's, ends
// that. Until it commits nobody finds the records; if it never does, they are
// removed like those of any deleted session, whether we or the server died.

// maxLoaders bounds the connections of one import. More of them would only
// wait for each other and keep live ingest waiting.
const maxLoaders = 4

// Import is IngestStream for files: it gives the same result, and copies over
// several connections where a session is new and the stream has more than one
// chunk. One import at a time may run on a pool.
func (s *Store) Import(ctx context.Context, dec *decode.Decoder, opt IngestOptions) (IngestResult, error) {
	loaders := min(maxLoaders, max(2, runtime.GOMAXPROCS(0)), int(s.pool.Config().MaxConns)-2)
	if loaders < 2 || opt.IdempotencyKey != "" {
		return s.IngestStream(ctx, dec, opt)
	}
	first := decode.NewBatch()
	defer first.Release()
	opened := s.openMore(ctx, loaders)
	err := dec.Next(first, ChunkRecords)
	opened()
	if err == io.EOF {
		return s.Ingest(ctx, first, opt)
	}
	if err != nil {
		return IngestResult{}, withProblems(err, first)
	}
	l := &bulkLoad{store: s, ingest: newIngest(opt), runs: map[string]*loadRun{}}
	if len(first.Sessions()) == 1 { // as usual; now it takes no further connection
		l.early.id = first.Sessions()[0]
		if l.early.session, err = l.hide(ctx, l.early.id); err != nil {
			return IngestResult{}, err
		}
	}
	err = schema.Tx(ctx, s.pool, func(ctx context.Context, tx pgx.Tx) error {
		return l.lead(ctx, tx, loaders, first, dec)
	})
	if err != nil {
		l.abandon(ctx)
	}
	l.ingest.copying += time.Duration(l.copying.Load())
	return s.finish(l.ingest, err)
}

// openMore has the pool open n connections, besides one that it usually has,
// until the function that it gives is called.
func (s *Store) openMore(ctx context.Context, n int) (enough func()) {
	one, err := s.pool.Acquire(ctx)
	if err != nil {
		return func() {} // whoever needs one will tell
	}
	for range n {
		go func() {
			if conn, err := s.pool.Acquire(ctx); err == nil {
				conn.Release()
			}
		}()
	}
	return one.Release
}

// bulkLoad is an import over several connections.
type bulkLoad struct {
	*ingest
	store   *Store
	runs    map[string]*loadRun // by session id
	jobs    chan loadJob
	crew    *errgroup.Group
	crewCtx context.Context
	// alone says that the leader stores all that follows, in its own
	// transaction, since a session was there before and must not change but by it.
	alone bool
	early struct { // a hidden session that was made beforehand, or 0
		id      string
		session int32
	}
	copying atomic.Int64 // nanoseconds
}

// loadRun is one new session. Until the leader commits, the import alone knows it.
type loadRun struct {
	session int32
	batch   int32 // the newest batch
	total   group // counts and bounds of all batches
}

// loadJob is a chunk's part of one session, ready to be copied.
type loadJob struct {
	group   *group
	session int32
	batch   int32
}

// lead decodes the stream and hands the chunks out. Its transaction holds the
// new sessions and makes them appear.
func (l *bulkLoad) lead(ctx context.Context, tx pgx.Tx, loaders int, first *decode.Batch, dec *decode.Decoder) error {
	// It is idle while others copy, for as long as that takes.
	if _, err := tx.Exec(ctx, "SET LOCAL idle_in_transaction_session_timeout = 0"); err != nil {
		return err
	}
	l.crew, l.crewCtx = errgroup.WithContext(ctx)
	l.jobs = make(chan loadJob, loaders) // nobody of the crew waits for the leader to encode
	for range loaders {
		l.crew.Go(func() error {
			for job := range l.jobs {
				if err := l.copy(l.crewCtx, job); err != nil {
					return err
				}
			}
			return nil
		})
	}
	err := l.handOut(ctx, tx, first)
	if err == nil {
		err = eachChunk(ctx, dec, func(b *decode.Batch) error { return l.handOut(ctx, tx, b) })
	}
	if l.alone {
		return err
	}
	if crewErr := l.join(ctx, tx, err == nil); err == nil || errors.Is(err, errCrew) {
		err = crewErr
	}
	return err
}

// join waits for the crew, and counts what it stored into the new sessions.
func (l *bulkLoad) join(ctx context.Context, tx pgx.Tx, count bool) error {
	close(l.jobs)
	l.alone = true
	if err := l.crew.Wait(); err != nil || !count {
		return err
	}
	var last pgx.Batch
	for _, run := range l.runs {
		queueAdvance(&last, &run.total, run.session, run.batch)
	}
	if err := tx.SendBatch(ctx, &last).Close(); err != nil {
		return fmt.Errorf("show sessions: %w", err)
	}
	return nil
}

// errCrew says that the crew has stopped. Why is the crew's to tell.
var errCrew = errors.New("loading stopped")

// handOut has one chunk stored.
func (l *bulkLoad) handOut(ctx context.Context, tx pgx.Tx, b *decode.Batch) error {
	if err := l.noteBad(b); err != nil {
		return err
	}
	for _, g := range inLockingOrder(groups(b)) {
		l.link(g)
		if !l.alone {
			run, err := l.run(ctx, tx, g.sessionID)
			if err != nil {
				return fmt.Errorf("begin session %q: %w", g.sessionID, err)
			}
			if run != nil {
				if err := l.dispatch(run, g); err != nil {
					return err
				}
				continue
			}
			// Writing beside the crew, this transaction could make a chunk of
			// the hypertable, which the crew would wait for in vain.
			if err := l.join(ctx, tx, true); err != nil {
				return err
			}
		}
		if err := l.storeGroup(ctx, tx, b, g, ""); err != nil {
			return fmt.Errorf("store batch of session %q: %w", g.sessionID, err)
		}
	}
	l.chunk++
	return nil
}

// dispatch gives a group to whoever of the crew is free.
func (l *bulkLoad) dispatch(run *loadRun, g *group) error {
	run.batch++
	run.note(g)
	select {
	case l.jobs <- loadJob{g, run.session, run.batch}:
	case <-l.crewCtx.Done():
		return errCrew
	}
	l.result.add(g.sessionID, g.records, 0, run.batch)
	return nil
}

// note takes a group's counts and bounds into the session's. The group's texts
// lie in a batch that is used again.
func (r *loadRun) note(g *group) {
	counts := group{
		records: g.records, minMicros: g.minMicros, maxMicros: g.maxMicros,
		minText: bytes.Clone(g.minText), maxText: bytes.Clone(g.maxText),
	}
	r.total.merge(&counts)
	if g.name != nil { // the newest batch's name counts
		r.total.name = bytes.Clone(g.name)
	}
}

// run gives the import's run of a session id, and begins it when it is new. It
// gives nil for a session that was there before, which is then locked.
func (l *bulkLoad) run(ctx context.Context, tx pgx.Tx, id string) (*loadRun, error) {
	run, known, err := l.runs[id], false, error(nil)
	for run == nil && !known && err == nil {
		run, known, err = l.begin(ctx, tx, id)
	}
	if run != nil {
		l.runs[id] = run
	}
	return run, err
}

const (
	// The session is deleted since ever, so that what is known of its id by
	// other ways, such as notifications, is not taken for its own.
	// It need not reach the disk before what follows does.
	hiddenSessionSQL = `
		WITH now_or_later AS MATERIALIZED (SELECT set_config('synchronous_commit', 'off', true))
		INSERT INTO sessions (id, deleted_at)
		SELECT $1, '-infinity'
		FROM now_or_later
		WHERE NOT EXISTS (SELECT FROM sessions WHERE id = $1 AND deleted_at IS NULL)
		RETURNING session`

	showSessionSQL = `
		UPDATE sessions
		SET deleted_at = NULL, updated_at = clock_timestamp()
		WHERE session = $1`

	// The lock keeps the records of a session that is being loaded from being
	// purged; see PurgeDeleted. No answer means that the leader is gone.
	holdSessionSQL = `
		SELECT session
		FROM sessions
		WHERE session = $1
		FOR KEY SHARE`
)

// begin locks the session if it is there, or makes a hidden one that this
// transaction will show. Whoever else wants to make one of that id waits for
// the transaction from now on. It may have to be tried again.
func (l *bulkLoad) begin(ctx context.Context, tx pgx.Tx, id string) (run *loadRun, known bool, err error) {
	var session, batch int32
	if err := tx.QueryRow(ctx, lockSessionSQL, id).Scan(&session, &batch); err != pgx.ErrNoRows {
		return nil, err == nil, err
	}
	if l.early.id == id && l.early.session != 0 {
		session, l.early.session = l.early.session, 0
	} else if session, err = l.hide(ctx, id); err != nil || session == 0 {
		return nil, false, err
	}
	var shown int64
	err = pgx.BeginFunc(ctx, tx, func(tx pgx.Tx) error {
		tag, err := tx.Exec(ctx, showSessionSQL, session)
		shown = tag.RowsAffected()
		return err
	})
	var pg *pgconn.PgError
	switch {
	case errors.As(err, &pg) && pg.Code == "23505": // somebody else has made it meanwhile
		return nil, false, nil
	case err != nil:
		return nil, false, err
	case shown == 0: // it was purged already
		return nil, false, nil
	}
	return &loadRun{session: session}, false, nil
}

// hide makes a hidden session, unless there is one of that id already. It is
// committed at once, since the crew must be able to lock its row.
func (l *bulkLoad) hide(ctx context.Context, id string) (session int32, err error) {
	err = l.store.pool.QueryRow(ctx, hiddenSessionSQL, id).Scan(&session)
	if err != nil && err != pgx.ErrNoRows {
		return 0, fmt.Errorf("hide session: %w", err)
	}
	return session, nil
}

// copy stores one chunk in a transaction of its own. It need not wait for the
// disk: the leader's commit comes later in the log and does.
func (l *bulkLoad) copy(ctx context.Context, job loadJob) error {
	g := job.group
	g.stamp(job.session, job.batch)
	var err error
	for range 3 { // making a chunk of the hypertable may deadlock with others who do
		err = schema.Tx(ctx, l.store.pool, func(ctx context.Context, tx pgx.Tx) error {
			var held int32
			var before pgx.Batch
			before.Queue("SET LOCAL synchronous_commit = off")
			// The server cannot see that who waits for the leader may keep us waiting.
			before.Queue("SET LOCAL lock_timeout = '1min'")
			before.Queue(holdSessionSQL, job.session).QueryRow(func(row pgx.Row) error { return row.Scan(&held) })
			queueLog(&before, g, job.session, job.batch, "", l.opt.Source)
			if err := tx.SendBatch(ctx, &before).Close(); err != nil {
				return fmt.Errorf("log batch: %w", err)
			}
			begun := time.Now()
			defer func() { l.copying.Add(int64(time.Since(begun))) }()
			return g.copyTo(ctx, tx)
		})
		if !deadlock(err) {
			break
		}
	}
	return err
}

// abandonPatience is how long a failed import cleans up after itself. What it
// does not manage is left to the daemon.
const abandonPatience = 5 * time.Second

// abandon removes what was loaded and never appeared.
func (l *bulkLoad) abandon(ctx context.Context) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), abandonPatience)
	defer cancel()
	if _, err := l.store.PurgeDeleted(ctx); err != nil {
		l.store.log.Info("the records of the failed import are invisible, and will be removed by the daemon", "error", err)
	}
}
