package cluster

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/jackc/pgx/v5"
)

const (
	clustersSQL = `
		SELECT from_time, to_time, records, set_aside, trusted
		FROM clusters
		WHERE session = $1
		ORDER BY from_time`

	// Records that are apart are so by days, too. What a merge has set aside has
	// the times of another clock.
	storedDaysSQL = `
		SELECT min(time), max(time), count(*)
		FROM telemetry
		WHERE session = $1 AND time >= $2 AND time <= $3
		GROUP BY time_bucket(INTERVAL '1 day', time)`

	strayDaysSQL = `
		SELECT min(time), max(time), count(*)
		FROM set_aside
		WHERE session = $1 AND reason = 'stray' AND source <> 'merge'
		GROUP BY time_bucket(INTERVAL '1 day', time)`

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

// Session is what a locked session holds.
type Session struct {
	Key         int32
	Records     int        // that are stored
	First, Last *time.Time // of these; nil without
	Clustered   bool       // it has clusters in the database
}

// Held are the clusters of a session, as far as they are known, else by its
// records.
func Held(ctx context.Context, tx pgx.Tx, s Session) (List, error) {
	if !s.Clustered {
		stored, aside, err := counted(ctx, tx, s)
		return Join(stored, aside), err
	}
	held, err := known(ctx, tx, s.Key)
	alone := 0
	for _, c := range held {
		if c.Stored > 0 {
			alone++
		}
	}
	// Batches that change nothing but the only one that is stored do not write it.
	for i := range held {
		if c := &held[i]; alone == 1 && c.Stored > 0 {
			c.From, c.To, c.Stored = s.First.UnixMicro(), s.Last.UnixMicro(), s.Records
		}
	}
	return held, err
}

// Count are the clusters of a session by its records, trusted where the known
// ones are.
func Count(ctx context.Context, tx pgx.Tx, s Session) (List, error) {
	stored, aside, err := counted(ctx, tx, s)
	if err != nil || !s.Clustered {
		return Join(stored, aside), err
	}
	all := Join(stored, aside)
	return all, all.trust(ctx, tx, s.Key)
}

// Recount counts the clusters of a session anew where it has several, or may have,
// and leaves them stored and set aside as they are: for who changed its records
// other than by an upload. The next upload judges them.
func Recount(ctx context.Context, tx pgx.Tx, session int32) error {
	s := Session{Key: session}
	err := tx.QueryRow(ctx, `
		SELECT records, first_time, last_time, EXISTS (SELECT FROM clusters c WHERE c.session = $1)
		FROM sessions
		WHERE session = $1`, session).Scan(&s.Records, &s.First, &s.Last, &s.Clustered)
	if err != nil {
		return fmt.Errorf("recount clusters: %w", err)
	}
	if !s.Clustered && (s.First == nil || s.Last.Sub(*s.First).Microseconds() <= Apart) {
		return nil
	}
	stored, aside, err := counted(ctx, tx, s)
	if err != nil {
		return fmt.Errorf("recount clusters: %w", err)
	}
	for i := range aside {
		c := &aside[i]
		c.Odd = true
		if of := stored.Of(c.From); of != nil && of.From == c.From { // a cluster is told by its first time
			c.From, c.To = c.From+1, max(c.To, c.From+1)
		}
	}
	all := slices.Concat(stored, aside)
	if err := all.trust(ctx, tx, session); err != nil {
		return fmt.Errorf("recount clusters: %w", err)
	}
	return Write(ctx, tx, session, all)
}

// trust has clusters trusted where the known ones are.
func (l List) trust(ctx context.Context, tx pgx.Tx, session int32) error {
	before, err := known(ctx, tx, session)
	for _, b := range before {
		for i := range l {
			l[i].Trusted = l[i].Trusted || b.Trusted && b.From <= l[i].To && b.To >= l[i].From
		}
	}
	return err
}

// known are the clusters in the database.
func known(ctx context.Context, tx pgx.Tx, session int32) (list List, err error) {
	rows, err := tx.Query(ctx, clustersSQL, session)
	if err != nil {
		return nil, err
	}
	var from, to time.Time
	var n int
	var aside, trusted bool
	_, err = pgx.ForEachRow(rows, []any{&from, &to, &n, &aside, &trusted}, func() error {
		c := Cluster{From: from.UnixMicro(), To: to.UnixMicro(), Stored: n, Trusted: trusted}
		if aside {
			c.Stored, c.Aside = 0, n
		}
		list = append(list, c)
		return nil
	})
	return list, err
}

// counted are the clusters of the session's records, and of those set aside.
func counted(ctx context.Context, tx pgx.Tx, s Session) (stored, aside List, err error) {
	read := func(sql string, count func(*Cluster) *int, args ...any) (list List, err error) {
		rows, err := tx.Query(ctx, sql, args...)
		if err != nil {
			return nil, err
		}
		var from, to time.Time
		var n int
		_, err = pgx.ForEachRow(rows, []any{&from, &to, &n}, func() error {
			c := Cluster{From: from.UnixMicro(), To: to.UnixMicro()}
			*count(&c) = n
			list = append(list, c)
			return nil
		})
		return Join(list), err
	}
	if s.Records > 0 {
		if stored, err = read(storedDaysSQL, func(c *Cluster) *int { return &c.Stored }, s.Key, *s.First, *s.Last); err != nil {
			return nil, nil, err
		}
	}
	aside, err = read(strayDaysSQL, func(c *Cluster) *int { return &c.Aside }, s.Key)
	return stored, aside, err
}

// Write keeps the clusters of a session that has several.
func Write(ctx context.Context, tx pgx.Tx, session int32, all List) error {
	if len(all) == 1 && all[0].To-all[0].From <= Apart {
		all = nil
	}
	starts, ends := make([]time.Time, len(all)), make([]time.Time, len(all))
	records, aside, trusted := make([]int, len(all)), make([]bool, len(all)), make([]bool, len(all))
	for i, c := range all {
		starts[i], ends[i] = c.Bounds()
		records[i], aside[i], trusted[i] = c.records(), c.Odd, c.Trusted
	}
	var batch pgx.Batch
	batch.Queue(forgetClustersSQL, session, starts)
	batch.Queue(writeClustersSQL, session, starts, ends, records, aside, trusted)
	if err := tx.SendBatch(ctx, &batch).Close(); err != nil {
		return fmt.Errorf("keep clusters: %w", err)
	}
	return nil
}
