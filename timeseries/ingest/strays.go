package ingest

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"slices"
	"time"

	"github.com/jackc/pgx/v5"

	schema "github.com/ecovolt/telemetryd/sql"
	"github.com/ecovolt/telemetryd/timeseries/decode"
	"github.com/ecovolt/telemetryd/timeseries/ingest/aside"
	"github.com/ecovolt/telemetryd/timeseries/ingest/cluster"
	"github.com/ecovolt/telemetryd/timeseries/ingest/sparse"
	"github.com/ecovolt/telemetryd/timeseries/record"
)

// apart reports whether the records, with others between those times, may be
// more than one cluster.
func (e *extent) apart(first, last *time.Time) bool {
	if e.records == 0 {
		return false
	}
	from, to := e.minMicros, e.maxMicros
	if first != nil && last != nil {
		from, to = min(from, first.UnixMicro()), max(to, last.UnixMicro())
	}
	return to-from > cluster.Apart
}

// unusual reports whether the share may change which records of its session are
// strays. It is all that an ordinary batch costs.
func (s *share) unusual() bool {
	return s.records > 0 && (s.before.clustered || s.apart(s.before.first, s.before.last))
}

// toSettle reports whether the share has to be seen whole before it is stored.
func (s *share) toSettle() bool { return s.unusual() || sparse.Wide(s.minMicros, s.maxMicros) }

// settleShare decides which records of a share, and of its session, are strays:
// those of the share are set aside, those that were stored are taken out, and
// those that turn out to be none come back with the share.
func (u *upload) settleShare(ctx context.Context, tx pgx.Tx, s *share) error {
	held, err := cluster.Held(ctx, tx, s.held())
	if err != nil {
		return fmt.Errorf("read clusters: %w", err)
	}
	all := cluster.Join(held, freshClusters(s.rows, !u.opt.File))
	if s.before.clustered && onlyStored(all) {
		return nil
	}
	return u.settle(ctx, tx, s, all, held...)
}

// held is what package cluster asks of the session.
func (s *share) held() cluster.Session {
	return cluster.Session{Key: s.session, Records: s.before.records, First: s.before.first, Last: s.before.last, Clustered: s.before.clustered}
}

// freshClusters are those of rows alone.
func freshClusters(rows []*copyRows, live bool) cluster.List {
	var times []int64
	for _, r := range rows {
		times = slices.AppendSeq(times, r.times())
	}
	return cluster.Fresh(times, live)
}

// onlyStored reports whether all that is fresh belongs to the only cluster that
// is stored. Then strays are strays all the more, and nothing need be written.
func onlyStored(all cluster.List) bool {
	alone := 0
	for _, c := range all {
		if c.Stored > 0 && c.Aside == 0 {
			alone++
		} else if c.Stored+c.Fresh > 0 {
			return false
		}
	}
	return alone == 1
}

// settle does what settleShare says. held are the clusters before, which all
// contains joined with those of the share.
func (u *upload) settle(ctx context.Context, tx pgx.Tx, s *share, all cluster.List, held ...cluster.Cluster) error {
	if held == nil {
		held = all
	}
	if err := all.Judge(ctx, tx, s.session); err != nil {
		return err
	}
	if rows, odd := []*copyRows(nil), false; len(s.rows) > 0 {
		ord := 0
		for _, c := range all {
			odd = odd || c.Odd && c.Fresh > 0
		}
		for _, r := range s.rows {
			if odd {
				r = newCopyRows(r.batch, r.session, ord, r.skip, all, u.parts(ctx, u.opt))
			}
			rows, ord = append(rows, r), ord+r.records
		}
		s.take(rows)
	}
	var kept []cluster.Cluster // stored, and not taken out
	var out []cluster.Cluster
	for _, c := range held {
		if c.Stored == 0 {
			continue
		}
		if all.Of(c.From).Odd {
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
		if !c.Odd && c.Aside > 0 {
			if err := u.bringBack(ctx, tx, s, c); err != nil {
				return fmt.Errorf("bring strays back: %w", err)
			}
		}
	}
	return cluster.Write(ctx, tx, s.session, all)
}

const (
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
			       ` + aside.RowSQL + `,
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
func (u *upload) takeOut(ctx context.Context, tx pgx.Tx, s *share, c cluster.Cluster, kept []cluster.Cluster) error {
	from, to := c.Bounds()
	if err := schema.UnpackAny(ctx, tx); err != nil {
		return err
	}
	var n, own int
	if err := tx.QueryRow(ctx, takeOutSQL, s.session, from, to, u.began(s)).Scan(&n, &own); err != nil {
		return err
	}
	var first, last *time.Time
	if len(kept) > 0 {
		oldest, _ := kept[0].Bounds()
		_, newest := kept[len(kept)-1].Bounds()
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
	u.tookOut = true
	u.Log.Warn("records that were stored are strays: set aside", "session", s.id, "records", n, "from", from.UTC(), "to", to.UTC())
	if own > 0 {
		u.result.moveAside(s.id, own)
		u.result.tellOdd(strays(own, &c))
	}
	return nil
}

// A page of the records comes back at a time, and leaves its batch.
var returnSQL = "WITH RECURSIVE " + aside.Page("reason = 'stray' AND source <> 'merge' AND time >= $5 AND time <= $6") + `, gone AS (
		DELETE FROM set_aside
		WHERE id IN (SELECT id FROM page)
		RETURNING id, batch, timestamp, record
	), logged AS (
		UPDATE ingest_batches b
		SET set_aside = b.set_aside - c.records
		FROM (SELECT batch, count(*) AS records FROM gone GROUP BY batch) c
		WHERE b.session = $1 AND b.batch = c.batch
	)
	SELECT id, batch, timestamp, record::text
	FROM gone
	ORDER BY id`

// bringBack stores records that were set aside as part of the share.
func (u *upload) bringBack(ctx context.Context, tx pgx.Tx, s *share, c cluster.Cluster) error {
	from, to := c.Bounds()
	began := u.began(s)
	for last := int64(0); ; {
		rows, err := tx.Query(ctx, returnSQL, s.session, last, ChunkRecords, decode.MaxChunkBytes, from, to)
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
				u.result.dropOdd(aside.Why(timestamp, record.Stray))
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
// They were taken once: written by the database they may be longer than what
// came, as 1e300 is.
func (u *upload) copyText(ctx context.Context, tx pgx.Tx, s *share, text []byte) error {
	dec := decode.New(bytes.NewReader(text), decode.Options{MaxRecord: len(text)})
	for end := false; !end; {
		b := decode.NewBatch()
		err := dec.Next(b, ChunkRecords)
		if end = err == io.EOF; err == nil || end {
			err = b.Err()
		}
		if err == nil && b.Len() > 0 {
			r := newCopyRows(b, 0, s.records, nil, nil, u.parts(ctx, u.opt))
			r.name = nil
			counts := r.extent.clone()
			s.merge(&counts)
			s.back.Join(&r.surplus)
			err = u.copy(ctx, tx, s, r)
		}
		b.Release()
		if err != nil {
			return fmt.Errorf("store records that were set aside: %w", err)
		}
	}
	return nil
}
