package ingest

import (
	"context"
	"crypto/sha256"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/ecovolt/telemetryd/internal/fault"
	schema "github.com/ecovolt/telemetryd/sql"
	"github.com/ecovolt/telemetryd/timeseries/decode"
	"github.com/ecovolt/telemetryd/timeseries/ingest/aside"
	"github.com/ecovolt/telemetryd/timeseries/ingest/clock"
	"github.com/ecovolt/telemetryd/timeseries/ingest/cluster"
	"github.com/ecovolt/telemetryd/timeseries/record"
)

// Repair says what becomes of records that were set aside: exactly one of
// Shift, At and Drop.
type Repair struct {
	Session string
	// First and Last, when not 0, leave out records of other ids.
	First, Last int64
	// Shift puts records back that much later. Those without a time stay.
	Shift time.Duration
	// At puts the first record back at that time. The others keep their distance
	// from it; one without a time follows the one that arrived before it at the
	// run's usual step.
	At time.Time
	// Drop removes the records.
	Drop bool
	// All shifts what is stored as well: the clock of the whole run was wrong.
	All bool
}

// Repaired is what a repair did.
type Repaired struct {
	PutBack int   `json:"put_back"`
	Dropped int   `json:"dropped"`
	Shifted int64 `json:"shifted"` // records that were stored, with All
	Left    int   `json:"set_aside"`
	Batch   int32 `json:"watermark"`
}

// ParseShift reads a shift such as 1h30m, -2.5s or 9650d12h. Its Invalid fault
// names the field.
func ParseShift(field, text string) (shift time.Duration, err error) {
	days, rest, found := strings.Cut(text, "d")
	if !found {
		days, rest = "0", text
	}
	if found && rest != "" && strings.ContainsRune("+-", rune(rest[0])) {
		return 0, fault.Field(field, "%q has a sign behind its days: it stands before them and is for all of it, such as -1d5h", fault.Clip(text))
	}
	n, err := strconv.ParseInt(days, 10, 32)
	if err == nil && rest != "" {
		if found && n < 0 || days == "-0" && found {
			rest = "-" + rest
		}
		shift, err = time.ParseDuration(rest)
	}
	whole := time.Duration(n) * 24 * time.Hour
	if err != nil || n > maxShiftDays || n < -maxShiftDays || shift > maxShiftDays*24*time.Hour || shift < -maxShiftDays*24*time.Hour {
		return 0, fault.Field(field, "%q is no shift, such as 1h30m, -2.5s or 9650d12h, of less than 100 years", fault.Clip(text))
	}
	return (whole + shift).Truncate(time.Microsecond), nil
}

const maxShiftDays = 36_525

// Detail is what the audit log says of a repair.
func (r *Repair) Detail() map[string]any {
	detail := map[string]any{"session": r.Session}
	switch {
	case r.Drop:
		detail["drop"] = true
	case r.At.IsZero():
		detail["shift"], detail["all"] = r.Shift.String(), r.All
	default:
		detail["at"] = record.FormatTime(r.At)
	}
	if r.First != 0 || r.Last != 0 {
		detail["first"], detail["last"] = r.First, r.Last
	}
	return detail
}

// way is the member that says where records go back to.
func (r *Repair) way() string {
	if r.At.IsZero() {
		return "shift"
	}
	return "at"
}

func (r *Repair) check() error {
	ways := 0
	for _, set := range []bool{r.Shift != 0, !r.At.IsZero(), r.Drop} {
		if set {
			ways++
		}
	}
	switch {
	case ways != 1:
		return fault.Field("shift", "a repair takes exactly one of shift, at and drop")
	case r.All && (r.Shift == 0 || r.First != 0 || r.Last != 0):
		return fault.Field("all", "a whole run can be shifted only, with all that is set aside: give shift, and neither first nor last")
	}
	return nil
}

// Repair puts records back that were set aside, or drops them, in one
// transaction. What is put back is a batch of its own, so that whatever follows
// the run follows it; it is known when it comes again under its old time, and is
// no stray whatever lies around it. A whole run that is shifted gets another key,
// as if it had been deleted and sent anew.
//
// A repair that would give a record an impossible time is an Invalid fault and
// changes nothing; with All such records stay set aside, and so do those of merged
// files, whose clock is another: they go when the merge is undone. An unknown
// session is NotFound.
func (w *Writer) Repair(ctx context.Context, what Repair) (done Repaired, err error) {
	if err := what.check(); err != nil {
		return done, err
	}
	if record.TextProblem([]byte(what.Session)) != "" {
		return done, fault.NoSession(what.Session)
	}
	err = schema.Tx(ctx, w.Pool, func(ctx context.Context, tx pgx.Tx) error {
		r := repair{upload: &upload{Writer: w, begun: map[string]int32{}}, Repair: what, share: share{id: what.Session}, now: time.Now()}
		done, err = r.run(ctx, tx)
		return err
	})
	if err != nil {
		return Repaired{}, fmt.Errorf("repair session: %w", explain(err))
	}
	w.OnCommit(what.Session)
	w.Log.Info("a session was repaired", "session", what.Session, "put_back", done.PutBack, "dropped", done.Dropped, "shifted", done.Shifted, "set_aside", done.Left)
	return done, nil
}

// repair is one on its way.
type repair struct {
	*upload
	Repair
	share share
	now   time.Time
	back  []int64 // times of the records put back, µs
	moved struct {
		by    time.Duration // with At: what the records with a time are shifted by
		known bool
		last  time.Time     // of the record before
		step  time.Duration // usual
	}
}

func (r *repair) run(ctx context.Context, tx pgx.Tx) (done Repaired, err error) {
	s := &r.share
	if _, err := LockSession(ctx, tx, s.id); err != nil {
		return done, err
	}
	if err := schema.UnboundedTx(ctx, tx); err != nil {
		return done, err
	}
	if err := s.scan(tx.QueryRow(ctx, lockSessionSQL, s.id)); err != nil {
		return done, fmt.Errorf("read session: %w", err)
	}
	if r.All {
		if done.Shifted, err = r.shiftStored(ctx, tx); err != nil {
			return done, err
		}
	}
	if !r.At.IsZero() {
		if r.moved.step, err = usualStep(ctx, tx, s.session); err != nil {
			return done, err
		}
	}
	n, seen := 0, 0
	for last := r.First - 1; ; {
		read, left, err := r.page(ctx, tx, &last)
		if err != nil {
			return done, err
		}
		if n, seen = n+left, seen+read; read == 0 {
			break
		}
	}
	if n == 0 && done.Shifted == 0 {
		return done, r.nothing(seen)
	}
	// What lies around may be no stray any more, or one now.
	after := *s
	if s.records > 0 {
		after.before.records += s.records
		first, last := s.bounds()
		if b := &after.before; b.first == nil || first.Before(*b.first) {
			b.first = first
		}
		if b := &after.before; b.last == nil || last.After(*b.last) {
			b.last = last
		}
	}
	all, err := cluster.Count(ctx, tx, after.held())
	if err != nil {
		return done, fmt.Errorf("count clusters: %w", err)
	}
	for _, t := range r.back {
		all.Of(t).Trusted = true
	}
	if err := r.settle(ctx, tx, s, all); err != nil {
		return done, err
	}
	if err := r.conclude(ctx, tx, n); err != nil {
		return done, err
	}
	if r.Drop {
		done.Dropped = n
	} else {
		done.PutBack = n
	}
	err = tx.QueryRow(ctx, "SELECT set_aside, batch FROM sessions WHERE session = $1", s.session).Scan(&done.Left, &done.Batch)
	return done, err
}

var oddPageSQL = "WITH RECURSIVE " + aside.Page("($5::bigint = 0 OR id <= $5) AND NOT ($6 AND source = 'merge')") + `
	SELECT id, time, timestamp, record::text
	FROM set_aside
	WHERE id IN (SELECT id FROM page)
	ORDER BY id`

const (
	// Who sends the same again is told so by the digest.
	leaveSQL = `
		WITH gone AS (
			DELETE FROM set_aside
			WHERE id = ANY($2)
			RETURNING batch, timestamp, record
		), logged AS (
			UPDATE ingest_batches b
			SET set_aside = b.set_aside - c.records
			FROM (SELECT batch, count(*) AS records FROM gone GROUP BY batch) c
			WHERE b.session = $1 AND b.batch = c.batch
		)
		INSERT INTO repaired (session, batch, digest)
		SELECT $1, $3, sha256(convert_to(timestamp || record::text, 'UTF8'))
		FROM gone`

	usualStepSQL = `
		SELECT step_s
		FROM session_summaries
		WHERE session = $1 AND step_s > 0`
)

// nothing says why a repair finds nothing to do, having seen that many records.
func (r *repair) nothing(seen int) error {
	which := ""
	switch {
	case r.First != 0 && r.Last != 0:
		which = fmt.Sprintf(" with an id from %d to %d", r.First, r.Last)
	case r.First != 0:
		which = fmt.Sprintf(" with an id from %d on", r.First)
	case r.Last != 0:
		which = fmt.Sprintf(" with an id up to %d", r.Last)
	}
	if seen > 0 {
		return fault.Field("shift", "no record of the session %q that is set aside%s can be shifted to a time that can be right; put them back at one, or drop them", fault.Clip(r.share.id), which)
	}
	return fault.New(fault.NotFound, "no record of the session %q%s is set aside", fault.Clip(r.share.id), which)
}

// page takes the next records and returns how many it read, none after the end,
// and how many of them left.
func (r *repair) page(ctx context.Context, tx pgx.Tx, last *int64) (read, left int, err error) {
	rows, err := tx.Query(ctx, oddPageSQL, r.share.session, *last, ChunkRecords, decode.MaxChunkBytes, r.Last, r.All)
	if err != nil {
		return 0, 0, err
	}
	var at *time.Time
	var timestamp, members string
	var leave []int64
	var text []byte
	_, err = pgx.ForEachRow(rows, []any{last, &at, &timestamp, &members}, func() error {
		read++
		if r.Drop {
			leave = append(leave, *last)
			return nil
		}
		to, ok := r.place(at)
		if ok {
			switch odd := decode.Oddity(to.UnixMicro(), r.now); {
			case odd == "":
			case r.All:
				ok = false
			default:
				return fault.Field(r.way(), "the record %d, of %q, would be at %s, which cannot be right either: %s", *last, fault.Clip(timestamp), record.FormatTime(to), odd)
			}
		}
		if ok {
			leave = append(leave, *last)
			r.back = append(r.back, to.UnixMicro())
			text = appendRecord(text, r.share.id, record.FormatTime(to), members)
		}
		return nil
	})
	if err != nil {
		return 0, 0, err
	}
	if len(leave) > 0 {
		if _, err := tx.Exec(ctx, leaveSQL, r.share.session, leave, r.share.batch-1); err != nil {
			return 0, 0, fmt.Errorf("take records from those set aside: %w", err)
		}
	}
	if len(text) > 0 {
		if err := r.copyText(ctx, tx, &r.share, text); err != nil {
			return 0, 0, err
		}
	}
	return read, len(leave), nil
}

// place is where a record goes back to.
func (r *repair) place(at *time.Time) (to time.Time, ok bool) {
	if r.At.IsZero() {
		if at == nil {
			return to, false
		}
		return at.Add(r.Shift), true
	}
	next := r.At
	if !r.moved.last.IsZero() {
		next = r.moved.last.Add(r.moved.step)
	}
	if at != nil {
		if !r.moved.known {
			r.moved.by, r.moved.known = next.Sub(*at), true
		}
		next = at.Add(r.moved.by)
	}
	r.moved.last = next
	return next, true
}

// usualStep is that of a run's records, or a second where that is not known.
func usualStep(ctx context.Context, tx pgx.Tx, session int32) (time.Duration, error) {
	step := 1.0
	if err := tx.QueryRow(ctx, usualStepSQL, session).Scan(&step); err != nil && err != pgx.ErrNoRows {
		return 0, fmt.Errorf("read the usual step: %w", err)
	}
	return time.Duration(step * float64(time.Second)).Truncate(time.Microsecond), nil
}

// conclude enters what was put back as a batch, and counts what is not set aside
// any more.
func (r *repair) conclude(ctx context.Context, tx pgx.Tx, n int) error {
	s := &r.share
	var last pgx.Batch
	if s.records == 0 && !r.tookOut {
		last.Queue(`
			UPDATE sessions
			SET set_aside = set_aside - $2, revision = revision + 1
			WHERE session = $1`, s.session, n)
	} else {
		s.name = nil
		s.digest = sha256.Sum256(fmt.Appendf(nil, "repair %d %d", s.session, s.batch))
		queueLog(&last, s, "", Options{Source: "repair"})
		queueAdvance(&last, &s.extent, new(clock.Clock), -n-s.returned, s.session, s.batch)
	}
	if err := tx.SendBatch(ctx, &last).Close(); err != nil {
		return fmt.Errorf("log repair: %w", err)
	}
	return nil
}

const (
	columnsSQL = `
		SELECT string_agg(quote_ident(column_name), ', ')
		FROM information_schema.columns
		WHERE table_schema = current_schema() AND table_name = $1 AND column_name <> ALL($2)`

	// The session under the old key counts as deleted since ever, so that what is
	// known of its id by other ways, such as notifications, stays.
	rekeySQL = `
		WITH gone AS (
			UPDATE sessions
			SET deleted_at = '-infinity'
			WHERE session = $1
			RETURNING *
		)
		INSERT INTO sessions (%[1]s, first_time, last_time, arrived_time, revision, deleted_at)
		SELECT %[1]s, first_time + $2::interval, last_time + $2::interval, arrived_time + $2::interval, revision + 1, '-infinity'
		FROM gone
		RETURNING session`

	rekeyRecordsSQL = `
		INSERT INTO telemetry (%[1]s, session, time)
		SELECT %[1]s, $2, time + $3::interval
		FROM telemetry
		WHERE session = $1 AND time >= $4 AND time <= $5
		ORDER BY time`
)

// shiftStored gives the session another key, under which its records have other
// times. So all that is worked out of them is worked out anew, and whoever
// follows the run begins anew.
func (r *repair) shiftStored(ctx context.Context, tx pgx.Tx) (shifted int64, err error) {
	s := &r.share
	if b := s.before; b.first != nil {
		for _, at := range []time.Time{*b.first, *b.last} {
			if odd := decode.Oddity(at.Add(r.Shift).UnixMicro(), r.now); odd != "" {
				return 0, fault.Field("shift", "the run would reach to %s, which cannot be right: %s", record.FormatTime(at.Add(r.Shift)), odd)
			}
		}
	}
	columns := func(table string, but ...string) (list string, err error) {
		return list, tx.QueryRow(ctx, columnsSQL, table, but).Scan(&list)
	}
	kept, err := columns("sessions", "session", "first_time", "last_time", "first_text", "last_text", "arrived_time", "revision", "deleted_at")
	if err != nil {
		return 0, fmt.Errorf("list columns: %w", err)
	}
	channels, err := columns("telemetry", "session", "time", "time_text")
	if err != nil {
		return 0, fmt.Errorf("list columns: %w", err)
	}
	old := s.session
	if err := tx.QueryRow(ctx, fmt.Sprintf(rekeySQL, kept), old, r.Shift).Scan(&s.session); err != nil {
		return 0, fmt.Errorf("make another key: %w", err)
	}
	if s.before.first != nil {
		tag, err := tx.Exec(ctx, fmt.Sprintf(rekeyRecordsSQL, channels), old, s.session, r.Shift, *s.before.first, *s.before.last)
		if err != nil {
			return 0, fmt.Errorf("shift records: %w", err)
		}
		shifted = tag.RowsAffected()
		first, last := s.before.first.Add(r.Shift), s.before.last.Add(r.Shift)
		s.before.first, s.before.last = &first, &last
	}
	var batch pgx.Batch
	batch.Queue("UPDATE ingest_batches SET session = $2, min_time = min_time + $3::interval, max_time = max_time + $3::interval, shifted = shifted + $3::interval WHERE session = $1", old, s.session, r.Shift)
	batch.Queue("UPDATE clock_steps SET session = $2, from_time = from_time + $3::interval, to_time = to_time + $3::interval WHERE session = $1", old, s.session, r.Shift)
	for _, table := range []string{"set_aside", "repaired", "merges", "merge_fills", "imported_files", "run_book"} {
		batch.Queue("UPDATE "+table+" SET session = $2 WHERE session = $1", old, s.session)
	}
	batch.Queue("UPDATE members_aside SET session = $2, time = time + $3::interval WHERE session = $1", old, s.session, r.Shift)
	batch.Queue("UPDATE notes SET session = $2, from_time = from_time + $3::interval, to_time = to_time + $3::interval WHERE session = $1", old, s.session, r.Shift)
	batch.Queue("UPDATE clusters SET session = $2, from_time = from_time + $3::interval, to_time = to_time + $3::interval WHERE session = $1", old, s.session, r.Shift)
	batch.Queue("UPDATE sessions SET deleted_at = NULL WHERE session = $1", s.session)
	if err := tx.SendBatch(ctx, &batch).Close(); err != nil {
		return 0, fmt.Errorf("shift what is known of the records: %w", err)
	}
	return shifted, nil
}
