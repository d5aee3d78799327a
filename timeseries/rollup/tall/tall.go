package tall

import (
	"context"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"

	schema "github.com/ecovolt/telemetryd/sql"
	"github.com/ecovolt/telemetryd/timeseries/extra"
	"github.com/ecovolt/telemetryd/timeseries/progress"
	"github.com/ecovolt/telemetryd/timeseries/registry"
	"github.com/ecovolt/telemetryd/timeseries/rollup"
)

const (
	// mostMembers is how many members of a run have levels, the first that came.
	// Further ones are charted from the records.
	mostMembers = 150
	// pieceRecords is about how many new records are taken on in one transaction: each
	// of them may bring hundreds of members.
	pieceRecords = 20_000
)

// widths are those of the levels, from the finest on, which is made of the records.
var widths = []time.Duration{10 * time.Second, time.Minute, 10 * time.Minute}

// Levels keeps the levels up to date. It is work that goes on behind the rollups'.
// Members that Channels is to count next are counted beside, so that records are read
// once for both.
type Levels struct{ Channels *registry.Registry }

// table is that of how far the levels follow.
const table = "member_level_progress"

// due are the runs that are ahead of their levels. One whose new batches have no
// members that lack a column is plain.
var due = `
	SELECT d.*, (d.done > 0 OR d.rewritten = 0) AND NOT EXISTS (
		SELECT FROM ingest_batches b
		WHERE b.session = d.session AND b.batch > d.done AND b.batch <= d.batch
		  AND (b.members IS DISTINCT FROM false OR b.changed > 0)) AS plain
	FROM (` + progress.Due(table) + `) d`

// Due implements rollup.Work.
func (Levels) Due(ctx context.Context, conn *pgx.Conn) (found bool, err error) {
	if err = conn.QueryRow(ctx, "SELECT EXISTS ("+due+")").Scan(&found); err != nil {
		return false, fmt.Errorf("look for members that the levels lack: %w", err)
	}
	return found, nil
}

// Do implements rollup.Work.
func (l Levels) Do(ctx context.Context, conn *pgx.Conn) error {
	_, err := conn.Exec(ctx, `
		INSERT INTO `+table+` AS p (session, batch, rewritten, changed)
		SELECT session, batch, rewritten, batch
		FROM (`+due+`) d
		WHERE plain
		ON CONFLICT (session) DO UPDATE SET batch = excluded.batch, changed = excluded.changed`)
	if err != nil {
		return fmt.Errorf("note runs without members: %w", err)
	}
	runs, err := schema.List(ctx, conn, pgx.RowToStructByPos[progress.Run],
		"SELECT d.session, d.batch, d.rewritten, d.done FROM ("+due+") d JOIN sessions s USING (session) WHERE NOT d.plain"+progress.SmallestFirst)
	if err != nil {
		return fmt.Errorf("find runs that are ahead of their levels: %w", err)
	}
	return progress.Turn(ctx, conn, "levels of the members", runs, func(tx pgx.Tx, run progress.Run) (ended func(), done bool, err error) {
		counter, done, err := l.follow(ctx, tx, run.Session, run.Batch, run.Rewritten)
		return counter.Close, done, err
	})
}

// follow brings the levels of a run up by a piece, and reports whether that reached
// the batch.
func (l Levels) follow(ctx context.Context, tx pgx.Tx, session, batch, rewritten int32) (counter *registry.Counter, reached bool, err error) {
	done, err := progress.Resume(ctx, tx, table, session, batch, rewritten)
	if err != nil {
		return nil, false, err
	}
	if done == 0 { // new, or records of it were taken away or changed since
		// What retention left only here stays.
		oldest, err := rollup.OldestRecord(ctx, tx)
		if err != nil {
			return nil, false, err
		}
		if _, err := tx.Exec(ctx, "DELETE FROM member_levels WHERE session = $1 AND bucket >= $2", session, oldest); err != nil {
			return nil, false, err
		}
	}
	var upTo int32
	var some bool // have members
	err = tx.QueryRow(ctx, `
		WITH ahead AS (
			SELECT batch, records, members IS DISTINCT FROM false OR changed > 0 AS due
			FROM ingest_batches
			WHERE session = $1 AND batch > $2 AND batch <= $3
		), counted AS (
			SELECT batch, due, sum(records) FILTER (WHERE due) OVER (ORDER BY batch) AS total, min(batch) OVER () AS first
			FROM ahead
		)
		SELECT coalesce(max(batch), $3), coalesce(bool_or(due), false)
		FROM counted
		WHERE coalesce(total, 0) <= $4 OR batch = first`, session, done, batch, pieceRecords).Scan(&upTo, &some)
	if err != nil {
		return nil, false, err
	}
	if !some {
		return counter, upTo == batch, progress.Reached(ctx, tx, table, session, upTo)
	}
	spans, _, err := rollup.Changed(ctx, tx, []rollup.Change{{Session: session, After: done, UpTo: upTo}}, widths[len(widths)-1])
	if err != nil {
		return nil, false, err
	}
	for k, s := range spans {
		spans[k] = s.Outward(widths[0])
	}
	spans = rollup.Merge(spans, 0)
	if counter, err = l.Channels.Beside(ctx, tx, session, rewritten, done, upTo, batch); err != nil {
		return nil, false, err
	}
	var others []extra.Reader
	if counter != nil {
		others = append(others, counter.Reader())
	}
	if err := makeFinest(ctx, tx, session, spans, others...); err != nil {
		return nil, false, fmt.Errorf("%v: %w", widths[0], err)
	}
	for i, width := range widths[1:] {
		for k, s := range spans {
			spans[k] = s.Outward(width)
		}
		spans = rollup.Merge(spans, 0)
		for _, s := range spans {
			if _, err := tx.Exec(ctx, coarser, session, s.From, s.To, widths[i].Seconds(), width.Seconds(), width); err != nil {
				return nil, false, fmt.Errorf("%v from %v to %v: %w", width, s.From, s.To, err)
			}
		}
	}
	if counter != nil {
		if err := counter.Conclude(ctx, tx); err != nil {
			return nil, false, fmt.Errorf("count members: %w", err)
		}
	}
	return counter, upTo == batch, progress.Reached(ctx, tx, table, session, upTo)
}

// onto replaces buckets that were there.
const onto = `
	ON CONFLICT (session, width, slot, bucket) DO UPDATE SET
		low = excluded.low, high = excluded.high, sum = excluded.sum, count = excluded.count,
		first_time = excluded.first_time, last_time = excluded.last_time`

// into adds to buckets that were there.
const into = `
	ON CONFLICT (session, width, slot, bucket) DO UPDATE SET
		low = least(m.low, excluded.low), high = greatest(m.high, excluded.high), sum = m.sum + excluded.sum, count = m.count + excluded.count,
		first_time = least(m.first_time, excluded.first_time), last_time = greatest(m.last_time, excluded.last_time)`

// coarser makes buckets of the next finer level's.
const coarser = `
	INSERT INTO member_levels (session, width, slot, bucket, low, high, sum, count, first_time, last_time)
	SELECT session, $5, slot, time_bucket($6::interval, bucket), min(low), max(high), sum(sum), sum(count), min(first_time), max(last_time)
	FROM member_levels
	WHERE session = $1 AND width = $4 AND bucket >= $2 AND bucket < $3
	  AND slot IN (SELECT slot FROM level_members WHERE session = $1)
	GROUP BY 1, 3, 4` + onto

// Forget removes the levels of a run, in the transaction that deletes it.
func Forget(ctx context.Context, tx pgx.Tx, session int32) error {
	return schema.DeleteOf(ctx, tx, session, "level_members", "member_levels", table)
}
