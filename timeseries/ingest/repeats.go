package ingest

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/ecovolt/telemetryd/internal/fault"
	"github.com/ecovolt/telemetryd/timeseries/channel"
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

// Repeat compares the instants of an upload with those of a run: the session that
// it went to, as it was before, or another one.
type Repeat struct {
	Instants int `json:"instants"`
	There    int `json:"there"` // of these, instants at which the run has records
	// Held are the run's records, and Covered those thereof at instants of the
	// upload: where they are nearly all, it may be the same drive and more of it.
	Held    int    `json:"held"`
	Covered int    `json:"covered"`
	Run     string `json:"of,omitempty"` // id of another run
}

// String says it to a person.
func (r *Repeat) String() string {
	where := ""
	if r.Run != "" {
		where = fmt.Sprintf(" in run %q", fault.Clip(r.Run))
	}
	if nearly(r.There, r.Instants) {
		return fmt.Sprintf("%d of the %d instants have records%s already: this may be the same drive", r.There, r.Instants, where)
	}
	return fmt.Sprintf("%d of the %d records%s are at instants of this one already: this may be the same drive, and more of it", r.Covered, r.Held, where)
}

// likely reports whether one has nearly all that the other has.
func (r *Repeat) likely() bool { return nearly(r.There, r.Instants) || nearly(r.Covered, r.Held) }

// nearly reports whether part is 95 % of a whole.
func nearly(part, whole int) bool { return whole > 0 && 20*part >= 19*whole }

// countRepeats adds a share that is to be logged to what is known of its
// session, whose first batch of this upload is that one.
func (u *upload) countRepeats(ctx context.Context, tx pgx.Tx, s *share, first int32) error {
	if u.opt.Repeats == StoreRepeats || s.records == 0 || first == 1 {
		return nil
	}
	r := u.repeats[s.id]
	if r == nil {
		r = &Repeat{Held: s.before.records}
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
	var there, covered int
	err := tx.QueryRow(ctx, `
		SELECT count(DISTINCT time), count(*)
		FROM telemetry
		WHERE session = $1 AND batch < $2 AND time >= $3 AND time <= $4 AND time = ANY($5)`,
		s.session, first, times[0], times[len(times)-1], times).Scan(&there, &covered)
	r.There, r.Covered = r.There+there, r.Covered+covered
	return err
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
			if r, err = elsewhere(ctx, tx, s.ID); err != nil {
				return fmt.Errorf("look for the drive in other runs: %w", err)
			}
		}
		if r == nil || !r.likely() || u.opt.SkipExisting && !nearly(s.Inserted, s.Inserted+s.AlreadyStored) {
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

// leastShared is how many instants two runs must share to be one drive: small
// files say little.
const leastShared = 20

const (
	overlapsSQL = `
		SELECT o.session, o.id, o.records, n.session, n.first_time, n.last_time
		FROM sessions n
		JOIN sessions o ON o.deleted_at IS NULL AND o.session <> n.session AND o.first_time <= n.last_time AND o.last_time >= n.first_time
		WHERE n.id = $1 AND n.deleted_at IS NULL
		ORDER BY least(o.last_time, n.last_time) - greatest(o.first_time, n.first_time) DESC, o.session
		LIMIT 20`

	sharedSQL = `
		WITH file AS (
			SELECT time
			FROM telemetry
			WHERE session = $1 AND time >= $3 AND time <= $4
			GROUP BY time
		), run AS (
			SELECT time, count(*) AS records
			FROM telemetry
			WHERE session = $2 AND time >= $3 AND time <= $4
			GROUP BY time
		)
		SELECT (SELECT count(*) FROM file), count(*), coalesce(sum(run.records), 0)::int
		FROM file
		JOIN run USING (time)`

	// Two cars may be driven at the same seconds: so a few of the instants must
	// have the same values. Of repeated instants the first records are compared.
	sameValuesSQL = `
		WITH file AS (
			SELECT time, row_number() OVER (ORDER BY time) AS place, count(*) OVER () AS places
			FROM telemetry
			WHERE session = $1 AND time >= $3 AND time <= $4
			  AND time IN (SELECT time FROM telemetry WHERE session = $2 AND time >= $3 AND time <= $4)
			GROUP BY time
		), compared AS (
			SELECT a.value = b.value AS same
			FROM file
			CROSS JOIN LATERAL (SELECT to_jsonb(t) - 'extra' || coalesce(extra, '{}') AS record FROM telemetry t WHERE t.session = $1 AND t.time >= $3 AND t.time <= $4 AND t.time = file.time ORDER BY batch, ord LIMIT 1) f
			CROSS JOIN LATERAL (SELECT to_jsonb(t) - 'extra' || coalesce(extra, '{}') AS record FROM telemetry t WHERE t.session = $2 AND t.time >= $3 AND t.time <= $4 AND t.time = file.time ORDER BY batch, ord LIMIT 1) r
			CROSS JOIN LATERAL jsonb_each(f.record - $5::text[]) a
			JOIN LATERAL jsonb_each(r.record) b ON a.key = b.key AND a.value <> 'null' AND b.value <> 'null'
			WHERE place % greatest(1, places / 100) = 0
		)
		SELECT count(*) > 0 AND count(*) FILTER (WHERE same) >= 0.9 * count(*)
		FROM compared`
)

// elsewhere looks for a new session's drive in the runs of the same time. It
// returns nil where it finds none that is likely.
func elsewhere(ctx context.Context, tx pgx.Tx, id string) (*Repeat, error) {
	type run struct {
		Session  int32
		ID       string
		Records  int
		New      int32
		From, To time.Time // of the new one
	}
	rows, err := tx.Query(ctx, overlapsSQL, id)
	if err != nil {
		return nil, err
	}
	runs, err := pgx.CollectRows(rows, pgx.RowToStructByPos[run])
	if err != nil {
		return nil, err
	}
	ignored := []string{"time", "session", "batch", "ord", "time_text"}
	for _, i := range derived.Channels() {
		ignored = append(ignored, channel.All[i].Name)
	}
	for _, of := range runs {
		r := Repeat{Run: of.ID, Held: of.Records}
		if err := tx.QueryRow(ctx, sharedSQL, of.New, of.Session, of.From, of.To).Scan(&r.Instants, &r.There, &r.Covered); err != nil {
			return nil, err
		}
		if r.There < leastShared || !r.likely() {
			continue
		}
		var same bool
		if err := tx.QueryRow(ctx, sameValuesSQL, of.New, of.Session, of.From, of.To, ignored).Scan(&same); err != nil {
			return nil, err
		}
		if same {
			return &r, nil
		}
	}
	return nil, nil
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
