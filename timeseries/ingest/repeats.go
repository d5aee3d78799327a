package ingest

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/ecovolt/telemetryd/internal/fault"
	"github.com/ecovolt/telemetryd/timeseries/ingest/repeat"
)

// Repeats says what becomes of an upload that is probably a drive which is
// there already, in other words.
type Repeats int

// What becomes of such an upload.
const (
	StoreRepeats  Repeats = iota // stored, and not looked for
	TellRepeats                  // stored and told
	RefuseRepeats                // a Conflict fault with the code REPEAT
)

// began is the first batch that the upload stores of the share's session: the
// share, if there is none before.
func (u *upload) began(s *share) int32 {
	if first, ok := u.begun[s.id]; ok {
		return first
	}
	return s.batch
}

// countRepeats adds a share that is to be logged to what is known of its
// session, whose first batch of this upload is that one.
func (u *upload) countRepeats(ctx context.Context, tx pgx.Tx, s *share, first int32) error {
	if u.opt.Repeats == StoreRepeats || s.records == 0 || first == 1 {
		return nil
	}
	r := u.comparison(s)
	micros := make([]int64, 0, s.records)
	for _, rows := range s.rows {
		micros = slices.AppendSeq(micros, rows.times())
	}
	slices.Sort(micros)
	micros = slices.Compact(micros)
	r.Instants += len(micros)
	if s.before.last != nil && s.before.last.Before(time.UnixMicro(micros[0])) { // it follows what is there
		return nil
	}
	times := make([]time.Time, len(micros))
	for i, at := range micros {
		times[i] = time.UnixMicro(at)
	}
	var there, covered int
	err := tx.QueryRow(ctx, `
		SELECT count(DISTINCT time), count(*)
		FROM telemetry
		WHERE session = $1 AND batch < $2 AND time >= $3 AND time <= $4 AND time = ANY($5)`,
		s.session, first, times[0], times[len(times)-1], times).Scan(&there, &covered)
	r.There, r.Covered = r.There+there, r.Covered+covered
	return err
}

// recognised leaves a share that is stored already out of the comparison: of a
// log that has grown, only what follows its known chunks can be there in part.
func (u *upload) recognised(s *share) {
	if u.opt.Repeats != StoreRepeats {
		r := u.comparison(s)
		r.Held = max(0, r.Held-s.records)
	}
}

// comparison is what is known of a session, of which the share is one.
func (u *upload) comparison(s *share) *repeat.Repeat {
	r := u.repeats[s.id]
	if r == nil {
		r = &repeat.Repeat{Held: s.before.records}
		u.repeats[s.id] = r
	}
	return r
}

// refuseRepeats tells of probable repeats when all of the upload was stored, or
// refuses it. What SkipExisting left of an upload is one where that found hardly
// any record, since the same instants have other values.
func (u *upload) refuseRepeats(ctx context.Context, tx pgx.Tx, c *Content) error {
	for i := range u.result.Sessions {
		s := &u.result.Sessions[i]
		r := u.repeats[s.ID]
		if c != nil && c.Run == s.ID && u.begun[s.ID] == 1 {
			var err error
			if r, err = repeat.Elsewhere(ctx, tx, s.ID); err != nil {
				return fmt.Errorf("look for the drive in other runs: %w", err)
			}
		}
		if r == nil || !r.Likely() || u.opt.SkipExisting && !repeat.Nearly(s.Inserted, s.Inserted+s.AlreadyStored) {
			continue
		}
		if u.opt.Repeats == RefuseRepeats {
			f := fault.Coded(fault.Conflict, "REPEAT", "in session %q, %v; nothing was stored", fault.Clip(s.ID), r)
			f.Data = map[string]any{"of": r.Run}
			return f
		}
		s.Repeat = r
	}
	return nil
}

// rename gives a session the name that a batch which is stored already came
// with this time, unless a person has named it. A batch that comes late, after
// others under another name, names nothing.
func (s *share) rename(ctx context.Context, tx pgx.Tx) error {
	if s.name == nil {
		return nil
	}
	_, err := tx.Exec(ctx, `
		UPDATE sessions
		SET name = $2, updated_at = clock_timestamp(), revision = revision + 1
		WHERE session = $1
		  AND NOT named
		  AND name IS DISTINCT FROM $2
		  AND NOT EXISTS (
		      SELECT FROM ingest_batches b
		      WHERE b.session = $1 AND b.batch > $3 AND b.records + b.set_aside > 0 AND b.source <> 'merge')`,
		s.session, string(s.name), *s.known)
	if err != nil {
		return fmt.Errorf("name session: %w", err)
	}
	return nil
}
