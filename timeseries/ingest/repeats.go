package ingest

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/ecovolt/telemetryd/internal/fault"
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

// Repeat counts the instants of an upload, and those thereof at which the
// session had records before.
type Repeat struct {
	Instants int `json:"instants"`
	There    int `json:"there"`
}

// String says it to a person.
func (r *Repeat) String() string {
	return fmt.Sprintf("%d of the %d instants have records already: this may be the same drive", r.There, r.Instants)
}

// likely reports whether 95 % of the instants have records already.
func (r *Repeat) likely() bool { return r.Instants > 0 && 20*r.There >= 19*r.Instants }

// countRepeats adds a share that is to be logged to what is known of its
// session, whose first batch of this upload is that one.
func (u *upload) countRepeats(ctx context.Context, tx pgx.Tx, s *share, first int32) error {
	if u.opt.Repeats == StoreRepeats || u.opt.SkipExisting || s.records == 0 || first == 1 {
		return nil
	}
	r := u.repeats[s.id]
	if r == nil {
		r = new(Repeat)
		u.repeats[s.id] = r
	}
	var micros []int64
	for _, rows := range s.rows {
		for i := range rows.indexes() {
			if v := rows.batch.Record(i); v.Odd == "" {
				micros = append(micros, v.Micros)
			}
		}
	}
	slices.Sort(micros)
	micros = slices.Compact(micros)
	times := make([]time.Time, len(micros))
	for i, at := range micros {
		times[i] = time.UnixMicro(at)
	}
	r.Instants += len(times)
	if s.before.last != nil && s.before.last.Before(times[0]) { // it follows what is there
		return nil
	}
	var there int
	err := tx.QueryRow(ctx, `
		SELECT count(DISTINCT time)
		FROM telemetry
		WHERE session = $1 AND batch < $2 AND time >= $3 AND time <= $4 AND time = ANY($5)`,
		s.session, first, times[0], times[len(times)-1], times).Scan(&there)
	r.There += there
	return err
}

// refuseRepeats tells of probable repeats when all of the upload was stored, or
// refuses it.
func (u *upload) refuseRepeats() error {
	for i := range u.result.Sessions {
		s := &u.result.Sessions[i]
		r := u.repeats[s.ID]
		if r == nil || !r.likely() {
			continue
		}
		if u.opt.Repeats == RefuseRepeats {
			return fault.Coded(fault.Conflict, "REPEAT", "in session %q, %v; nothing was stored", fault.Clip(s.ID), r)
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
		s.session, string(s.name), s.known.batch)
	if err != nil {
		return fmt.Errorf("name session: %w", err)
	}
	return nil
}
