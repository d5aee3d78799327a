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

	buckets []bucket // that are not stored yet, in order of time
	pending int      // members in them
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
	if n := len(f.buckets); n == 0 || !f.buckets[n-1].start.Equal(start) {
		f.buckets = append(f.buckets, bucket{start: start})
	}
	b := &f.buckets[len(f.buckets)-1]
	if more := len(f.names.List) - len(b.members); more > 0 {
		b.members = append(b.members, make([]numbers, more)...)
	}
	for _, v := range r.Values {
		if !v.Numeric {
			continue
		}
		m := &b.members[v.Place]
		if m.count == 0 {
			*m = numbers{low: v.Number, high: v.Number, first: r.Time}
			f.pending++
		}
		m.low, m.high, m.sum = min(m.low, v.Number), max(m.high, v.Number), m.sum+v.Number
		m.count, m.last = m.count+1, r.Time
	}
}

// store stores the first n buckets, and forgets them.
func (f *finest) store(ctx context.Context, tx pgx.Tx, n int) error {
	var slots []int16
	var starts, firsts, lasts []time.Time
	var lows, highs, sums []float64
	var counts []int32
	for place := range f.names.List { // in the order of the table's key
		for _, b := range f.buckets[:n] {
			if place >= len(b.members) || b.members[place].count == 0 {
				continue
			}
			m := &b.members[place]
			slots, starts, firsts, lasts = append(slots, int16(place+1)), append(starts, b.start), append(firsts, m.first), append(lasts, m.last)
			lows, highs, sums, counts = append(lows, m.low), append(highs, m.high), append(sums, m.sum), append(counts, m.count)
		}
	}
	f.buckets, f.pending = append(f.buckets[:0], f.buckets[n:]...), f.pending-len(slots)
	if len(slots) == 0 {
		return nil
	}
	_, err := tx.Exec(ctx, `
		INSERT INTO member_levels (session, width, slot, bucket, low, high, sum, count, first_time, last_time)
		SELECT $1, $2, * FROM unnest($3::smallint[], $4::timestamptz[], $5::float8[], $6::float8[], $7::float8[], $8::integer[], $9::timestamptz[], $10::timestamptz[])`+onto,
		f.session, widths[0].Seconds(), slots, starts, lows, highs, sums, counts, firsts, lasts)
	if err != nil {
		return fmt.Errorf("store buckets: %w", err)
	}
	return nil
}
