package pace

import (
	"context"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/ecovolt/telemetryd/internal/fault"
	schema "github.com/ecovolt/telemetryd/sql"
	"github.com/ecovolt/telemetryd/timeseries/analysis"
	"github.com/ecovolt/telemetryd/timeseries/analysis/still"
	"github.com/ecovolt/telemetryd/timeseries/analysis/trail"
	"github.com/ecovolt/telemetryd/timeseries/book"
)

// Reader reads what a run may still spend. It is safe for concurrent use.
type Reader struct {
	reads    *pgxpool.Pool
	analysis *analysis.Analysis
}

// New makes a Reader on a migrated database.
func New(reads *pgxpool.Pool, analysis *analysis.Analysis) *Reader { return &Reader{reads, analysis} }

const (
	// clocks are how far the bridge's clock, which says when a run ended, and the car's
	// are apart at most.
	clocks = 10 * time.Second
	// timeout bounds each statement.
	timeout = 10 * time.Second
)

// Read returns what a run may still spend, as of its newest batch. It fails with
// fault.NotFound.
func (r *Reader) Read(ctx context.Context, id string) (*Outlook, error) {
	if _, err := r.analysis.Update(ctx, id); err != nil {
		return nil, err
	}
	var answer *Outlook
	err := schema.Snapshot(ctx, r.reads, timeout, func(tx pgx.Tx) error {
		q := &reading{tx: tx}
		plan, err := q.read(ctx, id)
		if err == nil {
			answer = Of(&q.Run, plan)
			answer.Session = id
		}
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("read the pace of a run: %w", err)
	}
	return answer, nil
}

// reading is one run being read.
type reading struct {
	Run
	tx      pgx.Tx
	session int32
	begun   time.Time // its oldest record
}

func (q *reading) read(ctx context.Context, id string) (plan book.Plan, err error) {
	var said []byte
	var ended, open *time.Time
	var first, last, changed *time.Time
	var now time.Time
	err = q.tx.QueryRow(ctx, `
		SELECT session, ended_at, first_time, last_time, updated_at, clock_timestamp(), r.distance_from IS NOT NULL, r.energy_from IS NOT NULL, r.open_from, `+book.Of+`
		FROM sessions LEFT JOIN analysis_runs r USING (session)
		WHERE id = $1 AND deleted_at IS NULL`, id).Scan(&q.session, &ended, &first, &last, &changed, &now, &q.Distance, &q.Energy, &open, &said)
	if err == pgx.ErrNoRows {
		return plan, fault.NoSession(id)
	}
	if err != nil {
		return plan, err
	}
	entry, err := book.Read(said)
	if err != nil || last == nil {
		return entry.Plan, err
	}
	q.begun = *first
	heard := *last
	if changed.Before(heard) {
		heard = *changed
	}
	q.Ended = now.Sub(heard) > schema.LiveWindow || ended != nil && last.Before(ended.Add(clocks))
	q.Away = now.Sub(heard) > still.Absent
	if q.Laps, err = schema.List(ctx, q.tx, pgx.RowToStructByPos[Lap], "SELECT from_time, to_time, paused_s, silent_s FROM analytics.laps($1)", id); err != nil {
		return entry.Plan, err
	}
	switch {
	case open != nil:
		q.Open = *open
	case len(q.Laps) > 0: // the car counts them
		q.Open = q.Laps[len(q.Laps)-1].To
	}
	return entry.Plan, q.readSums(ctx, entry.Plan)
}

// readSums reads what the run came to, as far back as it counts, and where the plan
// began, was reached and was used up.
func (q *reading) readSums(ctx context.Context, plan book.Plan) error {
	var newest *time.Time
	err := q.tx.QueryRow(ctx, "SELECT to_timestamp(at[cardinality(at)] / 1e6) FROM analysis_parts WHERE session = $1 AND cardinality(at) > 0 ORDER BY minute DESC LIMIT 1", q.session).Scan(&newest)
	if err == pgx.ErrNoRows {
		return nil
	}
	if err != nil {
		return err
	}
	if q.Sums, err = q.sums(ctx, q.back(*newest), *newest); err != nil || len(q.Sums) == 0 {
		return err
	}
	began, err := q.began(ctx)
	if err != nil {
		return err
	}
	if q.Began, err = q.at(ctx, began); err != nil || q.Began == nil {
		return err
	}
	now := &q.Sums[len(q.Sums)-1]
	switch aim := q.aims(plan); {
	case aim == "laps" && len(q.Laps) >= int(*plan.Laps):
		q.Reached, err = q.at(ctx, q.Laps[*plan.Laps-1].To)
	case aim == "distance" && now.Way-q.Began.Way >= *plan.Distance*1000:
		q.Reached, err = q.first(ctx, "way_m", q.Began.Way+*plan.Distance*1000, func(s *Sum) float64 { return s.Way })
	case aim == "time" && now.At.Sub(q.Began.At) >= seconds(*plan.Time):
		q.Reached, err = q.at(ctx, q.Began.At.Add(seconds(*plan.Time)))
	}
	if err == nil && plan.Energy != nil && now.Energy-q.Began.Energy >= *plan.Energy*wattHour {
		q.Spent, err = q.first(ctx, "energy_j", q.Began.Energy+*plan.Energy*wattHour, func(s *Sum) float64 { return s.Energy })
	}
	return err
}

// began is from where the plan counts.
func (q *reading) began(ctx context.Context) (at time.Time, err error) {
	if len(q.Laps) > 0 {
		return q.Laps[0].From, nil
	}
	if !q.Open.IsZero() {
		return q.Open, nil
	}
	err = q.tx.QueryRow(ctx, `
		SELECT to_timestamp(b.at / 1e6)
		FROM analysis_parts p CROSS JOIN LATERAL unnest(p.at, p.way_m, p.top_ms) b (at, way, top)
		WHERE p.session = $1 AND coalesce(nullif(b.top, 'NaN') >= $2, b.way >= 5)
		ORDER BY p.minute, b.at
		LIMIT 1`, q.session, still.Standing).Scan(&at)
	if err == pgx.ErrNoRows { // it never moved, or nothing says so
		return q.begun, nil
	}
	return at, err
}

// sums are the run between two moments, and what lies next to them.
func (q *reading) sums(ctx context.Context, from, to time.Time) ([]Sum, error) {
	steps, err := trail.Around(ctx, q.tx, q.session, from, to)
	list := make([]Sum, len(steps))
	for i, s := range steps {
		list[i] = Sum{time.UnixMicro(s.At), s.Way, s.Energy, s.Silent, s.Paused}
	}
	return list, err
}

// at is the run at a moment.
func (q *reading) at(ctx context.Context, t time.Time) (*Sum, error) {
	list, err := q.sums(ctx, t, t)
	if err != nil || len(list) == 0 {
		return nil, err
	}
	sum := (&sums{list: list}).raw(t)
	return &sum, nil
}

// first is the run where a sum first came to an amount since it counts: with
// regeneration it may have fallen below that again within a minute.
func (q *reading) first(ctx context.Context, column string, amount float64, of func(*Sum) float64) (*Sum, error) {
	var minute time.Time
	err := q.tx.QueryRow(ctx, "SELECT minute FROM analysis_parts WHERE session = $1 AND minute >= $3 AND $2 <= ANY ("+column+") ORDER BY minute LIMIT 1",
		q.session, amount, q.Began.At.Truncate(time.Minute)).Scan(&minute)
	if err == pgx.ErrNoRows {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	list, err := q.sums(ctx, minute, minute)
	if err != nil {
		return nil, err
	}
	for i := range list {
		if v := of(&list[i]); v >= amount && !list[i].At.Before(q.Began.At) {
			sum := list[i]
			if i > 0 && v > of(&list[i-1]) {
				sum = list[i-1].to(&list[i], max(0, (amount-of(&list[i-1]))/(v-of(&list[i-1]))))
			}
			return &sum, nil
		}
	}
	return nil, nil
}
