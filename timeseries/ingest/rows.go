package ingest

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"

	schema "github.com/ecovolt/telemetryd/sql"
	"github.com/ecovolt/telemetryd/timeseries/channel"
	"github.com/ecovolt/telemetryd/timeseries/decode"
	"github.com/ecovolt/telemetryd/timeseries/ingest/aside"
	"github.com/ecovolt/telemetryd/timeseries/ingest/clock"
	"github.com/ecovolt/telemetryd/timeseries/ingest/cluster"
	"github.com/ecovolt/telemetryd/timeseries/ingest/sparse"
	"github.com/ecovolt/telemetryd/timeseries/places"
	"github.com/ecovolt/telemetryd/timeseries/record"
)

// extent is what the sessions table and the commit log tell of some records.
type extent struct {
	records              int
	minMicros, maxMicros int64
	minText, maxText     []byte // as received, where not in the usual form
	name                 []byte // the first record's session name; nil without
	carried              record.Mask
}

var nameChannel, _ = channel.Index("session_name")

func (e *extent) add(v *record.Values) {
	one := extent{records: 1, minMicros: v.Micros, maxMicros: v.Micros, minText: v.TimeText, maxText: v.TimeText}
	if v.Present.Has(nameChannel) {
		one.name = v.Bytes(nameChannel)
	}
	e.merge(&one)
}

// merge adds what came later.
func (e *extent) merge(later *extent) {
	if e.records == 0 || later.records > 0 && later.minMicros < e.minMicros {
		e.minMicros, e.minText = later.minMicros, later.minText
	}
	if e.records == 0 || later.records > 0 && later.maxMicros >= e.maxMicros {
		e.maxMicros, e.maxText = later.maxMicros, later.maxText
	}
	if e.name == nil {
		e.name = later.name
	}
	e.records += later.records
	e.carried.Union(later.carried)
}

// bounds are the times of the oldest and the newest record; nil without records.
func (e *extent) bounds() (first, last *time.Time) {
	if e.records == 0 {
		return nil, nil
	}
	oldest, newest := time.UnixMicro(e.minMicros), time.UnixMicro(e.maxMicros)
	return &oldest, &newest
}

// clone copies the texts, which lie in a batch that is used again.
func (e *extent) clone() extent {
	c := *e
	c.minText, c.maxText, c.name = bytes.Clone(e.minText), bytes.Clone(e.maxText), bytes.Clone(e.name)
	return c
}

// copyRows are a block's records of one session, encoded for COPY ... (FORMAT
// binary). pgx's own encoder takes a []any for each row and looks every value up
// in its type map; these rows come from flat arrays and are written once, so
// that the server, not the daemon, bounds the rate.
type copyRows struct {
	extent
	clock   clock.Clock
	batch   *decode.Batch
	session int          // place in the batch's Sessions
	skip    map[int]bool // places in the batch of records to leave out
	strays  cluster.List // records in odd ones are set aside
	layout  record.Layout
	data    []byte // with zeros for session and batch
	offsets []int  // where in data each row begins
	aside   []aside.Record
	surplus aside.Surplus
}

// newCopyRows encodes the records of one of the batch's sessions but those to skip
// and the strays, counting their places from ord.
func newCopyRows(b *decode.Batch, session, ord int, skip map[int]bool, strays cluster.List, parts places.Parts) *copyRows {
	r := &copyRows{batch: b, session: session, skip: skip, strays: strays}
	parted, parter := parts(b, r.indexes())
	members := 0 // by how many bytes they are longer than they came
	for i := range r.indexes() {
		v := b.Record(i)
		if v.Odd == "" {
			r.clock.Add(&v)
		}
		if reason := r.oddity(&v); reason != "" {
			r.aside = append(r.aside, aside.New(&v, b.Index(i), b.Line(i), reason))
			if r.name == nil && v.Present.Has(nameChannel) {
				r.name = v.Bytes(nameChannel)
			}
			continue
		}
		r.surplus.Add(&v, b.Index(i), b.Line(i))
		members -= len(v.Extra)
		v.Numbers, v.Extra = parted[i].Numbers, parted[i].Extra
		members += len(v.Numbers) + len(v.Extra)
		r.layout.Add(&v)
		r.extent.add(&v)
	}
	r.carried = r.layout.Channels
	r.data = make([]byte, 0, r.records*(44+12*r.layout.Channels.Count())+max(0, b.TextBytes()*r.records/max(1, b.Len())+members)+4096)
	r.offsets = make([]int, 0, r.records)
	for i := range r.indexes() {
		v := b.Record(i)
		if r.oddity(&v) != "" {
			continue
		}
		r.offsets = append(r.offsets, len(r.data))
		v.Numbers, v.Extra = parted[i].Numbers, parted[i].Extra
		r.data = r.layout.AppendCopy(r.data, &v, uint32(ord))
		ord++
	}
	parter.Release()
	return r
}

func (r *copyRows) id() string { return r.batch.Sessions()[r.session] }

// oddity is why a record is set aside; empty as a rule.
func (r *copyRows) oddity(v *record.Values) record.Oddity {
	if v.Odd == "" && r.strays != nil {
		if c := r.strays.Of(v.Micros); c != nil && c.Odd {
			return record.Stray
		}
	}
	return v.Odd
}

// indexes are the places in the batch of the session's records.
func (r *copyRows) indexes() func(func(int) bool) {
	return func(yield func(int) bool) {
		for i := range r.batch.Len() {
			if r.batch.Session(i) == r.session && !r.skip[i] && !yield(i) {
				return
			}
		}
	}
}

// times are those of the records that have one.
func (r *copyRows) times() func(func(int64) bool) {
	return func(yield func(int64) bool) {
		for i := range r.indexes() {
			if v := r.batch.Record(i); v.Odd == "" && !yield(v.Micros) {
				return
			}
		}
	}
}

// checkDays refuses a share that would make many small chunks.
func (s *share) checkDays(ctx context.Context, tx pgx.Tx) error {
	if !sparse.Wide(s.minMicros, s.maxMicros) {
		return nil
	}
	return sparse.Check(ctx, tx, func(yield func(int64) bool) {
		for _, r := range s.rows {
			for i := range r.indexes() {
				if v := r.batch.Record(i); r.oddity(&v) == "" && !yield(v.Micros) {
					return
				}
			}
		}
	})
}

// stamp makes the rows those of that batch.
func (r *copyRows) stamp(session, batch int32) {
	for _, at := range r.offsets {
		record.Stamp(r.data[at:], session, batch)
	}
}

func allStored(stored int64, sent int) error {
	if stored != int64(sent) {
		return fmt.Errorf("copy: stored %d of %d records", stored, sent)
	}
	return nil
}

// Copy stores rows that the layout has encoded in a table with the columns of
// telemetry, and returns how many. The caller may use their memory again.
func Copy(ctx context.Context, tx pgx.Tx, table string, layout *record.Layout, rows io.Reader) (int64, error) {
	in := io.MultiReader(strings.NewReader(record.CopyHeader), rows, strings.NewReader(record.CopyTrailer))
	return schema.Copy(ctx, tx, "COPY "+table+" ("+layout.Columns()+") FROM STDIN (FORMAT binary)", in)
}

// optional is nil, SQL's NULL, for an empty text.
func optional(text []byte) *string {
	if len(text) == 0 {
		return nil
	}
	s := string(text)
	return &s
}
