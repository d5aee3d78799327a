package tall

import (
	"context"
	"fmt"
	"math"
	"time"

	"github.com/jackc/pgx/v5"

	schema "github.com/ecovolt/telemetryd/sql"
	"github.com/ecovolt/telemetryd/timeseries/extra"
	"github.com/ecovolt/telemetryd/timeseries/rollup"
)

const (
	// longestMember is how long the name of a member with levels may be, in bytes.
	longestMember = 1024
	// pendingBuckets is from how many buckets of members on these are stored before
	// more records are read.
	pendingBuckets = 20_000
)

// finest makes the finest level of a run's records, and gives slots to members that
// are new while there are some left.
type finest struct {
	session int32
	names   extra.Names // the place of a member is one less than its slot

	buckets []*bucket // that are not stored yet
	at      map[time.Time]*bucket
	pending int // members in them
	// stored are buckets of the range that were stored before all of it was read. More
	// may come to them: TimescaleDB before 2.28 takes a chunk of the columnstore for
	// sorted that late records are in.
	stored map[time.Time]bool
}

// bucket is what members have in a range of time.
type bucket struct {
	start   time.Time
	members []numbers // by place
}

type numbers struct {
	low, high, sum float64
	count          int32
	first, last    time.Time
}

// makeFinest replaces the buckets of ranges of time, which are whole ones and in order,
// and tells others of their records.
func makeFinest(ctx context.Context, tx pgx.Tx, session int32, spans []rollup.Span, others ...extra.Reader) error {
	f := &finest{session: session, names: extra.Names{Most: mostMembers, Longest: longestMember, Numbers: true}}
	members, err := schema.List(ctx, tx, pgx.RowTo[string], "SELECT member FROM level_members WHERE session = $1 ORDER BY slot", session)
	if err != nil {
		return err
	}
	for _, m := range members {
		f.names.Know(m)
	}
	for _, s := range spans {
		f.at, f.stored = map[time.Time]*bucket{}, map[time.Time]bool{}
		part := extra.Part{Session: session, From: s.From, To: s.To, UpTo: math.MaxInt32}
		err := extra.Each(ctx, tx, part, func() error {
			if f.pending < pendingBuckets {
				return nil
			}
			return f.store(ctx, tx, len(f.buckets)-1) // the newest may lack something
		}, append(others, extra.Reader{Names: &f.names, Tell: f.add})...)
		if err != nil {
			return err
		}
		if err := f.store(ctx, tx, len(f.buckets)); err != nil {
			return err
		}
	}
	fresh := f.names.List[len(members):]
	if len(fresh) == 0 {
		return nil
	}
	_, err = tx.Exec(ctx, `
		INSERT INTO level_members (session, slot, member)
		SELECT $1, $2 + place, member FROM unnest($3::text[]) WITH ORDINALITY m (member, place)`, session, len(members), fresh)
	if err != nil {
		return fmt.Errorf("give slots to members: %w", err)
	}
	return nil
}

func (f *finest) add(r extra.Record) {
	start := rollup.Floor(r.Time, widths[0])
	var b *bucket
	if n := len(f.buckets); n > 0 && f.buckets[n-1].start.Equal(start) {
		b = f.buckets[n-1]
	} else if b = f.at[start]; b == nil {
		b = &bucket{start: start}
		f.buckets, f.at[start] = append(f.buckets, b), b
	}
	if more := len(f.names.List) - len(b.members); more > 0 {
		b.members = append(b.members, make([]numbers, more)...)
	}
	for _, v := range r.Values {
		if !v.Numeric {
			continue
		}
		m := &b.members[v.Place]
		if m.count == 0 {
			*m = numbers{low: v.Number, high: v.Number, first: r.Time, last: r.Time}
			f.pending++
		}
		m.low, m.high, m.sum, m.count = min(m.low, v.Number), max(m.high, v.Number), m.sum+v.Number, m.count+1
		if r.Time.Before(m.first) {
			m.first = r.Time
		}
		if r.Time.After(m.last) {
			m.last = r.Time
		}
	}
}

// store stores the first n buckets, and forgets them.
func (f *finest) store(ctx context.Context, tx pgx.Tx, n int) error {
	var fresh, again columns
	for place := range f.names.List { // in the order of the table's key
		for _, b := range f.buckets[:n] {
			if place >= len(b.members) || b.members[place].count == 0 {
				continue
			}
			f.pending--
			if f.stored[b.start] {
				again.add(place, b)
			} else {
				fresh.add(place, b)
			}
		}
	}
	for _, b := range f.buckets[:n] {
		f.stored[b.start] = true
		delete(f.at, b.start)
	}
	f.buckets = append(f.buckets[:0], f.buckets[n:]...)
	if err := fresh.insert(ctx, tx, f.session, onto); err != nil {
		return err
	}
	return again.insert(ctx, tx, f.session, into)
}

// columns are those of rows of the level.
type columns struct {
	slots                 []int16
	starts, firsts, lasts []time.Time
	lows, highs, sums     []float64
	counts                []int32
}

func (c *columns) add(place int, b *bucket) {
	m := &b.members[place]
	c.slots, c.starts, c.firsts, c.lasts = append(c.slots, int16(place+1)), append(c.starts, b.start), append(c.firsts, m.first), append(c.lasts, m.last)
	c.lows, c.highs, c.sums, c.counts = append(c.lows, m.low), append(c.highs, m.high), append(c.sums, m.sum), append(c.counts, m.count)
}

func (c *columns) insert(ctx context.Context, tx pgx.Tx, session int32, conflict string) error {
	if len(c.slots) == 0 {
		return nil
	}
	_, err := tx.Exec(ctx, `
		INSERT INTO member_levels AS m (session, width, slot, bucket, low, high, sum, count, first_time, last_time)
		SELECT $1, $2, * FROM unnest($3::smallint[], $4::timestamptz[], $5::float8[], $6::float8[], $7::float8[], $8::integer[], $9::timestamptz[], $10::timestamptz[])`+conflict,
		session, widths[0].Seconds(), c.slots, c.starts, c.lows, c.highs, c.sums, c.counts, c.firsts, c.lasts)
	if err != nil {
		return fmt.Errorf("store buckets: %w", err)
	}
	return nil
}
