package cluster

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/jackc/pgx/v5"
)

// Apart is how far apart two records are, in µs, when they belong to different
// clusters.
const Apart = int64(7 * 24 * time.Hour / time.Microsecond)

// Cluster is a group of a session's records that lies apart from its others.
// Records whose timestamp alone is impossible belong to none.
type Cluster struct {
	From, To int64 // µs since 1970, of the oldest and the newest record
	Stored   int
	Aside    int // set aside as strays
	Fresh    int // about to be stored
	// Trusted says that some came when the server's clock said the same, or that
	// somebody put them there.
	Trusted bool
	Odd     bool // what Judge says of it
}

// Bounds are the times of the oldest and the newest record.
func (c *Cluster) Bounds() (from, to time.Time) { return time.UnixMicro(c.From), time.UnixMicro(c.To) }

func (c *Cluster) records() int { return c.Stored + c.Aside + c.Fresh }

// List is in the order of time.
type List []Cluster

// Join merges lists into one, and clusters that are not apart.
func Join(lists ...List) List {
	all := slices.Concat(lists...)
	slices.SortFunc(all, func(a, b Cluster) int { return int(max(-1, min(1, a.From-b.From))) })
	var joined List
	for _, c := range all {
		if n := len(joined); n > 0 && c.From-joined[n-1].To <= Apart {
			last := &joined[n-1]
			last.To, last.Trusted = max(last.To, c.To), last.Trusted || c.Trusted
			last.Stored, last.Aside, last.Fresh = last.Stored+c.Stored, last.Aside+c.Aside, last.Fresh+c.Fresh
			continue
		}
		joined = append(joined, c)
	}
	return joined
}

const trustedSQL = `
	SELECT EXISTS (
		SELECT
		FROM ingest_batches
		WHERE session = $1 AND records > 0 AND NOT from_file
		  AND (min_time >= $2 AND min_time <= $3 AND (source = 'repair' OR min_time - shifted BETWEEN received_at - INTERVAL '1 day' AND received_at + INTERVAL '1 day')
		    OR max_time >= $2 AND max_time <= $3 AND (source = 'repair' OR max_time - shifted BETWEEN received_at - INTERVAL '1 day' AND received_at + INTERVAL '1 day')))
	OR EXISTS (
		SELECT
		FROM merges m
		JOIN ingest_batches b USING (session, batch)
		WHERE m.session = $1 AND m.undone_by IS NULL AND b.min_time <= $3 AND b.max_time >= $2)`

// Judge tells which clusters of a session are odd: those with less than a tenth
// of all records, but for the largest and those that are trusted. What it says
// depends on the records alone, not on their order or on how they were cut into
// batches. What came at the server's clock at the time is right, and told in the
// commit log. So is what a logger's file was merged into: taken out and brought
// back, its records would stand elsewhere than the merge has noted, and could not
// be emptied when it is undone.
func (l List) Judge(ctx context.Context, tx pgx.Tx, session int32) error {
	l.Weigh()
	for i := range l {
		c := &l[i]
		if !c.Odd || c.Stored == 0 {
			continue
		}
		from, to := c.Bounds()
		if err := tx.QueryRow(ctx, trustedSQL, session, from, to).Scan(&c.Trusted); err != nil {
			return fmt.Errorf("look for records at the server's clock: %w", err)
		}
		c.Odd = !c.Trusted
	}
	return nil
}

// Weigh is Judge by what the list itself says.
func (l List) Weigh() {
	all, most := 0, 0
	for i := range l {
		all += l[i].records()
		most = max(most, l[i].records())
	}
	for i := range l {
		n := l[i].records()
		l[i].Odd = !l[i].Trusted && n < most && 10*n < all
	}
}

// Of returns the cluster that holds a time; nil without one.
func (l List) Of(micros int64) *Cluster {
	for i := range l {
		if l[i].From <= micros && micros <= l[i].To {
			return &l[i]
		}
	}
	return nil
}

// Fresh are the clusters of times alone, in µs, which it sorts. live says that
// they come from a car now, not out of a file: those that the server's clock
// agrees with are right.
func Fresh(times []int64, live bool) List {
	slices.Sort(times)
	var list List
	for _, t := range times {
		if n := len(list); n > 0 && t-list[n-1].To <= Apart {
			list[n-1].To = t
			list[n-1].Fresh++
			continue
		}
		list = append(list, Cluster{From: t, To: t, Fresh: 1})
	}
	now, day := time.Now().UnixMicro(), int64(24*time.Hour/time.Microsecond)
	for i := range list {
		for _, t := range []int64{list[i].From, list[i].To} { // what the commit log keeps of a batch
			list[i].Trusted = list[i].Trusted || live && t >= now-day && t <= now+day
		}
	}
	return list
}
