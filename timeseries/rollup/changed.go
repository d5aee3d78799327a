package rollup

import (
	"context"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"

	schema "github.com/ecovolt/telemetryd/sql"
)

// Change is a stretch of a session's batches: those after After, up to UpTo.
type Change struct{ Session, After, UpTo int32 }

// Changed returns the ranges of time in which the batches have records, in no
// order, and how many records those are. Of a batch that spans much more time
// than it fills, only buckets of that width count that hold some of it; not so of a
// merge, after which everything that was known of its time is forgotten.
func Changed(ctx context.Context, q schema.Querier, changes []Change, width time.Duration) (spans []Span, records int64, err error) {
	var sessions, after, upTo []int32
	for _, c := range changes {
		sessions, after, upTo = append(sessions, c.Session), append(after, c.After), append(upTo, c.UpTo)
	}
	rows, err := q.Query(ctx, `
		SELECT b.session, b.batch, b.min_time, b.max_time, b.records, b.changed, b.source = 'merge'
		FROM unnest($1::int[], $2::int[], $3::int[]) p (session, after, up_to)
		JOIN ingest_batches b ON b.session = p.session AND b.batch > p.after AND b.batch <= p.up_to
		WHERE b.min_time IS NOT NULL`, sessions, after, upTo)
	if err != nil {
		return nil, 0, err
	}
	type batch struct {
		session, number int32
		span            Span
	}
	var sparse []batch
	var b batch
	var first, last time.Time
	var stored, altered int64
	var merged bool
	_, err = pgx.ForEachRow(rows, []any{&b.session, &b.number, &first, &last, &stored, &altered, &merged}, func() error {
		records += stored + altered
		b.span = Span{first, last.Add(time.Microsecond)}
		if !merged && isSparse(b.span, stored) {
			sparse = append(sparse, b)
			return nil
		}
		spans = append(spans, b.span)
		if len(spans) > 10_000 {
			spans = Merge(spans, 0)
		}
		return nil
	})
	if err != nil {
		return nil, 0, err
	}
	for _, b := range sparse {
		starts, err := schema.List(ctx, q, pgx.RowTo[time.Time], `
			SELECT DISTINCT time_bucket($5::interval, time)
			FROM telemetry
			WHERE session = $1 AND batch = $2 AND time >= $3 AND time < $4`, b.session, b.number, b.span.From, b.span.To, width)
		if err != nil {
			return nil, 0, err
		}
		for _, start := range starts {
			spans = append(spans, Span{start, start.Add(width)}.Clip(b.span))
		}
	}
	return spans, records, nil
}

// isSparse tells a batch that spans much more time than its records fill: one
// stray timestamp spans months in which nothing changed.
func isSparse(span Span, records int64) bool {
	return span.Length() > time.Hour && span.Length() > time.Duration(records)*10*time.Second
}

// Forget notes, in the transaction that deletes the records of a session and
// before the session's own row and its batches go, what the rollups have to
// forget. A session that never appeared has no bounds but its batches'.
func Forget(ctx context.Context, tx pgx.Tx, session int32) error {
	if err := schema.DeleteOf(ctx, tx, session, "rollup_progress"); err != nil {
		return err
	}
	_, err := tx.Exec(ctx, `
		INSERT INTO rollup_dirty (session, from_time, to_time)
		SELECT s.session, coalesce(s.first_time, b.first_time), coalesce(s.last_time, b.last_time)
		FROM sessions s, (
			SELECT min(min_time) AS first_time, max(max_time) AS last_time
			FROM ingest_batches
			WHERE session = $1) b
		WHERE s.session = $1 AND coalesce(s.first_time, b.first_time) IS NOT NULL`, session)
	if err != nil {
		return fmt.Errorf("note what the rollups have to forget: %w", err)
	}
	return nil
}

// ForgetRange notes, in the transaction that takes records of a session out other
// than by a batch, that the rollups are not right between those times, ends
// included.
func ForgetRange(ctx context.Context, tx pgx.Tx, session int32, from, to time.Time) error {
	_, err := tx.Exec(ctx, "INSERT INTO rollup_dirty (session, from_time, to_time) VALUES ($1, $2, $3)", session, from, to)
	if err != nil {
		return fmt.Errorf("note what the rollups have to forget: %w", err)
	}
	return nil
}
