package timeseries

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"github.com/ecovolt/telemetryd/internal/fault"
	schema "github.com/ecovolt/telemetryd/sql"
	"github.com/ecovolt/telemetryd/timeseries/decode"
)

// ChunkRecords is how many records of a stream are decoded and copied at once.
// Larger chunks gain nothing measurable; smaller ones pay more round trips.
// It must not change: the digests that recognise a repeated upload depend on
// where its chunks begin.
const ChunkRecords = 5_000

// IngestOptions say where a batch comes from and what to do with bad records.
type IngestOptions struct {
	// Source is the way in, for the commit log: function, rest, import, ...
	Source string
	// IdempotencyKey is the caller's own name for the batch, or "". The same
	// key with other records is a Conflict.
	IdempotencyKey string
	// SkipBad stores the good records of a batch with bad ones. Otherwise one
	// bad record rejects all.
	SkipBad bool
	// SkipExisting leaves out records that the session already holds: those with
	// the same time and the same value in every field that the new record has.
	SkipExisting bool
	// Admit, when not nil, is called by IngestStream once it knows the first
	// records and before it locks anything: the place to wait for the rest of
	// the stream, or for a turn.
	Admit func(context.Context) error
}

// IngestResult says what became of a batch or a stream of batches.
type IngestResult struct {
	Inserted      int // records stored now
	AlreadyStored int // records of batches that were stored before
	Rejected      int // bad records left out; only with SkipBad
	Problems      []fault.Problem
	Sessions      []SessionResult
}

// SessionResult is the part of an IngestResult that belongs to one session.
type SessionResult struct {
	ID            string `json:"session_id"`
	Inserted      int    `json:"inserted"`
	AlreadyStored int    `json:"already_stored"`
	Batch         int32  `json:"batch"` // watermark after the newest batch
}

func (r *IngestResult) add(id string, inserted, already int, batch int32) {
	r.Inserted += inserted
	r.AlreadyStored += already
	i := slices.IndexFunc(r.Sessions, func(s SessionResult) bool { return s.ID == id })
	if i < 0 {
		i = len(r.Sessions)
		r.Sessions = append(r.Sessions, SessionResult{ID: id})
	}
	r.Sessions[i].Inserted += inserted
	r.Sessions[i].AlreadyStored += already
	r.Sessions[i].Batch = max(r.Sessions[i].Batch, batch)
}

func (r *IngestResult) ids() []string {
	ids := make([]string, len(r.Sessions))
	for i, s := range r.Sessions {
		ids[i] = s.ID
	}
	return ids
}

// Ingest stores a batch in one transaction and returns after its commit. The
// batch is recognised when it comes again, by the digest of each session's
// records or by the idempotency key, and then counted as already stored.
func (s *Store) Ingest(ctx context.Context, b *decode.Batch, opt IngestOptions) (IngestResult, error) {
	defer s.uploads.Begin()()
	return s.ingest(ctx, b, opt)
}

func (s *Store) ingest(ctx context.Context, b *decode.Batch, opt IngestOptions) (IngestResult, error) {
	in := newIngest(opt)
	var err error
	for range 3 {
		in.reset()
		err = schema.Tx(ctx, s.pool, func(ctx context.Context, tx pgx.Tx) error {
			return in.store(ctx, tx, groups(b), b)
		})
		if !deadlock(err) {
			break
		}
	}
	return s.finish(in, err)
}

// IngestStream stores all records of a stream in one transaction, in bounded
// memory. Decoding and copying overlap. Nothing is stored when the stream ends
// in an error.
func (s *Store) IngestStream(ctx context.Context, dec *decode.Decoder, opt IngestOptions) (IngestResult, error) {
	first := decode.NewBatch()
	defer first.Release()
	err := dec.Next(first, blockRecords)
	if opt.Admit != nil && (err == nil || err == io.EOF) {
		if err := opt.Admit(ctx); err != nil {
			return IngestResult{}, err
		}
	}
	defer s.uploads.Begin()()
	if err == nil && overlaps(first, opt) {
		return s.ingestOverlapped(ctx, dec, first, opt)
	}
	if err == nil {
		err = dec.Next(first, ChunkRecords)
	}
	if err == io.EOF {
		return s.ingest(ctx, first, opt)
	}
	if err != nil {
		return IngestResult{}, withProblems(err, first)
	}
	in := newIngest(opt)
	err = schema.Tx(ctx, s.pool, func(ctx context.Context, tx pgx.Tx) error {
		if err := in.store(ctx, tx, groups(first), first); err != nil {
			return err
		}
		return in.rest(ctx, tx, dec)
	})
	return s.finish(in, err)
}

// finish announces what was committed, or explains the failure.
func (s *Store) finish(in *ingest, err error) (IngestResult, error) {
	if err != nil {
		return IngestResult{}, ingestError(err)
	}
	s.onCommit(in.result.ids()...)
	s.onIngest(IngestStats{
		Source: in.opt.Source, Inserted: in.result.Inserted, AlreadyStored: in.result.AlreadyStored,
		Took: time.Since(in.started), Copying: in.copying,
	})
	return in.result, nil
}

// ingest is one upload on its way into the database.
type ingest struct {
	opt     IngestOptions
	started time.Time
	copying time.Duration
	result  IngestResult
	chunk   int
	// chains makes the digest of a later chunk depend on all before it, so that
	// a file that repeats itself is stored whole, while a repeated file is not.
	chains map[string][sha256.Size]byte
	// existing is what SkipExisting must remember of each session.
	existing map[string]*existing
}

func newIngest(opt IngestOptions) *ingest {
	return &ingest{opt: opt, started: time.Now(), chains: map[string][sha256.Size]byte{}, existing: map[string]*existing{}}
}

func (in *ingest) reset() { *in = *newIngest(in.opt) }

type decoded struct {
	batch *decode.Batch
	err   error
}

// rest stores what follows the first chunk of a stream.
func (in *ingest) rest(ctx context.Context, tx pgx.Tx, dec *decode.Decoder) error {
	return eachChunk(ctx, dec, func(b *decode.Batch) error { return in.store(ctx, tx, groups(b), b) })
}

// eachChunk calls store with the chunks of a stream: while one is stored, the
// next one is decoded.
func eachChunk(ctx context.Context, dec *decode.Decoder, store func(*decode.Batch) error) error {
	ctx, cancel := context.WithCancel(ctx)
	chunks := make(chan decoded)
	done := make(chan struct{})
	go func() {
		defer close(done)
		defer close(chunks)
		for {
			b := decode.NewBatch()
			err := dec.Next(b, ChunkRecords)
			select {
			case chunks <- decoded{b, err}:
			case <-ctx.Done():
				b.Release()
				return
			}
			if err != nil {
				return
			}
		}
	}()
	// The decoder reads the caller's body: it must be at rest before we return.
	defer func() { cancel(); <-done }()

	for c := range chunks {
		var err error
		if c.err != nil && c.err != io.EOF {
			err = withProblems(c.err, c.batch)
		} else {
			err = store(c.batch)
		}
		c.batch.Release()
		if err != nil {
			return err
		}
	}
	return ctx.Err()
}

// noteBad takes the bad records of a batch into account.
func (in *ingest) noteBad(b *decode.Batch) error {
	if b.Rejected() == 0 {
		return nil
	}
	if !in.opt.SkipBad {
		return b.Err()
	}
	in.result.Rejected += b.Rejected()
	room := max(0, decode.MaxProblems-len(in.result.Problems))
	in.result.Problems = append(in.result.Problems, b.Problems()[:min(room, len(b.Problems()))]...)
	return nil
}

// store writes one decoded batch, already split into groups.
func (in *ingest) store(ctx context.Context, tx pgx.Tx, groups []*group, b *decode.Batch) error {
	if err := in.noteBad(b); err != nil {
		return err
	}
	key := in.opt.IdempotencyKey
	if key != "" && in.chunk > 0 {
		key = fmt.Sprintf("%s#%d", key, in.chunk)
	}
	for _, g := range inLockingOrder(groups) {
		in.link(g)
		if err := in.storeGroup(ctx, tx, b, g, key); err != nil {
			return fmt.Errorf("store batch of session %q: %w", g.sessionID, err)
		}
	}
	in.chunk++
	return nil
}

// inLockingOrder sorts groups by session: all writers lock sessions in one
// order, so that batches cannot deadlock.
func inLockingOrder(groups []*group) []*group {
	slices.SortFunc(groups, func(x, y *group) int { return strings.Compare(x.sessionID, y.sessionID) })
	return groups
}

// link chains the digest of a group to that of the session's chunk before it.
func (in *ingest) link(g *group) {
	if chain, ok := in.chains[g.sessionID]; ok {
		g.digest = sha256.Sum256(append(chain[:], g.digest[:]...))
	}
	in.chains[g.sessionID] = g.digest
}

const (
	lockSessionSQL = `
		SELECT session, batch
		FROM sessions
		WHERE id = $1 AND deleted_at IS NULL
		FOR UPDATE`

	// This runs after the lock was won, as a statement of its own: its snapshot
	// then sees what the lock's last holder committed.
	findBatchSQL = `
		SELECT b.batch, b.digest = $2
		FROM sessions s
		JOIN ingest_batches b ON b.session = s.session AND b.digest = $2
		WHERE s.id = $1 AND s.deleted_at IS NULL
		UNION ALL
		SELECT b.batch, b.digest = $2
		FROM sessions s
		JOIN ingest_batches b ON b.session = s.session AND b.idempotency_key = $3
		WHERE s.id = $1 AND s.deleted_at IS NULL
		LIMIT 1`

	newSessionSQL = `
		INSERT INTO sessions (id)
		VALUES ($1)
		ON CONFLICT (id) WHERE deleted_at IS NULL DO NOTHING`

	advanceSessionSQL = `
		UPDATE sessions
		SET batch      = $2,
		    records    = records + $3,
		    name       = coalesce($4, name),
		    first_text = CASE WHEN first_time IS NULL OR $5 < first_time THEN $6 ELSE first_text END,
		    first_time = least(first_time, $5),
		    last_text  = CASE WHEN last_time IS NULL OR $7 >= last_time THEN $8 ELSE last_text END,
		    last_time  = greatest(last_time, $7),
		    updated_at = clock_timestamp()
		WHERE session = $1`

	logBatchSQL = `
		INSERT INTO ingest_batches (session, batch, digest, idempotency_key, min_time, max_time, records, source)
		VALUES ($1, $2, $3, $4, $5, $6, $7, $8)`
)

func (in *ingest) storeGroup(ctx context.Context, tx pgx.Tx, b *decode.Batch, g *group, key string) error {
	session, watermark, known, err := lockSession(ctx, tx, g, key)
	if err != nil {
		return err
	}
	if known != nil {
		if !known.same {
			return fault.New(fault.Conflict, "the idempotency key %q was used for other records", fault.Clip(key))
		}
		if !in.opt.SkipExisting {
			in.result.add(g.sessionID, 0, g.records, known.batch)
			return nil
		}
	}
	if in.opt.SkipExisting {
		// Also for a known batch: its records must not stand for later ones.
		fresh, err := in.skipExisting(ctx, tx, b, g, session, watermark)
		if err != nil {
			return err
		}
		if known != nil {
			fresh = &group{}
		}
		in.result.add(g.sessionID, 0, g.records-fresh.records, watermark)
		if g = fresh; g.records == 0 {
			return nil
		}
	}
	batch := watermark + 1
	g.stamp(session, batch)
	begun := time.Now()
	err = g.copyTo(ctx, tx)
	in.copying += time.Since(begun)
	if err != nil {
		return err
	}
	if err := in.log(ctx, tx, g, session, batch, key); err != nil {
		return err
	}
	in.result.add(g.sessionID, g.records, 0, batch)
	return nil
}

// log moves the session's watermark to the batch and enters it in the commit log.
func (in *ingest) log(ctx context.Context, tx pgx.Tx, g *group, session, batch int32, key string) error {
	var last pgx.Batch
	queueAdvance(&last, g, session, batch)
	queueLog(&last, g, session, batch, key, in.opt.Source)
	if err := tx.SendBatch(ctx, &last).Close(); err != nil {
		return fmt.Errorf("log batch: %w", err)
	}
	return nil
}

// queueAdvance counts a group's records into their session.
func queueAdvance(b *pgx.Batch, g *group, session, batch int32) {
	b.Queue(advanceSessionSQL, session, batch, g.records, optional(g.name),
		time.UnixMicro(g.minMicros), optional(g.minText), time.UnixMicro(g.maxMicros), optional(g.maxText))
}

// queueLog enters a group in the commit log.
func queueLog(b *pgx.Batch, g *group, session, batch int32, key, source string) {
	b.Queue(logBatchSQL, session, batch, g.digest[:], optional([]byte(key)),
		time.UnixMicro(g.minMicros), time.UnixMicro(g.maxMicros), g.records, source)
}

type knownBatch struct {
	batch int32
	same  bool
}

// lockSession locks the session's row, making it if need be, and looks the
// batch up in the commit log.
func lockSession(ctx context.Context, tx pgx.Tx, g *group, key string) (session, watermark int32, known *knownBatch, err error) {
	for {
		var batch pgx.Batch
		found := false
		batch.Queue(lockSessionSQL, g.sessionID).Query(func(rows pgx.Rows) error {
			for rows.Next() {
				found = true
				if err := rows.Scan(&session, &watermark); err != nil {
					return err
				}
			}
			return rows.Err()
		})
		batch.Queue(findBatchSQL, g.sessionID, g.digest[:], optional([]byte(key))).Query(func(rows pgx.Rows) error {
			for rows.Next() {
				known = new(knownBatch)
				if err := rows.Scan(&known.batch, &known.same); err != nil {
					return err
				}
			}
			return rows.Err()
		})
		if err := tx.SendBatch(ctx, &batch).Close(); err != nil {
			return 0, 0, nil, fmt.Errorf("lock session: %w", err)
		}
		if found {
			return session, watermark, known, nil
		}
		if _, err := tx.Exec(ctx, newSessionSQL, g.sessionID); err != nil {
			return 0, 0, nil, fmt.Errorf("new session: %w", err)
		}
	}
}

// optional gives nil, SQL's NULL, for an empty text.
func optional(text []byte) *string {
	if len(text) == 0 {
		return nil
	}
	s := string(text)
	return &s
}

// withProblems adds what the batch noted before the stream became unreadable.
func withProblems(err error, b *decode.Batch) error {
	if f := fault.As(err); f != nil && len(b.Problems()) > 0 {
		f.Problems = append(slices.Clone(b.Problems()), f.Problems...)
	}
	return err
}

func deadlock(err error) bool {
	var pg *pgconn.PgError
	return errors.As(err, &pg) && (pg.Code == "40P01" || pg.Code == "40001" || pg.Code == "55P03")
}

// ingestError turns the database's refusal of a value (SQLSTATE class 22) into
// an Invalid fault. Validation should have found it first. Uploads of several
// chunks may wait for each other in a circle; the one that is sent away may
// come again.
func ingestError(err error) error {
	if deadlock(err) {
		return &fault.Error{Kind: fault.Unavailable, RetryAfter: time.Second, Err: err,
			Message: "another upload to the same sessions was in the way; try again"}
	}
	var pg *pgconn.PgError
	if errors.As(err, &pg) && strings.HasPrefix(pg.Code, "22") {
		return &fault.Error{Kind: fault.Invalid, Message: "a value cannot be stored: " + pg.Message, Err: err}
	}
	return err
}
