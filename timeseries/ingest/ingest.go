package ingest

import (
	"context"
	"errors"
	"log/slog"
	"runtime"
	"slices"
	"strings"
	"time"

	"github.com/jackc/pgerrcode"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/ecovolt/telemetryd/internal/fault"
	"github.com/ecovolt/telemetryd/internal/load"
	schema "github.com/ecovolt/telemetryd/sql"
	"github.com/ecovolt/telemetryd/timeseries/decode"
	"github.com/ecovolt/telemetryd/timeseries/ingest/repeat"
	"github.com/ecovolt/telemetryd/timeseries/places"
)

// Options say where a batch comes from and what to do with bad records.
type Options struct {
	// Source is the way in, for the commit log: function, rest, import, ...
	Source string
	// IdempotencyKey is the caller's own name for the batch, or "". The same
	// key with other records is a Conflict.
	IdempotencyKey string
	// SkipBad stores the good records of a batch with bad ones. Otherwise one
	// bad record rejects all.
	SkipBad bool
	// SkipExisting leaves out records that the session already holds: those of
	// the same time that share a member with the new record, have the same value
	// in all they share, and lack nothing that was measured. What bridge and
	// dashboards work out of the measurements does not count.
	SkipExisting bool
	// File says that the records come out of a file, not from a car that drives
	// now: what the server's clock says tells nothing of theirs.
	File bool
	// NoChannels says that members which nobody knows are to make no channels.
	NoChannels bool
	// Repeats says what becomes of an upload that is probably a drive which is
	// there already: all but a twentieth of its instants are a session's that it
	// adds to, or of that session's records lie at them. For a file that names no
	// run, the other runs of the same time are looked at, too.
	Repeats Repeats
	// Content, when not nil, tells of the file that the records come out of; it is
	// called when all of it was read. A file that its run has already, as other
	// records than it makes now, is a Conflict fault with the code KNOWN_FILE.
	Content func() *Content
	// Admit, when not nil, is called by IngestStream once it knows the first
	// records and before it locks anything: the place to wait for the rest of
	// the stream, or for a turn.
	Admit func(context.Context) error
}

// Result says what became of an upload.
type Result struct {
	Inserted      int // records taken in now: stored, or set aside
	SetAside      int // thereof records whose time cannot be right
	AlreadyStored int // records of batches that were stored before
	Rejected      int // bad records left out; only with SkipBad
	Problems      []fault.Problem
	Odd           []fault.Problem // of the records and members set aside, the first hundred
	Sessions      []SessionResult
}

// SessionResult is the part of a Result that belongs to one session.
type SessionResult struct {
	ID            string `json:"session_id"`
	Inserted      int    `json:"inserted"`
	AlreadyStored int    `json:"already_stored"`
	Batch         int32  `json:"batch"` // watermark after the newest batch
	SetAside      int    `json:"set_aside"`
	// Repeat is not nil where the records may be of a drive that is there already.
	Repeat *repeat.Repeat `json:"repeat,omitempty"`
}

func (r *Result) add(id string, inserted, already int, batch int32) {
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

// moveAside accounts for records of the upload that are strays as of a later
// chunk, or, with n below zero, are none any more.
func (r *Result) moveAside(id string, n int) {
	r.SetAside += n
	i := slices.IndexFunc(r.Sessions, func(of SessionResult) bool { return of.ID == id })
	if i >= 0 {
		r.Sessions[i].SetAside += n
	}
}

// dropOdd takes a record off the list of odd ones.
func (r *Result) dropOdd(reason string) {
	if i := slices.IndexFunc(r.Odd, func(p fault.Problem) bool { return p.Reason == reason }); i >= 0 {
		r.Odd = slices.Delete(r.Odd, i, i+1)
	}
}

// setAside accounts for the records of a batch that were set aside.
func (r *Result) setAside(s *share) {
	i := slices.IndexFunc(r.Sessions, func(of SessionResult) bool { return of.ID == s.id })
	for _, rows := range s.rows {
		for _, odd := range rows.aside {
			r.SetAside++
			r.Sessions[i].SetAside++
			r.tellOdd(odd.Problem())
		}
		for _, p := range rows.surplus.Problems {
			r.tellOdd(p)
		}
	}
}

// Stats is what an upload cost.
type Stats struct {
	Source        string
	Inserted      int           // records stored
	SetAside      int           // records set aside
	Rejected      int           // records that were bad, or that came with bad ones
	AlreadyStored int           // records recognised as stored before
	Took          time.Duration // from the first decoded record to after the commit; 0 when it was refused
	Copying       time.Duration // thereof in COPY
}

// Writer stores uploads. All of its members but Purge are required.
type Writer struct {
	Pool *pgxpool.Pool
	// InFlight counts the uploads that are being stored.
	InFlight *load.InFlight
	// OnCommit is called after a batch of these sessions was committed.
	OnCommit func(sessionIDs ...string)
	// OnIngest is told of every upload that was committed or refused.
	OnIngest func(Stats)
	// Log takes a line for each upload with bad or odd records.
	Log *slog.Logger
	// Purge removes what an import that failed has loaded.
	Purge func(context.Context)
	// Forget has what is derived from a session's records follow when those of a
	// range of time, ends included, are taken out other than by a batch.
	Forget func(ctx context.Context, tx pgx.Tx, session int32, from, to time.Time) error
	// Places are where numbers of members without a column are.
	Places *places.Places
}

// Ingest stores a batch in one transaction and returns after its commit. The
// batch is recognised when it comes again, by the digest of each session's
// records or by the idempotency key, and then counted as already stored.
//
// Bad records and values that the database refuses are Invalid faults, another
// use of the idempotency key is a Conflict, and an upload that others were in
// the way of is Unavailable.
func (w *Writer) Ingest(ctx context.Context, b *decode.Batch, opt Options) (Result, error) {
	return w.write(ctx, w.single(ctx, b, opt), opt, 0)
}

// IngestStream stores all records of a stream in one transaction, in bounded
// memory. Decoding and copying overlap. Nothing is stored when the stream ends
// in an error; errors are those of Ingest.
func (w *Writer) IngestStream(ctx context.Context, dec *decode.Decoder, opt Options) (Result, error) {
	// What is stored depends on records that the session holds, or on a key that
	// is looked up with the digest: blocks would be copied in vain.
	whole := opt.SkipExisting || opt.IdempotencyKey != ""
	return w.write(ctx, w.read(ctx, dec, opt, whole), opt, 0)
}

// Import is IngestStream for files: its result is the same, and it copies over
// several connections where a session is new and the stream has more than one
// chunk. One import at a time may run on a pool.
func (w *Writer) Import(ctx context.Context, dec *decode.Decoder, opt Options) (Result, error) {
	opt.File = true
	loaders := min(maxLoaders, max(2, runtime.GOMAXPROCS(0)), int(w.Pool.Config().MaxConns)-2)
	if loaders < 2 || opt.IdempotencyKey != "" {
		return w.IngestStream(ctx, dec, opt)
	}
	r := w.read(ctx, dec, opt, true)
	enough := w.openMore(ctx, loaders)
	_ = r.begin(ctx) // write tells
	enough()
	return w.write(ctx, r, opt, loaders)
}

func (w *Writer) parts(ctx context.Context, opt Options) places.Parts {
	return w.Places.Parts(ctx, w.Pool, !opt.NoChannels)
}

// write stores what a reader reads, over that many connections besides its own.
func (w *Writer) write(ctx context.Context, r *reader, opt Options, connections int) (Result, error) {
	defer r.close()
	if err := r.begin(ctx); err != nil {
		return Result{}, w.Refused(opt, err)
	}
	if opt.Admit != nil {
		if err := opt.Admit(ctx); err != nil {
			return Result{}, w.Refused(opt, err)
		}
	}
	close(r.admitted)
	defer w.InFlight.Begin()()
	started := time.Now()
	var u *upload
	var err error
	for range 3 {
		u = &upload{Writer: w, reader: r, opt: opt, existing: map[string]*repeat.Held{}, repeats: map[string]*repeat.Repeat{}, formOne: map[string]digest{}, begun: map[string]int32{}}
		if connections > 0 && !r.chunk[0].end {
			u.loaders = &loaders{upload: u, connections: connections, sessions: map[string]*loadedSession{}}
			err = u.loaders.prepare(ctx, r.chunk[0])
		}
		if err == nil {
			err = schema.Tx(ctx, w.Pool, u.run)
		}
		if !deadlock(err) || u.loaders != nil || !r.rewind() {
			break
		}
	}
	if err != nil {
		if u.loaders != nil {
			w.abandon(ctx)
		}
		return Result{}, w.Refused(opt, explain(err))
	}
	if u.result.SetAside+u.result.Rejected+len(u.result.Odd) > 0 {
		first := "strays, see the list of records set aside"
		if named := append(slices.Clone(u.result.Odd), u.result.Problems...); len(named) > 0 {
			first = named[0].String()
		}
		w.Log.Warn("an upload has records, or members of some, that were not stored", "source", opt.Source, "sessions", ids(u.result.Sessions),
			"set_aside", u.result.SetAside, "rejected", u.result.Rejected, "first", first)
	}
	w.OnCommit(ids(u.result.Sessions)...)
	w.OnIngest(Stats{
		Source: opt.Source, Inserted: u.result.Inserted - u.result.SetAside, SetAside: u.result.SetAside, Rejected: u.result.Rejected, AlreadyStored: u.result.AlreadyStored,
		Took: time.Since(started), Copying: time.Duration(u.copying.Load()),
	})
	return u.result, nil
}

func ids(sessions []SessionResult) []string {
	list := make([]string, len(sessions))
	for i, s := range sessions {
		list[i] = s.ID
	}
	return list
}

// Refused leaves a trace of an upload whose records are not acceptable, in log
// and figures, and returns the error. It is for who decodes records to store.
func (w *Writer) Refused(opt Options, err error) error {
	if f := fault.As(err); f != nil && (f.Kind == fault.Invalid || f.Kind == fault.TooLarge || f.Kind == fault.Conflict) {
		w.Log.Warn("an upload was refused", "source", opt.Source, "error", err)
		w.OnIngest(Stats{Source: opt.Source, Rejected: max(1, len(f.Problems))})
	}
	return err
}

func deadlock(err error) bool {
	return schema.HasCode(err, pgerrcode.DeadlockDetected, pgerrcode.SerializationFailure, pgerrcode.LockNotAvailable)
}

// explain turns the database's refusal of a value (SQLSTATE class 22) into an
// Invalid fault. Validation should have found it first. Uploads of several
// chunks may wait for each other in a circle; the one that is sent away may
// come again.
func explain(err error) error {
	if deadlock(err) {
		busy := fault.Busy("another upload to the same sessions was in the way; try again")
		busy.Err = err
		return busy
	}
	var pg *pgconn.PgError
	if errors.As(err, &pg) && strings.HasPrefix(pg.Code, "22") {
		return &fault.Error{Kind: fault.Invalid, Message: "a value cannot be stored: " + pg.Message, Err: err}
	}
	return err
}
