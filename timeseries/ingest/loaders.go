package ingest

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/jackc/pgerrcode"
	"github.com/jackc/pgx/v5"
	"golang.org/x/sync/errgroup"

	schema "github.com/ecovolt/telemetryd/sql"
	"github.com/ecovolt/telemetryd/timeseries/ingest/clock"
	"github.com/ecovolt/telemetryd/timeseries/ingest/cluster"
	"github.com/ecovolt/telemetryd/timeseries/ingest/pack"
)

// One connection copies no faster than one processor of the server works. A
// large file therefore goes in over several, each with its own transactions.
// It still appears whole or not at all: its records are loaded under the key
// of a session that counts as deleted, and one transaction, the upload's, ends
// that. Until it commits nobody finds the records; if it never does, they are
// removed like those of any deleted session, whether we or the server died.

// maxLoaders bounds the connections of one import. More of them would only
// wait for each other and keep live ingest waiting.
const maxLoaders = 4

// openMore has the pool open n connections, besides one that it usually has,
// until the function that it returns is called.
func (w *Writer) openMore(ctx context.Context, n int) (enough func()) {
	one, err := w.Pool.Acquire(ctx)
	if err != nil {
		return func() {} // whoever needs one will tell
	}
	for range n {
		go func() {
			if conn, err := w.Pool.Acquire(ctx); err == nil {
				conn.Release()
			}
		}()
	}
	return one.Release
}

// loaders copy an upload's batches of new sessions over connections of their own.
type loaders struct {
	upload      *upload
	connections int
	sessions    map[string]*loadedSession // by id
	packs       bool                      // records may go straight into the columnstore
	jobs        chan *share
	group       *errgroup.Group
	groupCtx    context.Context
	// joined says that the loaders have stopped, and that the upload's own
	// transaction stores all that follows.
	joined bool
	early  struct { // a hidden session that was made beforehand, or 0
		id      string
		session int32
	}
}

// loadedSession is a new session. Until the upload commits, it alone knows it.
type loadedSession struct {
	session int32
	batch   int32  // the newest batch
	total   extent // of all batches
	clock   clock.Clock
	aside   int          // records set aside
	parted  cluster.List // of the records; nil while they are one
	packed  pack.Order
}

// prepare hides the session of an upload that begins with one, as usual: now it
// takes no further connection.
func (l *loaders) prepare(ctx context.Context, first *block) (err error) {
	if ids := first.decoded.Sessions(); len(ids) == 1 {
		l.early.id = ids[0]
		l.early.session, err = l.hide(ctx, ids[0])
	}
	return err
}

// begin starts the loaders. The upload's transaction holds the new sessions and
// makes them appear.
func (l *loaders) begin(ctx context.Context, tx pgx.Tx) error {
	// It is idle while others copy, for as long as that takes.
	if _, err := tx.Exec(ctx, "SET LOCAL idle_in_transaction_session_timeout = 0"); err != nil {
		return err
	}
	var err error
	if l.packs, err = pack.Possible(ctx, tx); err != nil {
		return err
	}
	l.group, l.groupCtx = errgroup.WithContext(ctx)
	l.jobs = make(chan *share, l.connections) // none of them waits for the upload to decode
	for range l.connections {
		l.group.Go(func() error {
			for s := range l.jobs {
				if err := l.load(l.groupCtx, s); err != nil {
					return err
				}
			}
			return nil
		})
	}
	return nil
}

// end waits for the loaders when the upload was handed out, or could not be
// read on: err.
func (l *loaders) end(ctx context.Context, tx pgx.Tx, err error) error {
	if l.joined {
		return err
	}
	if loadErr := l.join(ctx, tx, err == nil); err == nil || errors.Is(err, errLoaders) {
		return loadErr
	}
	return err
}

// join waits for the loaders, and counts what they stored into the new sessions.
func (l *loaders) join(ctx context.Context, tx pgx.Tx, count bool) error {
	close(l.jobs)
	l.joined = true
	if err := l.group.Wait(); err != nil || !count {
		return err
	}
	var last pgx.Batch
	for _, s := range l.sessions {
		queueAdvance(&last, &s.total, &s.clock, s.aside, s.session, s.batch)
	}
	if err := tx.SendBatch(ctx, &last).Close(); err != nil {
		return fmt.Errorf("show sessions: %w", err)
	}
	for id, s := range l.sessions {
		l.upload.begun[id] = 1
		if s.parted == nil {
			continue
		}
		if err := l.upload.settle(ctx, tx, &share{id: id, session: s.session, batch: s.batch}, s.parted); err != nil {
			return fmt.Errorf("look for strays in session %q: %w", id, err)
		}
	}
	return nil
}

// errLoaders says that the loaders have stopped. Why is theirs to tell.
var errLoaders = errors.New("loading stopped")

// take gives a batch to whichever loader is free. It reports false for one of a
// session that was there before and must not change but by the upload's own
// transaction.
func (l *loaders) take(ctx context.Context, tx pgx.Tx, s *share) (taken bool, err error) {
	if l.joined {
		return false, nil
	}
	run, err := l.session(ctx, tx, s.id)
	if err != nil {
		return false, err
	}
	if run == nil {
		// Writing beside the loaders, this transaction could make a chunk of
		// the hypertable, which they would wait for in vain.
		return false, l.join(ctx, tx, true)
	}
	if err := s.checkDays(ctx, tx); err != nil {
		return false, err
	}
	run.batch++
	counts := s.extent.clone() // the reader uses its memory again
	if run.parted == nil && s.apart(run.total.bounds()) {
		run.parted = cluster.List{}
		if run.total.records > 0 {
			run.parted = cluster.List{{From: run.total.minMicros, To: run.total.maxMicros, Stored: run.total.records}}
		}
	}
	if run.parted != nil {
		fresh := freshClusters(s.rows, false)
		for i := range fresh {
			fresh[i].Stored, fresh[i].Fresh = fresh[i].Fresh, 0
		}
		run.parted = cluster.Join(run.parted, fresh)
	}
	run.total.merge(&counts)
	s.clock.Behind(&run.clock)
	run.clock.Follow(&s.clock, true)
	run.aside += s.aside()
	if counts.name != nil { // the newest batch's name counts
		run.total.name = counts.name
	}
	s.session, s.batch = run.session, run.batch
	s.packed = l.packs && len(s.rows) == 1 && run.packed.Take(s.rows[0].times(), time.Now())
	select {
	case l.jobs <- s:
	case <-l.groupCtx.Done():
		return true, errLoaders
	}
	l.upload.result.add(s.id, s.records+s.aside(), 0, run.batch)
	l.upload.result.setAside(s)
	return true, nil
}

// session returns the upload's session of an id, and begins it when it is new;
// nil for a session that was there before, which is then locked.
func (l *loaders) session(ctx context.Context, tx pgx.Tx, id string) (*loadedSession, error) {
	run, known, err := l.sessions[id], false, error(nil)
	for run == nil && !known && err == nil {
		run, known, err = l.beginSession(ctx, tx, id)
	}
	if run != nil {
		l.sessions[id] = run
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
	// purged. No answer means that the upload is gone.
	holdSessionSQL = `
		SELECT session
		FROM sessions
		WHERE session = $1
		FOR KEY SHARE`
)

// beginSession locks the session if it is there, or makes a hidden one that this
// transaction will show. Whoever else wants to make one of that id waits for
// the transaction from now on. It may have to be tried again.
func (l *loaders) beginSession(ctx context.Context, tx pgx.Tx, id string) (run *loadedSession, known bool, err error) {
	var there share
	if err := there.scan(tx.QueryRow(ctx, lockSessionSQL, id)); err != pgx.ErrNoRows {
		return nil, err == nil, err
	}
	var session int32
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
	switch {
	case schema.HasCode(err, pgerrcode.UniqueViolation): // somebody else has made it meanwhile
		return nil, false, nil
	case err != nil:
		return nil, false, err
	case shown == 0: // it was purged already
		return nil, false, nil
	}
	return &loadedSession{session: session}, false, nil
}

// hide makes a hidden session, unless there is one of that id already. It is
// committed at once, since the loaders must be able to lock its row.
func (l *loaders) hide(ctx context.Context, id string) (session int32, err error) {
	err = l.upload.Pool.QueryRow(ctx, hiddenSessionSQL, id).Scan(&session)
	if err != nil && err != pgx.ErrNoRows {
		return 0, fmt.Errorf("hide session: %w", err)
	}
	return session, nil
}

// load stores one batch in a transaction of its own. It need not wait for the
// disk: the upload's commit comes later in the log and does.
func (l *loaders) load(ctx context.Context, s *share) error {
	var err error
	for range 3 { // making a chunk of the hypertable may deadlock with others who do
		err = schema.Tx(ctx, l.upload.Pool, func(ctx context.Context, tx pgx.Tx) error {
			var held int32
			var before pgx.Batch
			before.Queue("SET LOCAL synchronous_commit = off")
			// The server cannot see that who waits for the upload may keep us waiting.
			before.Queue("SET LOCAL lock_timeout = '1min'")
			before.Queue(holdSessionSQL, s.session).QueryRow(func(row pgx.Row) error { return row.Scan(&held) })
			queueLog(&before, s, "", l.upload.opt)
			if s.packed {
				pack.Queue(&before)
			}
			if err := tx.SendBatch(ctx, &before).Close(); err != nil {
				return fmt.Errorf("log batch: %w", err)
			}
			return l.upload.copy(ctx, tx, s, s.rows...)
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
func (w *Writer) abandon(ctx context.Context) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), abandonPatience)
	defer cancel()
	w.Purge(ctx)
}
