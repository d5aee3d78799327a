package ingest

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/ecovolt/telemetryd/internal/fault"
	"github.com/ecovolt/telemetryd/timeseries/decode"
	"github.com/ecovolt/telemetryd/timeseries/record"
)

// spans reports whether the records, with others between those times, may be
// more than one cluster.
func (e *extent) spans(first, last *time.Time) bool {
	if e.records == 0 {
		return false
	}
	from, to := e.minMicros, e.maxMicros
	if first != nil && last != nil {
		from, to = min(from, first.UnixMicro()), max(to, last.UnixMicro())
	}
	return to-from > apart
}

// unusual reports whether the share may change which records of its session are
// strays. It is all that an ordinary batch costs.
func (s *share) unusual() bool {
	return s.records > 0 && (s.before.clustered || s.spans(s.before.first, s.before.last))
}

// settleShare decides which records of a share, and of its session, are strays:
// those of the share are set aside, those that were stored are taken out, and
// those that turn out to be none come back with the share.
func (u *upload) settleShare(ctx context.Context, tx pgx.Tx, s *share) error {
	held, err := heldClusters(ctx, tx, s)
	if err != nil {
		return fmt.Errorf("read clusters: %w", err)
	}
	all := join(held, freshClusters(s.rows, !u.opt.File))
	if s.before.clustered && onlyStored(all) {
		return nil
	}
	return u.settle(ctx, tx, s, all, held...)
}

// onlyStored reports whether all that is fresh belongs to the only cluster that
// is stored. Then strays are strays all the more, and nothing need be written.
func onlyStored(all clusters) bool {
	alone := 0
	for _, c := range all {
		if c.stored > 0 && c.aside == 0 {
			alone++
		} else if c.stored+c.fresh > 0 {
			return false
		}
	}
	return alone == 1
}

// settle does what settleShare says. held are the clusters before, which all
// contains joined with those of the share.
func (u *upload) settle(ctx context.Context, tx pgx.Tx, s *share, all clusters, held ...cluster) error {
	if held == nil {
		held = all
	}
	all.judge()
	// What came at the server's clock at the time is right, and told in the commit log.
	for i := range all {
		if c := &all[i]; c.odd && c.stored > 0 {
			if err := trust(ctx, tx, s.session, c); err != nil {
				return fmt.Errorf("look for records at the server's clock: %w", err)
			}
		}
	}
	if rows, odd := []*copyRows(nil), false; len(s.rows) > 0 {
		ord := 0
		for _, c := range all {
			odd = odd || c.odd && c.fresh > 0
		}
		for _, r := range s.rows {
			if odd {
				r = newCopyRows(r.batch, r.session, ord, r.skip, all)
			}
			rows, ord = append(rows, r), ord+r.records
		}
		s.take(rows)
	}
	var kept []cluster // stored, and not taken out
	var out []cluster
	for _, c := range held {
		if c.stored == 0 {
			continue
		}
		if all.of(c.from).odd {
			out = append(out, c)
		} else {
			kept = append(kept, c)
		}
	}
	for _, c := range out {
		if err := u.takeOut(ctx, tx, s, c, kept); err != nil {
			return fmt.Errorf("set strays aside: %w", err)
		}
	}
	for _, c := range all {
		if !c.odd && c.aside > 0 {
			if err := u.bringBack(ctx, tx, s, c); err != nil {
				return fmt.Errorf("bring strays back: %w", err)
			}
		}
	}
	return writeClusters(ctx, tx, s.session, all)
}

const (
	clustersSQL = `
		SELECT from_time, to_time, records, set_aside, trusted
		FROM clusters
		WHERE session = $1
		ORDER BY from_time`

	// Records that are apart are so by days, too.
	storedDaysSQL = `
		SELECT min(time), max(time), count(*)
		FROM telemetry
		WHERE session = $1 AND time >= $2 AND time <= $3
		GROUP BY time_bucket(INTERVAL '1 day', time)`

	strayDaysSQL = `
		SELECT min(time), max(time), count(*)
		FROM set_aside
		WHERE session = $1 AND reason = 'stray'
		GROUP BY time_bucket(INTERVAL '1 day', time)`

	trustedSQL = `
		SELECT EXISTS (
			SELECT
			FROM ingest_batches
			WHERE session = $1 AND records > 0 AND source NOT IN ('import', 'convex')
			  AND (min_time >= $2 AND min_time <= $3 AND (source = 'repair' OR min_time BETWEEN received_at - INTERVAL '1 day' AND received_at + INTERVAL '1 day')
			    OR max_time >= $2 AND max_time <= $3 AND (source = 'repair' OR max_time BETWEEN received_at - INTERVAL '1 day' AND received_at + INTERVAL '1 day')))`

	forgetClustersSQL = `
		DELETE FROM clusters
		WHERE session = $1 AND from_time <> ALL($2)`

	writeClustersSQL = `
		INSERT INTO clusters (session, from_time, to_time, records, set_aside, trusted)
		SELECT $1, *
		FROM unnest($2::timestamptz[], $3::timestamptz[], $4::bigint[], $5::boolean[], $6::boolean[])
		ON CONFLICT (session, from_time) DO UPDATE
		SET to_time = excluded.to_time, records = excluded.records, set_aside = excluded.set_aside, trusted = excluded.trusted
		WHERE (clusters.to_time, clusters.records, clusters.set_aside, clusters.trusted)
		   <> (excluded.to_time, excluded.records, excluded.set_aside, excluded.trusted)`
)

// heldClusters are those of a locked session, as far as they are known, else by
// its records.
func heldClusters(ctx context.Context, tx pgx.Tx, s *share) (held clusters, err error) {
	var from, to time.Time
	var n int
	var aside, trusted bool
	if s.before.clustered {
		rows, err := tx.Query(ctx, clustersSQL, s.session)
		if err != nil {
			return nil, err
		}
		alone := 0
		_, err = pgx.ForEachRow(rows, []any{&from, &to, &n, &aside, &trusted}, func() error {
			c := cluster{from: from.UnixMicro(), to: to.UnixMicro(), stored: n, trusted: trusted}
			if aside {
				c.stored, c.aside = 0, n
			} else {
				alone++
			}
			held = append(held, c)
			return nil
		})
		// Batches that change nothing but the only one that is stored do not write it.
		for i := range held {
			if c := &held[i]; alone == 1 && c.stored > 0 {
				c.from, c.to, c.stored = s.before.first.UnixMicro(), s.before.last.UnixMicro(), s.before.records
			}
		}
		return held, err
	}
	read := func(sql string, count func(*cluster) *int, args ...any) error {
		rows, err := tx.Query(ctx, sql, args...)
		if err != nil {
			return err
		}
		_, err = pgx.ForEachRow(rows, []any{&from, &to, &n}, func() error {
			c := cluster{from: from.UnixMicro(), to: to.UnixMicro()}
			*count(&c) = n
			held = append(held, c)
			return nil
		})
		return err
	}
	if s.before.records > 0 {
		if err := read(storedDaysSQL, func(c *cluster) *int { return &c.stored }, s.session, *s.before.first, *s.before.last); err != nil {
			return nil, err
		}
	}
	if err := read(strayDaysSQL, func(c *cluster) *int { return &c.aside }, s.session); err != nil {
		return nil, err
	}
	return join(held), nil
}

func (c *cluster) bounds() (from, to time.Time) { return time.UnixMicro(c.from), time.UnixMicro(c.to) }

// trust looks a cluster up in the commit log.
func trust(ctx context.Context, tx pgx.Tx, session int32, c *cluster) error {
	from, to := c.bounds()
	if err := tx.QueryRow(ctx, trustedSQL, session, from, to).Scan(&c.trusted); err != nil {
		return err
	}
	c.odd = !c.trusted
	return nil
}

// writeClusters keeps the clusters of a session that has several.
func writeClusters(ctx context.Context, tx pgx.Tx, session int32, all clusters) error {
	if len(all) == 1 && all[0].to-all[0].from <= apart {
		all = nil
	}
	starts, ends := make([]time.Time, len(all)), make([]time.Time, len(all))
	records, aside, trusted := make([]int, len(all)), make([]bool, len(all)), make([]bool, len(all))
	for i, c := range all {
		starts[i], ends[i] = c.bounds()
		records[i], aside[i], trusted[i] = c.records(), c.odd, c.trusted
	}
	var batch pgx.Batch
	batch.Queue(forgetClustersSQL, session, starts)
	batch.Queue(writeClustersSQL, session, starts, ends, records, aside, trusted)
	if err := tx.SendBatch(ctx, &batch).Close(); err != nil {
		return fmt.Errorf("keep clusters: %w", err)
	}
	return nil
}

const (
	// A record reads the same when it is decoded again: the columns are the
	// members, but for the key and what is absent.
	takeOutSQL = `
		WITH gone AS (
			DELETE FROM telemetry
			WHERE session = $1 AND time >= $2 AND time <= $3
			RETURNING *
		), counted AS (
			SELECT batch, count(*) AS records
			FROM gone
			GROUP BY batch
		), logged AS (
			UPDATE ingest_batches b
			SET records   = b.records - c.records,
			    set_aside = b.set_aside + c.records,
			    min_time  = CASE WHEN b.records > c.records OR b.changed > 0 THEN b.min_time END,
			    max_time  = CASE WHEN b.records > c.records OR b.changed > 0 THEN b.max_time END
			FROM counted c
			WHERE b.session = $1 AND b.batch = c.batch
		), kept AS (
			INSERT INTO set_aside (session, batch, reason, time, timestamp, record, source, received_at)
			SELECT $1, g.batch, 'stray', g.time,
			       coalesce(g.time_text, to_char(g.time AT TIME ZONE 'UTC',
			           CASE WHEN extract(microseconds FROM g.time)::bigint % 1000000 = 0 THEN 'YYYY-MM-DD"T"HH24:MI:SS' ELSE 'YYYY-MM-DD"T"HH24:MI:SS.US' END) || '+00:00'),
			       (SELECT coalesce(jsonb_object_agg(m.key, m.value), '{}')
			        FROM jsonb_each(to_jsonb(g) - ARRAY['time', 'session', 'batch', 'ord', 'time_text', 'extra']) m
			        WHERE m.value <> 'null') || coalesce(g.extra, '{}'),
			       b.source, b.received_at
			FROM gone g
			JOIN ingest_batches b ON b.session = $1 AND b.batch = g.batch
			ORDER BY g.batch, g.ord
		)
		SELECT coalesce(sum(records), 0)::bigint, coalesce(sum(records) FILTER (WHERE batch >= $4), 0)::bigint
		FROM counted`

	// Batches that reached into what was taken out, and beyond.
	shrinkBatchesSQL = `
		WITH wide AS (
			SELECT batch, min_time, max_time
			FROM ingest_batches
			WHERE session = $1 AND records > 0 AND changed = 0
			  AND (min_time >= $2 AND min_time <= $3 OR max_time >= $2 AND max_time <= $3)
		), now AS (
			SELECT t.batch, min(t.time) AS min_time, max(t.time) AS max_time
			FROM telemetry t
			JOIN wide USING (batch)
			WHERE t.session = $1 AND t.time >= (SELECT min(min_time) FROM wide) AND t.time <= (SELECT max(max_time) FROM wide)
			GROUP BY t.batch
		)
		UPDATE ingest_batches b
		SET min_time = now.min_time, max_time = now.max_time
		FROM now
		WHERE b.session = $1 AND b.batch = now.batch`

	shrinkSessionSQL = `
		UPDATE sessions
		SET records    = records - $2,
		    set_aside  = set_aside + $2,
		    first_time = $3,
		    last_time  = $4,
		    first_text = (SELECT time_text FROM telemetry WHERE session = $1 AND time = $3 ORDER BY batch, ord LIMIT 1),
		    last_text  = (SELECT time_text FROM telemetry WHERE session = $1 AND time = $4 ORDER BY batch DESC, ord DESC LIMIT 1),
		    rewritten  = $5,
		    revision   = revision + 1
		WHERE session = $1`
)

// takeOut sets stored records aside. The session's batch that is on its way is
// the one with which that happens.
func (u *upload) takeOut(ctx context.Context, tx pgx.Tx, s *share, c cluster, kept []cluster) error {
	from, to := c.bounds()
	if err := unpackAny(ctx, tx); err != nil {
		return err
	}
	began, ok := u.begun[s.id]
	if !ok {
		began = s.batch
	}
	var n, own int
	if err := tx.QueryRow(ctx, takeOutSQL, s.session, from, to, began).Scan(&n, &own); err != nil {
		return err
	}
	var first, last *time.Time
	if len(kept) > 0 {
		oldest, _ := kept[0].bounds()
		_, newest := kept[len(kept)-1].bounds()
		first, last = &oldest, &newest
	}
	var batch pgx.Batch
	batch.Queue(shrinkBatchesSQL, s.session, from, to)
	batch.Queue(shrinkSessionSQL, s.session, n, first, last, s.batch)
	if err := tx.SendBatch(ctx, &batch).Close(); err != nil {
		return fmt.Errorf("count strays: %w", err)
	}
	if err := u.Forget(ctx, tx, s.session, from, to); err != nil {
		return err
	}
	u.Log.Warn("records that were stored are strays: set aside", "session", s.id, "records", n, "from", from.UTC(), "to", to.UTC())
	if own > 0 {
		u.result.moveAside(s.id, own)
		if len(u.result.Odd) < decode.MaxProblems {
			u.result.Odd = append(u.result.Odd, fault.Problem{Field: "timestamp", Reason: fmt.Sprintf(
				"%d records from %s to %s are more than 7 days from the run's other records", own, record.FormatTime(from), record.FormatTime(to))})
		}
	}
	return nil
}

// unpackAny lets the transaction take records out of the columnstore, however
// many lie in one batch of it.
func unpackAny(ctx context.Context, tx pgx.Tx) error {
	_, err := tx.Exec(ctx, `
		SELECT set_config(name, '0', true) FROM pg_settings
		WHERE name = 'timescaledb.max_tuples_decompressed_per_dml_transaction'`)
	return err
}

// A page of the records comes back at a time, and leaves its batch.
const returnSQL = `
	WITH page AS (
		DELETE FROM set_aside
		WHERE id IN (
			SELECT id
			FROM set_aside
			WHERE session = $1 AND id > $4 AND reason = 'stray' AND time >= $2 AND time <= $3
			ORDER BY id
			LIMIT $5)
		RETURNING id, batch, timestamp, record
	), logged AS (
		UPDATE ingest_batches b
		SET set_aside = b.set_aside - c.records
		FROM (SELECT batch, count(*) AS records FROM page GROUP BY batch) c
		WHERE b.session = $1 AND b.batch = c.batch
	)
	SELECT id, batch, timestamp, record::text
	FROM page
	ORDER BY id`

// bringBack stores records that were set aside as part of the share.
func (u *upload) bringBack(ctx context.Context, tx pgx.Tx, s *share, c cluster) error {
	from, to := c.bounds()
	began, ok := u.begun[s.id]
	if !ok {
		began = s.batch
	}
	for last := int64(0); ; {
		rows, err := tx.Query(ctx, returnSQL, s.session, from, to, last, ChunkRecords)
		if err != nil {
			return err
		}
		var batch int32
		var timestamp, members string
		var text []byte
		n, own := 0, 0
		_, err = pgx.ForEachRow(rows, []any{&last, &batch, &timestamp, &members}, func() error {
			text = appendRecord(text, s.id, timestamp, members)
			n++
			if batch >= began {
				own++
				u.result.dropOdd(oddRecord{timestamp: timestamp, reason: record.Stray}.String())
			}
			return nil
		})
		if err != nil || n == 0 {
			return err
		}
		u.result.moveAside(s.id, -own)
		if err := u.copyText(ctx, tx, s, text); err != nil {
			return err
		}
		s.returned += n
	}
}

// appendRecord writes a record that was set aside as a line of JSON.
func appendRecord(dst []byte, session, timestamp, members string) []byte {
	dst = append(record.AppendJSONString(append(dst, `{"session_id":`...), []byte(session)), `,"timestamp":`...)
	dst = record.AppendJSONString(dst, []byte(timestamp))
	if len(members) > 2 {
		dst = append(append(dst, ','), members[1:]...)
	} else {
		dst = append(dst, '}')
	}
	return append(dst, '\n')
}

// copyText stores records, as lines of JSON, behind the others of the share.
func (u *upload) copyText(ctx context.Context, tx pgx.Tx, s *share, text []byte) error {
	dec := decode.New(bytes.NewReader(text), decode.Options{})
	for end := false; !end; {
		b := decode.NewBatch()
		err := dec.Next(b, ChunkRecords)
		if end = err == io.EOF; err == nil || end {
			err = b.Err()
		}
		if err == nil && b.Len() > 0 {
			r := newCopyRows(b, 0, s.records, nil, nil)
			r.name = nil
			counts := r.extent.clone()
			s.merge(&counts)
			err = u.copy(ctx, tx, s, r)
		}
		b.Release()
		if err != nil {
			return fmt.Errorf("store records that were set aside: %w", err)
		}
	}
	return nil
}
