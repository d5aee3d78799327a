package delta

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"
)

// Recent says how much of a session's newest past a reader wants: the records
// measured in the last Period, or the newest Records by time of measurement,
// whichever is less when both are set. Neither: none.
type Recent struct {
	Period  time.Duration
	Records int
}

// RecentStart finds where to start reading so that Read, with NotBefore
// set to the time it returns, is the session's recent past as of position
// now: in order of arrival, so that every place in it is a cursor. When
// nothing is wanted, or nothing is there, from equals now.
func (d *Reader) RecentStart(ctx context.Context, now Position, recent Recent) (from Position, notBefore time.Time, err error) {
	if now.Session == 0 || recent == (Recent{}) {
		return now, time.Time{}, nil
	}
	var newest *time.Time
	err = d.pool.QueryRow(ctx, `
		SELECT max(max_time) FROM ingest_batches WHERE session = $1 AND batch <= $2 AND records > 0`, now.Session, now.Batch).Scan(&newest)
	if err != nil {
		return Position{}, time.Time{}, fmt.Errorf("find the newest record: %w", err)
	}
	if newest == nil {
		return now, time.Time{}, nil
	}
	if recent.Period > 0 {
		notBefore = newest.Add(-recent.Period)
	}
	if recent.Records > 0 {
		// The batches that came last and have that many bound how far back the
		// newest by time can lie, so that the read names few chunks.
		var since time.Time
		err = d.pool.QueryRow(ctx, `
			SELECT min(min_time)
			FROM (
				SELECT min_time, sum(records) OVER (ORDER BY batch DESC) - records AS later
				FROM (
					SELECT batch, min_time, records
					FROM ingest_batches
					WHERE session = $1 AND batch <= $2 AND records > 0
					ORDER BY batch DESC LIMIT $3) last
			) b
			WHERE later < $3`, now.Session, now.Batch, recent.Records).Scan(&since)
		if err != nil {
			return Position{}, time.Time{}, fmt.Errorf("find the newest batches: %w", err)
		}
		if notBefore.Before(since) {
			notBefore = since
		}
		// With fewer than that many in the period, it is shorter.
		err = d.pool.QueryRow(ctx, `
			SELECT time FROM telemetry
			WHERE session = $1 AND time >= $2 AND time <= $3 AND batch <= $4
			ORDER BY time DESC OFFSET $5 LIMIT 1`,
			pgx.QueryExecModeCacheDescribe, now.Session, notBefore, *newest, now.Batch, recent.Records-1).Scan(&notBefore)
		if err != nil && !errors.Is(err, pgx.ErrNoRows) {
			return Position{}, time.Time{}, fmt.Errorf("find the oldest record of a snapshot: %w", err)
		}
	}
	var first *int32
	err = d.pool.QueryRow(ctx, `
		SELECT min(batch) FROM ingest_batches WHERE session = $1 AND batch <= $2 AND max_time >= $3 AND records > 0`,
		now.Session, now.Batch, notBefore).Scan(&first)
	if err != nil {
		return Position{}, time.Time{}, fmt.Errorf("find the first batch of a snapshot: %w", err)
	}
	if first == nil {
		return now, time.Time{}, nil
	}
	return Position{Session: now.Session, Batch: *first - 1}, notBefore, nil
}

// CountBetween is the number of records that came after one position of a
// session and up to another.
func (d *Reader) CountBetween(ctx context.Context, from, to Position) (records int64, err error) {
	err = d.pool.QueryRow(ctx, `
		SELECT coalesce(sum(records), 0) FROM ingest_batches WHERE session = $1 AND batch > $2 AND batch <= $3`,
		from.Session, from.Batch, to.Batch).Scan(&records)
	if err != nil {
		return 0, fmt.Errorf("count records between two positions: %w", err)
	}
	return records - int64(from.Next) + int64(to.Next), nil
}
