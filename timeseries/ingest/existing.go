package ingest

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/jackc/pgx/v5"

	schema "github.com/ecovolt/telemetryd/sql"
	"github.com/ecovolt/telemetryd/timeseries/ingest/aside"
	"github.com/ecovolt/telemetryd/timeseries/ingest/repeat"
	"github.com/ecovolt/telemetryd/timeseries/record"
)

// skipExisting leaves out of a share what the session, which is locked, holds
// already. The share keeps its digest, so that the whole input is recognised
// when it comes again.
func (u *upload) skipExisting(ctx context.Context, tx pgx.Tx, s *share) error {
	held := u.existing[s.id]
	if held == nil {
		held = repeat.NewHeld(s.batch - 1)
		u.existing[s.id] = held
	}
	if held.Batch == 0 {
		return nil
	}
	for i, r := range s.rows {
		order := slices.Collect(r.indexes())
		var times []time.Time
		for at := range r.times() {
			times = append(times, time.UnixMicro(at))
		}
		stored, err := held.Read(ctx, tx, s.session, &r.layout, times)
		if err != nil {
			return fmt.Errorf("compare with stored records: %w", err)
		}
		aside, err := asideBefore(ctx, tx, r, s, held.Batch)
		if err != nil {
			return fmt.Errorf("compare with records set aside: %w", err)
		}
		if stored.Len()+len(aside) == 0 {
			continue
		}
		// Records with more fields choose first: what matches them matches less else.
		slices.SortStableFunc(order, func(x, y int) int {
			vx, vy := r.batch.Record(x), r.batch.Record(y)
			return cmp.Compare(vy.Present.Count(), vx.Present.Count())
		})
		drop := map[int]bool{}
		for _, i := range order {
			v := r.batch.Record(i)
			drop[i] = aside[i] || v.Odd == "" && stored.Take(&v)
		}
		s.rows[i] = newCopyRows(r.batch, r.session, 0, drop, nil, u.parts(ctx, u.opt))
	}
	s.take(s.rows)
	return nil
}

// asideBefore returns the rows' records that the session has set aside already,
// or had until somebody put them back or dropped them, by their places.
func asideBefore(ctx context.Context, tx pgx.Tx, r *copyRows, s *share, batch int32) (map[int]bool, error) {
	if !s.before.odd {
		return nil, nil
	}
	var places []int
	var timestamps, members []string
	for i := range r.indexes() {
		v := r.batch.Record(i)
		odd := aside.New(&v, i, 0, cmp.Or(v.Odd, record.Stray))
		places, timestamps, members = append(places, i), append(timestamps, odd.Timestamp), append(members, odd.Members)
	}
	list, err := schema.List(ctx, tx, pgx.RowTo[int], `
		SELECT place
		FROM unnest($3::int[], $4::text[], $5::text[]) AS odd (place, timestamp, record)
		WHERE (timestamp, record::jsonb) IN (SELECT timestamp, record FROM set_aside WHERE session = $1 AND batch <= $2)
		   OR sha256(convert_to(timestamp || record::jsonb::text, 'UTF8')) IN (SELECT digest FROM repaired WHERE session = $1 AND batch <= $2)`,
		s.session, batch, places, timestamps, members)
	before := map[int]bool{}
	for _, place := range list {
		before[place] = true
	}
	return before, err
}
