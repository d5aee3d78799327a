package ingest

import (
	"slices"
	"time"
)

// apart is how far apart two records are, in µs, when they belong to different
// clusters.
const apart = int64(7 * 24 * time.Hour / time.Microsecond)

// cluster is a group of a session's records that lies apart from its others.
// Records whose timestamp alone is impossible belong to none.
type cluster struct {
	from, to int64 // µs since 1970, of the oldest and the newest record
	stored   int
	aside    int // set aside as strays
	fresh    int // about to be stored
	// trusted says that some came when the server's clock said the same, or that
	// somebody put them there.
	trusted bool
	odd     bool // what judge says of it
}

func (c *cluster) records() int { return c.stored + c.aside + c.fresh }

// clusters are in the order of time.
type clusters []cluster

// join merges lists into one, and clusters that are not apart.
func join(lists ...clusters) clusters {
	all := slices.Concat(lists...)
	slices.SortFunc(all, func(a, b cluster) int { return int(max(-1, min(1, a.from-b.from))) })
	var joined clusters
	for _, c := range all {
		if n := len(joined); n > 0 && c.from-joined[n-1].to <= apart {
			last := &joined[n-1]
			last.to, last.trusted = max(last.to, c.to), last.trusted || c.trusted
			last.stored, last.aside, last.fresh = last.stored+c.stored, last.aside+c.aside, last.fresh+c.fresh
			continue
		}
		joined = append(joined, c)
	}
	return joined
}

// judge tells which clusters are odd: those with less than a tenth of all
// records, but for the largest and those that are trusted. What it says depends
// on the records alone, not on their order or on how they were cut into batches.
func (c clusters) judge() {
	all, most := 0, 0
	for i := range c {
		all += c[i].records()
		most = max(most, c[i].records())
	}
	for i := range c {
		n := c[i].records()
		c[i].odd = !c[i].trusted && n < most && 10*n < all
	}
}

// of returns the cluster that holds a time; nil without one.
func (c clusters) of(micros int64) *cluster {
	for i := range c {
		if c[i].from <= micros && micros <= c[i].to {
			return &c[i]
		}
	}
	return nil
}

// freshClusters are those of rows alone. live says that the rows come from a car
// now, not out of a file: those that the server's clock agrees with are right.
func freshClusters(rows []*copyRows, live bool) clusters {
	var times []int64
	for _, r := range rows {
		for i := range r.indexes() {
			if v := r.batch.Record(i); v.Odd == "" {
				times = append(times, v.Micros)
			}
		}
	}
	slices.Sort(times)
	var list clusters
	for _, t := range times {
		if n := len(list); n > 0 && t-list[n-1].to <= apart {
			list[n-1].to = t
			list[n-1].fresh++
			continue
		}
		list = append(list, cluster{from: t, to: t, fresh: 1})
	}
	now, day := time.Now().UnixMicro(), int64(24*time.Hour/time.Microsecond)
	for i := range list {
		list[i].trusted = live && list[i].from <= now+day && list[i].to >= now-day
	}
	return list
}
