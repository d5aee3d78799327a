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
	"github.com/ecovolt/telemetryd/timeseries/progress"
)

// Counter adds the members of some batches of a run to those that are known of it.
type Counter struct {
	registry    *Registry
	session     int32
	after, upTo int32   // the batches: those after the one, up to the other
	silent      []int32 // thereof batches that make no channels
	before      []known // members that are known, in the order of their places
	names       extra.Names
	counts      []Member // by place
	fresh       bool
}

type known struct {
	Member string
	Silent bool
}

func (r *Registry) counter(ctx context.Context, tx pgx.Tx, session, after, upTo int32) (c *Counter, err error) {
	c = &Counter{registry: r, session: session, after: after, upTo: upTo, names: extra.Names{Most: maxMembers}}
	c.before, err = schema.List(ctx, tx, pgx.RowToStructByPos[known], "SELECT member, no_channels FROM session_members WHERE session = $1", session)
	if err != nil {
		return nil, err
	}
	for _, m := range c.before {
		c.names.Know(m.Member)
	}
	c.silent, err = schema.List(ctx, tx, pgx.RowTo[int32], "SELECT batch FROM ingest_batches WHERE session = $1 AND batch > $2 AND batch <= $3 AND no_channels ORDER BY batch", session, after, upTo)
	return c, err
}

// Beside begins to count those batches of a run, whose newest is given, for who reads
// all records of theirs in order of time anyway. It returns nil where others are the
// next to be counted.
func (r *Registry) Beside(ctx context.Context, tx pgx.Tx, session, rewritten, after, upTo, newest int32) (*Counter, error) {
	done, err := begin(ctx, tx, session, newest, rewritten)
	if err != nil || done != after {
		return nil, err
	}
	return r.counter(ctx, tx, session, after, upTo)
}

// Reader counts what it is told of.
func (c *Counter) Reader() extra.Reader {
	return extra.Reader{Names: &c.names, Tell: func(r extra.Record) {
		if r.Batch <= c.after || r.Batch > c.upTo {
			return
		}
		c.counts = append(c.counts, make([]Member, len(c.names.List)-len(c.counts))...)
		_, silent := slices.BinarySearch(c.silent, r.Batch)
		for _, v := range r.Values {
			c.counts[v.Place].count(&r, v, silent)
		}
	}}
}

// Conclude keeps what was counted, in the transaction that read the records, and makes
// channels of members that are new, or were known of keys that make no channels only.
func (c *Counter) Conclude(ctx context.Context, tx pgx.Tx) error {
	var came, heard, fresh []Member
	for place, m := range c.counts {
		if m.Member = c.names.List[place]; m.Records == 0 {
			continue
		}
		came = append(came, m)
		switch {
		case place >= len(c.before):
			fresh = append(fresh, m)
		case c.before[place].Silent && !m.NoChannels:
			heard = append(heard, m)
		}
	}
	if err := store(ctx, tx, c.session, came); err != nil {
		return err
	}
	if err := progress.Reached(ctx, tx, counted, c.session, c.upTo); err != nil {
		return err
	}
	slices.SortFunc(fresh, func(a, b Member) int {
		return cmp.Or(a.FirstTime.Compare(b.FirstTime), strings.Compare(a.Member, b.Member))
	})
	if fresh = append(heard, fresh...); len(fresh) == 0 {
		return nil
	}
	c.fresh = true
	return c.registry.see(ctx, tx, fresh)
}

// Close is called when the transaction has ended. Whoever asks next sees what is new.
func (c *Counter) Close() {
	if c != nil && c.fresh {
		c.registry.current.Store(nil)
	}
}

// count adds what a record has of the member.
func (m *Member) count(r *extra.Record, v extra.Value, silent bool) {
	if m.Records == 0 {
		m.FirstTime, m.LastTime, m.NoChannels = r.Time, r.Time, true
	}
	if r.Time.Before(m.FirstTime) {
		m.FirstTime = r.Time
	}
	if r.Time.After(m.LastTime) {
		m.LastTime = r.Time
	}
	m.Records, m.NoChannels = m.Records+1, m.NoChannels && silent
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
