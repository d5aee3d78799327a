package registry

import (
	"cmp"
	"context"
	"slices"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"

	schema "github.com/ecovolt/telemetryd/sql"
	"github.com/ecovolt/telemetryd/timeseries/extra"
)

// countRecords adds the members of records of a run to those that are known of it, and
// returns the ones that are new, or were known of keys that make no channels only: these
// first, the others by when they came.
func countRecords(ctx context.Context, tx pgx.Tx, part extra.Part) (fresh []Member, err error) {
	type known struct {
		Member string
		Silent bool
	}
	before, err := schema.List(ctx, tx, pgx.RowToStructByPos[known], "SELECT member, no_channels FROM session_members WHERE session = $1", part.Session)
	if err != nil {
		return nil, err
	}
	silent, err := schema.List(ctx, tx, pgx.RowTo[int32], "SELECT batch FROM ingest_batches WHERE session = $1 AND batch > $2 AND batch <= $3 AND no_channels ORDER BY batch",
		part.Session, part.Before, part.UpTo)
	if err != nil {
		return nil, err
	}
	names := extra.Names{Most: maxMembers}
	for _, m := range before {
		names.Know(m.Member)
	}
	counts := make([]Member, len(before)) // by place
	err = names.Each(ctx, tx, part, func(r extra.Record) error {
		counts = append(counts, make([]Member, len(names.List)-len(counts))...)
		_, quiet := slices.BinarySearch(silent, r.Batch)
		for _, v := range r.Values {
			counts[v.Place].count(&r, v, quiet)
		}
		return nil
	}, func() error { return nil })
	if err != nil {
		return nil, err
	}
	var came, heard []Member
	for place, m := range counts {
		if m.Member = names.List[place]; m.Records == 0 {
			continue
		}
		came = append(came, m)
		switch {
		case place >= len(before):
			fresh = append(fresh, m)
		case before[place].Silent && !m.NoChannels:
			heard = append(heard, m)
		}
	}
	slices.SortFunc(fresh, func(a, b Member) int {
		return cmp.Or(a.FirstTime.Compare(b.FirstTime), strings.Compare(a.Member, b.Member))
	})
	return append(heard, fresh...), store(ctx, tx, part.Session, came)
}

// count adds what a record has of the member. Records come in order of time.
func (m *Member) count(r *extra.Record, v extra.Value, silent bool) {
	if m.Records == 0 {
		m.FirstTime, m.NoChannels = r.Time, true
	}
	m.Records, m.LastTime, m.NoChannels = m.Records+1, r.Time, m.NoChannels && silent
	switch {
	case v.Text:
		m.Texts++
	case v.Numeric:
		if m.Numbers++; m.Numbers == 1 {
			m.Low, m.High = new(float64), new(float64)
			*m.Low, *m.High = v.Number, v.Number
		}
		*m.Low, *m.High = min(*m.Low, v.Number), max(*m.High, v.Number)
	}
}

// store adds counts of members to what is known of a run.
func store(ctx context.Context, tx pgx.Tx, session int32, counts []Member) error {
	if len(counts) == 0 {
		return nil
	}
	var members []string
	var records, numbers, texts []int64
	var firsts, lasts []time.Time
	var lows, highs []*float64
	var silent []bool
	for _, m := range counts {
		members, records, numbers, texts = append(members, m.Member), append(records, m.Records), append(numbers, m.Numbers), append(texts, m.Texts)
		firsts, lasts, lows, highs, silent = append(firsts, m.FirstTime), append(lasts, m.LastTime), append(lows, m.Low), append(highs, m.High), append(silent, m.NoChannels)
	}
	_, err := tx.Exec(ctx, `
		INSERT INTO session_members AS c (session, member, records, numbers, texts, first_time, last_time, low, high, no_channels)
		SELECT $1, * FROM unnest($2::text[], $3::bigint[], $4::bigint[], $5::bigint[], $6::timestamptz[], $7::timestamptz[], $8::float8[], $9::float8[], $10::boolean[])
		ON CONFLICT (session, member) DO UPDATE SET
			records = c.records + excluded.records, numbers = c.numbers + excluded.numbers, texts = c.texts + excluded.texts,
			first_time = least(c.first_time, excluded.first_time), last_time = greatest(c.last_time, excluded.last_time),
			low = least(c.low, excluded.low), high = greatest(c.high, excluded.high), no_channels = c.no_channels AND excluded.no_channels`,
		session, members, records, numbers, texts, firsts, lasts, lows, highs, silent)
	return err
}
