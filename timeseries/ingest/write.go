package ingest

import (
	"bytes"
	"cmp"
	"context"
	"crypto/sha256"
	"fmt"
	"io"
	"slices"
	"sync/atomic"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgtype"

	schema "github.com/ecovolt/telemetryd/sql"
	"github.com/ecovolt/telemetryd/timeseries/ingest/aside"
	"github.com/ecovolt/telemetryd/timeseries/ingest/clock"
	"github.com/ecovolt/telemetryd/timeseries/ingest/repeat"
	"github.com/ecovolt/telemetryd/timeseries/record"
)

// upload is one upload on its way into the database.
type upload struct {
	*Writer
	reader    *reader
	opt       Options
	result    Result
	claimed   bool                      // the upload's key was looked up
	keyUsed   bool                      // by an upload before
	keyUpload []byte                    // its sum, where that is known
	missing   []string                  // sessions that it had and that are gone
	existing  map[string]*repeat.Held   // what SkipExisting must remember of each session
	repeats   map[string]*repeat.Repeat // what is known of each session
	formOne   map[string]digest         // of the session's chunk before, where it has batches of form 1
	begun     map[string]int32          // the first batch of each session that this upload stores
	tookOut   bool                      // stored records were set aside, with the batch that is on its way
	copying   atomic.Int64              // nanoseconds
	// loaders copy what belongs to new sessions; nil where this transaction
	// copies everything.
	loaders *loaders
}

// share is what a chunk has of one session: a batch.
type share struct {
	extent
	clock  clock.Clock
	id     string
	rows   []*copyRows // of the chunk's blocks
	digest digest
	back   aside.Surplus // of records that come back
	packed bool          // it goes straight into the columnstore
	// Once the session is locked:
	session, batch int32
	before         stored
	returned       int     // thereof records that come back from where they were set aside
	old            bool    // the session has batches of form 1
	known          *int32  // the batch as which it was stored before
	formOne        *digest // as the versions took it that wrote form 1; nil unless needed
}

// stored is what a session holds before a batch.
type stored struct {
	records     int
	first, last *time.Time
	clock       clock.Clock // no steps
	clustered   bool        // it has, or may have, several clusters
	odd         bool        // some of its records are, or were, set aside
}

// take puts rows into the share, in the place of others.
func (s *share) take(rows []*copyRows) {
	s.rows, s.extent, s.clock = rows, extent{}, clock.Clock{}
	for _, r := range rows {
		s.merge(&r.extent)
		s.clock.Follow(&r.clock, true)
	}
}

// aside is how many of the records are set aside.
func (s *share) aside() (n int) {
	for _, r := range s.rows {
		n += len(r.aside)
	}
	return n
}

// run stores the whole upload in one transaction.
func (u *upload) run(ctx context.Context, tx pgx.Tx) (err error) {
	if u.loaders != nil {
		if err := u.loaders.begin(ctx, tx); err != nil {
			return err
		}
		defer func() { err = u.loaders.end(ctx, tx, err) }()
	}
	for {
		err := u.storeChunk(ctx, tx)
		if err == io.EOF {
			return u.conclude(ctx, tx)
		}
		if err != nil {
			return err
		}
	}
}

func (u *upload) storeChunk(ctx context.Context, tx pgx.Tx) error {
	b, err := u.next(ctx)
	if err != nil {
		return err
	}
	if b.digests == nil {
		return u.storeBlocks(ctx, tx, b)
	}
	var shares []*share
	for _, r := range b.rows {
		s := &share{id: r.id(), digest: b.digests[r.id()]}
		s.take([]*copyRows{r})
		shares = append(shares, s)
	}
	return u.storeShares(ctx, tx, shares)
}

// storeShares stores a chunk whose digests are known.
func (u *upload) storeShares(ctx context.Context, tx pgx.Tx, shares []*share) error {
	if len(shares) == 0 {
		return nil
	}
	if err := u.claimKey(ctx, tx); err != nil {
		return err
	}
	// All writers lock sessions in one order, and all of them before they copy,
	// which may lock the hypertable. An upload of several chunks holds the
	// sessions of those before, so two may still deadlock: one is begun again.
	slices.SortFunc(shares, func(x, y *share) int { return cmp.Compare(x.id, y.id) })
	var mine []*share
	for _, s := range shares {
		if u.loaders != nil {
			if taken, err := u.loaders.take(ctx, tx, s); err != nil {
				return fmt.Errorf("load records of session %q: %w", s.id, err)
			} else if taken {
				continue
			}
		}
		if err := s.lock(ctx, tx, func(b *pgx.Batch) { s.find(b, s.digest) }); err != nil {
			return fmt.Errorf("session %q: %w", s.id, err)
		}
		if err := u.findFormOne(ctx, tx, s); err != nil {
			return fmt.Errorf("session %q: %w", s.id, err)
		}
		mine = append(mine, s)
	}
	for _, s := range mine {
		if err := u.storeShare(ctx, tx, s); err != nil {
			return fmt.Errorf("store records of session %q: %w", s.id, err)
		}
	}
	return nil
}

// storeShare stores what a chunk has of a session that is locked.
func (u *upload) storeShare(ctx context.Context, tx pgx.Tx, s *share) error {
	if s.known == nil && u.keyUsed {
		if u.keyUpload == nil {
			return u.keyConflict()
		}
		u.missing = append(u.missing, s.id)
		u.result.add(s.id, 0, s.records+s.aside(), s.batch-1)
		return nil
	}
	if s.known != nil {
		if err := s.rename(ctx, tx); err != nil {
			return err
		}
		if !u.opt.SkipExisting {
			u.recognised(s)
			u.result.add(s.id, 0, s.records+s.aside(), *s.known)
			return nil
		}
	}
	if u.opt.SkipExisting {
		// Also for a known batch: its records must not stand for later ones.
		sent := s.records + s.aside()
		if err := u.skipExisting(ctx, tx, s); err != nil {
			return err
		}
		if s.known != nil {
			s.records, s.rows = 0, nil
		}
		left := s.records + s.aside()
		u.result.add(s.id, 0, sent-left, s.batch-1)
		if left == 0 {
			return nil
		}
	}
	if s.unusual() {
		if err := u.settleShare(ctx, tx, s); err != nil {
			return err
		}
	}
	if err := s.checkDays(ctx, tx); err != nil {
		return err
	}
	if err := u.copy(ctx, tx, s, s.rows...); err != nil {
		return err
	}
	return u.log(ctx, tx, s)
}

// copy stores rows of a locked session.
func (u *upload) copy(ctx context.Context, tx pgx.Tx, s *share, rows ...*copyRows) error {
	begun := time.Now()
	defer func() { u.copying.Add(int64(time.Since(begun))) }()
	for _, r := range rows {
		if r.stamp(s.session, s.batch); r.records == 0 {
			continue
		}
		stored, err := Copy(ctx, tx, "telemetry", &r.layout, bytes.NewReader(r.data))
		if err != nil {
			return err
		}
		if err := allStored(stored, r.records); err != nil {
			return err
		}
	}
	return nil
}

const (
	// Batches of form 1 come before those of form 2: the first one tells.
	lockSessionSQL = `
		SELECT session, batch + 1, records, first_time, last_time, arrived_time, coalesce(arrived_message, 0),
		       EXISTS (SELECT FROM clusters c WHERE c.session = sessions.session),
		       set_aside > 0 OR EXISTS (SELECT FROM repaired r WHERE r.session = sessions.session),
		       EXISTS (
			SELECT FROM ingest_batches b
			WHERE b.session = sessions.session AND b.batch = 1 AND b.form = 1)
		FROM sessions
		WHERE id = $1 AND deleted_at IS NULL
		FOR UPDATE`

	newSessionSQL = `
		INSERT INTO sessions (id)
		VALUES ($1)
		ON CONFLICT (id) WHERE deleted_at IS NULL DO NOTHING`

	// This runs after the lock was won, as a statement of its own: its snapshot
	// then sees what the lock's last holder committed.
	findBatchSQL = `
		SELECT b.batch
		FROM sessions s
		JOIN ingest_batches b USING (session)
		WHERE s.id = $1 AND s.deleted_at IS NULL AND b.digest = $2`

	advanceSessionSQL = `
		UPDATE sessions
		SET batch      = $2,
		    records    = records + $3,
		    set_aside  = set_aside + $9,
		    name       = CASE WHEN named THEN name ELSE coalesce($4, name) END,
		    first_text = CASE WHEN first_time IS NULL OR $5 < first_time THEN $6 ELSE first_text END,
		    first_time = least(first_time, $5),
		    last_text  = CASE WHEN last_time IS NULL OR $7 >= last_time THEN $8 ELSE last_text END,
		    last_time  = greatest(last_time, $7),
		    arrived_time    = coalesce($10, arrived_time),
		    arrived_message = CASE WHEN $10 IS NULL THEN arrived_message ELSE $11 END,
		    clock_steps     = clock_steps + $12,
		    carried         = CASE WHEN carried_batch = batch THEN carried | $13 END,
		    carried_batch   = CASE WHEN carried_batch = batch THEN $2 ELSE carried_batch END,
		    updated_at = clock_timestamp()
		WHERE session = $1`

	logBatchSQL = `
		INSERT INTO ingest_batches (session, batch, digest, form, idempotency_key, min_time, max_time, records, source, from_file, set_aside, members, no_channels)
		VALUES ($1, $2, $3, 2, $4, $5, $6, $7, $8, $9, $10, $11, nullif($12, false))`
)

// lock locks the session's row, making it if need be, and numbers the batch. In
// the same round trip it asks what else is queued.
func (s *share) lock(ctx context.Context, tx pgx.Tx, more func(*pgx.Batch)) error {
	for {
		var batch pgx.Batch
		found := false
		batch.Queue(lockSessionSQL, s.id).QueryRow(func(row pgx.Row) error {
			err := s.scan(row)
			found = err == nil
			return ifThere(err)
		})
		more(&batch)
		if err := tx.SendBatch(ctx, &batch).Close(); err != nil {
			return fmt.Errorf("lock session: %w", err)
		}
		if found {
			return nil
		}
		if _, err := tx.Exec(ctx, newSessionSQL, s.id); err != nil {
			return fmt.Errorf("new session: %w", err)
		}
	}
}

// scan reads what lockSessionSQL found.
func (s *share) scan(row pgx.Row) error {
	var arrived *time.Time
	var message int64
	b := stored{}
	err := row.Scan(&s.session, &s.batch, &b.records, &b.first, &b.last, &arrived, &message, &b.clustered, &b.odd, &s.old)
	if arrived != nil {
		b.clock = clock.At(*arrived, message)
	}
	s.before = b
	return err
}

// find looks a batch of the session, which is locked, up in its commit log.
func (s *share) find(b *pgx.Batch, d digest) {
	b.Queue(findBatchSQL, s.id, d[:]).QueryRow(func(row pgx.Row) error {
		var known int32
		err := row.Scan(&known)
		if err == nil {
			s.known = &known
		}
		return ifThere(err)
	})
}

// ifThere is the error of reading a row that need not be there.
func ifThere(err error) error {
	if err == pgx.ErrNoRows {
		return nil
	}
	return err
}

// findFormOne looks a batch up that the commit log does not know by its digest,
// by the digest of the versions that wrote form 1: over the time and the values
// of the records that they took, not over the text.
func (u *upload) findFormOne(ctx context.Context, tx pgx.Tx, s *share) error {
	if !s.old {
		return nil
	}
	if s.formOne == nil {
		hash := sha256.New()
		var canonical []byte
		for _, r := range s.rows {
			for i := range r.indexes() {
				if v := r.batch.Record(i); v.Odd == "" || v.Odd == record.TooEarly && v.Micros >= formOneEarliest {
					canonical = v.AppendCanonical(canonical[:0])
					hash.Write(canonical)
				}
			}
		}
		d := digest(hash.Sum(nil))
		if chain, ok := u.formOne[s.id]; ok {
			d = sha256.Sum256(append(chain[:], d[:]...))
		}
		u.formOne[s.id], s.formOne = d, &d
	}
	if s.known != nil {
		return nil
	}
	var find pgx.Batch
	s.find(&find, *s.formOne)
	if err := tx.SendBatch(ctx, &find).Close(); err != nil {
		return fmt.Errorf("find batch: %w", err)
	}
	return nil
}

// formOneEarliest is the first time that a record could have.
var formOneEarliest = time.Date(2000, 1, 1, 0, 0, 0, 0, time.UTC).UnixMicro()

// log moves the session's watermark to the batch and enters it in the commit log.
func (u *upload) log(ctx context.Context, tx pgx.Tx, s *share) error {
	_, again := u.begun[s.id]
	first := u.began(s)
	u.begun[s.id] = first
	way := s.before.clock
	way.Follow(&s.clock, again)
	s.clock = way
	if err := u.countRepeats(ctx, tx, s, first); err != nil {
		return fmt.Errorf("look for the instants of an upload: %w", err)
	}
	key := ""
	if !again {
		key = u.opt.IdempotencyKey
	}
	var last pgx.Batch
	queueLog(&last, s, key, u.opt)
	queueAdvance(&last, &s.extent, &s.clock, s.aside()-s.returned, s.session, s.batch)
	if err := schema.Later(ctx, tx, &last); err != nil {
		return fmt.Errorf("log batch: %w", err)
	}
	u.result.add(s.id, s.records-s.returned+s.aside(), 0, s.batch)
	u.result.setAside(s)
	return nil
}

// queueAdvance counts records, and those set aside, into their session.
func queueAdvance(b *pgx.Batch, e *extent, c *clock.Clock, aside int, session, batch int32) {
	first, last := e.bounds()
	arrived, message, back := c.Newest()
	b.Queue(advanceSessionSQL, session, batch, e.records, optional(e.name),
		first, optional(e.minText), last, optional(e.maxText), aside, arrived, message, back, pgtype.Bits{Bytes: e.carried.Bits(), Len: 128, Valid: true})
}

// queueLog enters a batch in the commit log, and what is set aside of it beside it.
func queueLog(b *pgx.Batch, s *share, key string, opt Options) {
	first, last := s.bounds()
	b.Queue(logBatchSQL, s.session, s.batch, s.digest[:], optional([]byte(key)), first, last, s.records, opt.Source, opt.File, s.aside(),
		slices.ContainsFunc(s.rows, func(r *copyRows) bool { return r.layout.Extra || r.layout.Numbers }), opt.NoChannels)
	s.clock.QueueSteps(b, s.session, s.batch)
	for _, r := range s.rows {
		aside.Queue(b, s.session, s.batch, opt.Source, r.aside)
		r.surplus.Queue(b, s.session, s.batch, opt.Source)
	}
	s.back.Queue(b, s.session, s.batch, opt.Source)
}
