package merge

import (
	"bytes"
	"context"
	"crypto/sha256"
	"fmt"
	"io"
	"slices"
	"sort"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/ecovolt/telemetryd/internal/fault"
	schema "github.com/ecovolt/telemetryd/sql"
	"github.com/ecovolt/telemetryd/timeseries/channel"
	"github.com/ecovolt/telemetryd/timeseries/decode"
	"github.com/ecovolt/telemetryd/timeseries/ingest"
	"github.com/ecovolt/telemetryd/timeseries/ingest/aside"
	"github.com/ecovolt/telemetryd/timeseries/record"
)

// Merger merges loggers' files into runs. All of its members are required.
type Merger struct {
	// Writer is how an upload is stored; it is told of merges as of uploads.
	Writer *ingest.Writer
	// MaxRecords bounds the records of a file and those of a run: about 150 bytes
	// of memory are taken for each.
	MaxRecords int
}

// Options say how to merge.
type Options struct {
	Session string // id of the run
	File    string // name of the file, for the list of merges
	// Offset is added to the logger's times; nil finds it by correlation.
	Offset *time.Duration
	// SkipBad leaves bad records of the file out. Otherwise one rejects it.
	SkipBad bool
	// DryRun finds out and reports everything, and changes nothing.
	DryRun bool
}

// Report says what a merge did, or would do.
type Report struct {
	Batch   int32         // of the records that were added; 0 when nothing was changed
	Already bool          // the file had been merged before
	Offset  time.Duration // what was added to the logger's times
	// Correlation is that of the channels compared, 0 to 1; nil without any.
	Correlation *float64
	Compared    []string
	Drift       time.Duration   // by how much the offset grows over what is in both, where it was found
	Records     int             // of the file
	NoTime      int             // thereof not merged, since their timestamp is none
	Odd         int             // thereof not merged, since their time cannot be right
	Problems    []fault.Problem // of these two, the first hundred
	SetAside    int             // of these two, those that were not set aside before
	Rejected    int             // thereof left out as bad
	Both        int             // that the run has as well
	Filled      int             // of those, records that got values they lacked
	Added       int             // that the radio lost, or never sent
	Channels    []string        // that the run's records lacked and got
	LeftOut     []string        // counters of the file that count from another zero
	// Delivered is how much of what the logger saw the radio brought, %: its
	// records while the logger wrote, of those that its usual step makes. Nil
	// where the run has no step.
	Delivered *float64
}

// counters count up over a drive. In records of two devices they agree or begin
// at different zeros.
var counters = []string{
	"energy_j", "distance_m", "message_id", "uptime_seconds", "cumulative_energy_kwh", "route_distance_km", "elevation_gain_m", "max_speed_kmh", "max_power_w", "max_current_a",
}

// notMerged are channels that a logger says nothing of: the run's name, and
// where a record comes from, which a record of the radio's stays.
var notMerged = []string{"session_name", "data_source"}

// Merge merges a logger's file into a run. A file that was merged before is
// answered and changes nothing. It returns NotFound where there is no such run,
// an Invalid fault for a file that cannot be read, has no records, or does not
// fit the run, a Conflict for one that was merged with another offset, and TooLarge
// where either has more than MaxRecords. What becomes of
// it, a refusal too, is in log and figures; of a dry run nothing is.
func (m *Merger) Merge(ctx context.Context, dec *decode.Decoder, opt Options) (r Report, err error) {
	if record.TextProblem([]byte(opt.Session)) != "" {
		return r, fault.NoSession(opt.Session)
	}
	defer m.Writer.InFlight.Begin()()
	started := time.Now()
	err = schema.Tx(ctx, m.Writer.Pool, func(ctx context.Context, tx pgx.Tx) error {
		w := &work{Merger: m, tx: tx, opt: opt}
		if err := w.merge(ctx, dec); err != nil {
			return err
		}
		r = w.report
		if opt.DryRun || r.Already {
			return errUnchanged
		}
		return nil
	})
	if err == errUnchanged {
		err = nil
	}
	switch {
	case opt.DryRun:
		return r, err
	case err != nil:
		return r, m.Writer.Refused(ingest.Options{Source: "merge"}, err)
	}
	stats := ingest.Stats{Source: "merge", Inserted: r.Added, SetAside: r.SetAside, AlreadyStored: r.Both + r.NoTime + r.Odd - r.SetAside, Rejected: r.Rejected, Took: time.Since(started)}
	if r.Already {
		stats.AlreadyStored, stats.Inserted, stats.SetAside = stats.AlreadyStored+r.Added+r.SetAside, 0, 0
	} else {
		m.Writer.OnCommit(opt.Session)
	}
	if stats.SetAside+stats.Rejected > 0 {
		m.Writer.Log.Warn("a logger's file has records that were not merged", "session", opt.Session, "file", opt.File,
			"no_time", r.NoTime, "odd", r.Odd, "bad", r.Rejected)
	}
	m.Writer.OnIngest(stats)
	return r, nil
}

// errUnchanged rolls back what was only looked at.
var errUnchanged = fmt.Errorf("nothing is to be changed")

// work is one merge.
type work struct {
	*Merger
	tx     pgx.Tx
	opt    Options
	report Report

	digest   [sha256.Size]byte
	channels []int // of the file, but those that are not merged
	run
	file   window  // the file's records that have a time
	lines  []int32 // of the file, by the places of its records; 0 where there is none
	odd    []misplaced
	logger window // those thereof that are merged, at the run's times
	stored []record.Cursor
	radio  []int64       // times of those thereof that no merge brought, µs
	merged []int32       // batches that merges brought
	step   time.Duration // usual, of the radio
	burst  int           // how many records the radio usually gives one time
}

// misplaced is a record of the file that has a time which cannot be right.
type misplaced struct {
	place  int32
	reason record.Oddity
}

// attempts bounds how often a file is laid over a run that grows meanwhile.
const attempts = 3

// merge finds everything out without a lock: an upload to the run waits for the
// writing only. When the run has changed until then, all is found out anew, the
// last time under the lock.
func (w *work) merge(ctx context.Context, dec *decode.Decoder) error {
	if w.opt.DryRun {
		if _, err := w.tx.Exec(ctx, "SET TRANSACTION ISOLATION LEVEL REPEATABLE READ"); err != nil {
			return fmt.Errorf("read the run: %w", err)
		}
	}
	if err := w.stage(ctx, dec); err != nil {
		return err
	}
	report, file, odd := w.report, w.file, slices.Clip(w.odd)
	report.Problems = slices.Clip(report.Problems)
	for n := 1; ; n++ {
		w.report, w.file, w.odd = report, file, odd
		locks := n == attempts && !w.opt.DryRun
		if err := w.run.read(ctx, w.tx, w.opt.Session, locks); err != nil {
			return err
		}
		if known, err := w.known(ctx); err != nil || known {
			return err
		}
		if err := w.compare(ctx); err != nil || w.opt.DryRun || w.report.Batch == 0 {
			return err
		}
		now := w.run
		if !locks {
			if err := now.read(ctx, w.tx, w.opt.Session, true); err != nil {
				return err
			}
		}
		if now.session == w.session && now.batch == w.batch {
			return w.apply(ctx)
		}
	}
}

// run is a session.
type run struct {
	session     int32
	batch       int32 // the next one's number
	records     int
	first, last *time.Time // of these; nil without
}

// read reads the session, and locks its row until the transaction ends.
func (r *run) read(ctx context.Context, tx pgx.Tx, id string, locks bool) error {
	if locks {
		if _, err := ingest.LockSession(ctx, tx, id); err != nil {
			return err
		}
	}
	err := tx.QueryRow(ctx, `
		SELECT session, batch + 1, records, first_time, last_time
		FROM sessions
		WHERE id = $1 AND deleted_at IS NULL`, id).Scan(&r.session, &r.batch, &r.records, &r.first, &r.last)
	if err == pgx.ErrNoRows {
		return fault.NoSession(id)
	}
	if err != nil {
		return fmt.Errorf("read session: %w", err)
	}
	return nil
}

// stage copies the file into a table of the transaction's own.
func (w *work) stage(ctx context.Context, dec *decode.Decoder) error {
	_, err := w.tx.Exec(ctx, `CREATE TEMP TABLE merge_file (LIKE telemetry) ON COMMIT DROP`)
	if err == nil {
		_, err = w.tx.Exec(ctx, `CREATE TEMP TABLE merge_timeless (place integer, timestamp text, record text) ON COMMIT DROP`)
	}
	if err != nil {
		return fmt.Errorf("stage the file: %w", err)
	}
	digest := record.NewDigest()
	var all record.Mask
	b := decode.NewBatch()
	defer b.Release()
	for end := false; !end; b.Reset() {
		err := dec.Next(b, ingest.ChunkRecords)
		if end = err == io.EOF; err != nil && !end {
			return err
		}
		if b.Rejected() > 0 && !w.opt.SkipBad {
			return b.Err()
		}
		w.report.Rejected += b.Rejected()
		if err := w.stageBatch(ctx, b, digest, &all); err != nil {
			return err
		}
		if len(w.file.times)+w.report.NoTime > w.MaxRecords {
			return fault.New(fault.TooLarge, "the file has more than %d records; merge it in parts", w.MaxRecords)
		}
	}
	w.report.Records = len(w.file.times) + w.report.NoTime + w.report.Rejected
	if len(w.file.times) == 0 {
		return fault.New(fault.Invalid, "the file has no record with a time")
	}
	w.digest = digest.Sum()
	w.channels = all.Channels()
	sort.Stable(w.file)
	w.leaveOutStrays()
	if _, err := w.tx.Exec(ctx, `ANALYZE merge_file`); err != nil {
		return fmt.Errorf("stage the file: %w", err)
	}
	return nil
}

func (w *work) stageBatch(ctx context.Context, b *decode.Batch, digest *record.Digest, all *record.Mask) error {
	var layout record.Layout
	var rows []record.Values
	var timeless [][]any
	for i := range b.Len() {
		v := b.Record(i)
		digest.Add(&v)
		w.lines = append(w.lines, make([]int32, b.Index(i)+1-len(w.lines))...)
		w.lines[b.Index(i)] = int32(b.Line(i))
		if v.Odd == record.NoTime {
			w.report.NoTime++
			w.problem(b.Index(i), "%q is no time", fault.Clip(string(v.TimeText)))
			timeless = append(timeless, []any{int32(b.Index(i)), string(v.TimeText), string(v.AppendJSON(nil))})
			continue
		}
		if len(v.Surplus) > 0 && len(w.report.Problems) < decode.MaxProblems {
			w.report.Problems = append(w.report.Problems, aside.TooMany(&v, b.Index(i), b.Line(i)))
		}
		layout.Add(&v)
		rows = append(rows, v)
		w.file.times, w.file.places = append(w.file.times, v.Micros), append(w.file.places, int32(b.Index(i)))
	}
	var copied []byte
	for i, v := range rows {
		copied = layout.AppendCopy(copied, &v, uint32(w.file.places[len(w.file.places)-len(rows)+i]))
	}
	all[0], all[1] = all[0]|layout.Channels[0], all[1]|layout.Channels[1]
	_, err := ingest.Copy(ctx, w.tx, "merge_file", &layout, bytes.NewReader(copied))
	if err == nil && len(timeless) > 0 {
		_, err = w.tx.CopyFrom(ctx, pgx.Identifier{"merge_timeless"}, []string{"place", "timestamp", "record"}, pgx.CopyFromRows(timeless))
	}
	if err != nil {
		return fmt.Errorf("stage the file: %w", err)
	}
	return nil
}

// known reports whether the file is merged already, and how that went. It returns
// a Conflict where that was with another offset than is asked for.
func (w *work) known(ctx context.Context) (bool, error) {
	err := w.tx.QueryRow(ctx, `
		SELECT report
		FROM merges
		WHERE session = $1 AND digest = $2 AND undone_by IS NULL`, w.session, w.digest[:]).Scan(&w.report)
	if err == pgx.ErrNoRows {
		return false, nil
	}
	if err != nil {
		return false, fmt.Errorf("look for an earlier merge: %w", err)
	}
	if at := w.report.Offset; w.opt.Offset != nil && w.opt.Offset.Microseconds() != at.Microseconds() {
		return false, fault.New(fault.Conflict, "the file was merged before, as batch %d, with an offset of %v; undo that first", w.report.Batch, at)
	}
	w.report.Already = true
	return true, nil
}

// align reads what is stored, and finds the offset or takes the one given.
func (w *work) align(ctx context.Context) (offset time.Duration, err error) {
	if w.first == nil {
		return 0, fault.New(fault.Invalid, "the run has no records to merge with; import the file instead")
	}
	if w.records > w.MaxRecords {
		return 0, fault.New(fault.TooLarge, "the run has %d records; no more than %d can be merged with", w.records, w.MaxRecords)
	}
	if w.merged, err = w.listMerged(ctx); err != nil {
		return 0, err
	}
	if err := w.readCursors(ctx); err != nil {
		return 0, fmt.Errorf("read the run: %w", err)
	}
	w.step, w.burst = channel.UsualStep(steps(w.radio)), burst(w.radio)
	drive := largest(w.radio)
	from, to := drive.Bounds()
	// The logger's earlier merges are no witnesses: they stand where they were put.
	sent := witness{"telemetry WHERE session = $1 AND time >= $2 AND time <= $3 AND batch <> ALL ($4)", []any{w.session, from, to, w.merged}}
	kept := witness{"merge_file WHERE time >= $1 AND time <= $2", []any{w.file.from(), w.file.to()}}
	names := slices.DeleteFunc(slices.Clone(compared), func(name string) bool {
		i, _ := channel.Index(name)
		return !slices.Contains(w.channels, i)
	})
	common := names
	for _, of := range []witness{sent, kept} {
		if names, err = of.telling(ctx, w.tx, names); err != nil {
			return 0, fmt.Errorf("choose channels: %w", err)
		}
	}
	names = names[:min(len(names), mostCompared)]
	w.report.Compared = names
	if len(names) == 0 {
		if w.opt.Offset != nil {
			return *w.opt.Offset, nil
		}
		if len(common) > 0 {
			return 0, fault.New(fault.Invalid, "the clocks cannot be compared by %s: a channel needs %d values in file and run, and not all alike; give the offset of the clocks", strings.Join(common, ", "), leastSamples)
		}
		return 0, fault.New(fault.Invalid, "file and run have no channel in common that the clocks could be compared by, such as speed, current or voltage; give the offset of the clocks")
	}
	radio, err := sent.read(ctx, w.tx, names)
	if err != nil {
		return 0, fmt.Errorf("read the run: %w", err)
	}
	logger, err := kept.read(ctx, w.tx, names)
	if err != nil {
		return 0, fmt.Errorf("read the file: %w", err)
	}
	if w.opt.Offset != nil {
		r := correlation(radio, logger, w.opt.Offset.Microseconds())
		w.report.Correlation = &r
		return *w.opt.Offset, nil
	}
	match, err := findOffset(radio, logger)
	if err != nil {
		return 0, err
	}
	w.report.Correlation, w.report.Drift = &match.Correlation, match.Drift
	return match.Offset, nil
}

// listMerged lists the session's batches that merges brought.
func (w *work) listMerged(ctx context.Context) ([]int32, error) {
	list, err := schema.List(ctx, w.tx, pgx.RowTo[int32], "SELECT batch FROM merges WHERE session = $1", w.session)
	if err != nil {
		return nil, fmt.Errorf("list merges: %w", err)
	}
	return list, nil
}

// readCursors reads where the run's records stand, and when those were that no
// merge brought.
func (w *work) readCursors(ctx context.Context) error {
	rows, err := w.tx.Query(ctx, `
		SELECT time, batch, ord
		FROM telemetry
		WHERE session = $1 AND time >= $2 AND time <= $3
		ORDER BY time, batch, ord`, pgx.QueryResultFormats{pgx.BinaryFormatCode}, w.session, *w.first, *w.last)
	if err != nil {
		return err
	}
	defer rows.Close()
	w.stored, w.radio = make([]record.Cursor, 0, w.records), nil
	var row record.Columns
	for rows.Next() {
		row.Reset(rows.RawValues())
		at := row.Cursor()
		if row.Err() != nil {
			return row.Err()
		}
		w.stored = append(w.stored, at)
		if !slices.Contains(w.merged, at.Batch) {
			w.radio = append(w.radio, at.Micros)
		}
	}
	return rows.Err()
}
