package timeseries

import (
	"encoding/binary"
	"encoding/json"
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"github.com/ecovolt/telemetryd/timeseries/channel"
	"github.com/ecovolt/telemetryd/timeseries/record"
)

// FieldSet names the members of a record that a reader wants besides its
// timestamp, which it always gets. It is immutable.
type FieldSet struct {
	all   bool
	id    bool     // the record's opaque _id, as the function contract has it
	known []int    // into Fields, ascending
	extra []string // members without a column, sorted
}

// AllFields wants every member.
var AllFields = &FieldSet{all: true}

// NewFieldSet makes the set of the named members; none at all means every one.
// The name _id means the record's opaque id; other names that are not in
// Fields mean members that the record list does not know.
func NewFieldSet(names ...string) *FieldSet {
	if len(names) == 0 {
		return AllFields
	}
	set := &FieldSet{}
	for _, name := range names {
		if i, ok := channel.Index(name); ok {
			set.known = append(set.known, i)
		} else if name == "_id" {
			set.id = true
		} else if name != "timestamp" {
			set.extra = append(set.extra, name)
		}
	}
	slices.Sort(set.known)
	set.known = slices.Compact(set.known)
	slices.Sort(set.extra)
	set.extra = slices.Compact(set.extra)
	return set
}

// Union gives the set that covers both.
func (f *FieldSet) Union(g *FieldSet) *FieldSet {
	if f == nil || f.all || g == nil || g.all {
		return AllFields
	}
	u := &FieldSet{id: f.id || g.id, known: slices.Concat(f.known, g.known), extra: slices.Concat(f.extra, g.extra)}
	slices.Sort(u.known)
	u.known = slices.Compact(u.known)
	slices.Sort(u.extra)
	u.extra = slices.Compact(u.extra)
	return u
}

// Names lists the set's members, known ones in their usual order and then the
// others; nil when it has every one.
func (f *FieldSet) Names() []string {
	if f.all {
		return nil
	}
	names := make([]string, 0, 1+len(f.known)+len(f.extra))
	if f.id {
		names = append(names, "_id")
	}
	for _, i := range f.known {
		names = append(names, channel.All[i].Name)
	}
	return append(names, f.extra...)
}

// Unknown lists the members that are not in Fields.
func (f *FieldSet) Unknown() []string { return f.extra }

// columns lists which of Fields must be read.
func (f *FieldSet) columns() []int {
	if !f.all {
		return f.known
	}
	all := make([]int, len(channel.All))
	for i := range all {
		all[i] = i
	}
	return all
}

func (f *FieldSet) needsExtra() bool { return f.all || len(f.extra) > 0 }

// columnList continues a SELECT list.
func (f *FieldSet) columnList() string {
	var list strings.Builder
	for _, i := range f.columns() {
		list.WriteString(", t.")
		list.WriteString(channel.All[i].Name)
	}
	if f.needsExtra() {
		list.WriteString(", t.extra")
	}
	return list.String()
}

// Delta is the records of one session between two positions, encoded member
// by member, so that any set of fields is put together by copying.
type Delta struct {
	ID       string
	Name     string   // the session's name now
	From, To Position // what it covers
	Now      Position // where the session stands; zero when there is none of that id
	// Waited is for how long the oldest of its batches had been stored when the
	// database was asked, by the database's clock. Zero when it holds none.
	Waited time.Duration

	rows    []deltaRow
	read    *FieldSet
	columns []int // which of Fields was read, ascending
	buf     []byte
}

// Has reports whether every member of the set was read.
func (d *Delta) Has(set *FieldSet) bool {
	switch {
	case len(d.rows) == 0 || d.read.all:
		return true
	case set.all:
		return false
	}
	for _, i := range set.known {
		if _, ok := slices.BinarySearch(d.read.known, i); !ok {
			return false
		}
	}
	return len(set.extra) == 0 || len(d.read.extra) > 0 // any extra member brings all of them
}

// deltaRow is one record: its members' places in Delta.buf.
type deltaRow struct {
	batch, ord int32
	micros     int64
	start      uint32 // the timestamp member
	extra      uint32 // the extra object, without its braces; may be empty
	end        uint32
	ends       []uint32 // where each read column's member ends; equal to the one before when absent
}

// Len is the number of records.
func (d *Delta) Len() int { return len(d.rows) }

// Size is about how many bytes of memory the delta holds.
func (d *Delta) Size() int { return cap(d.buf) + len(d.rows)*(64+4*(1+len(d.columns))) }

// Time is when record i was measured.
func (d *Delta) Time(i int) time.Time { return time.UnixMicro(d.rows[i].micros).UTC() }

// After is the position right after record i.
func (d *Delta) After(i int) Position {
	if i == len(d.rows)-1 {
		return d.To
	}
	r := d.rows[i]
	return Position{Session: d.To.Session, Batch: r.batch - 1, Next: r.ord + 1}
}

// AppendRecord writes record i as a JSON object with the members of set that
// it has. Every member of set must have been read.
func (d *Delta) AppendRecord(dst []byte, i int, set *FieldSet) []byte {
	r := &d.rows[i]
	dst = append(dst, '{')
	if set.all {
		// Members follow each other in buf, each with a comma before it.
		dst = append(dst, d.buf[r.start:r.extra]...)
		if r.end > r.extra {
			dst = append(dst, ',')
			dst = append(dst, d.buf[r.extra:r.end]...)
		}
		return append(dst, '}')
	}
	stamp := r.extra
	if len(r.ends) > 0 {
		stamp = r.ends[0]
	}
	dst = append(dst, d.buf[r.start:stamp]...)
	if set.id {
		dst = fmt.Appendf(dst, `,"_id":"%d.%d.%d"`, d.Now.Session, r.batch, r.ord)
	}
	at := 0
	for _, field := range set.known {
		for d.columns[at] != field {
			at++
		}
		dst = append(dst, d.buf[r.ends[at]:r.ends[at+1]]...)
	}
	if len(set.extra) > 0 && r.end > r.extra {
		dst = appendMembers(dst, d.buf[r.extra:r.end], set.extra)
	}
	return append(dst, '}')
}

// appendMembers writes those members of an object, given without its braces,
// that are named.
func appendMembers(dst, object []byte, names []string) []byte {
	members := map[string]json.RawMessage{}
	if json.Unmarshal(slices.Concat([]byte{'{'}, object, []byte{'}'}), &members) != nil {
		return dst // jsonb never holds such
	}
	for _, name := range names {
		if raw, ok := members[name]; ok {
			dst = append(dst, ',')
			dst = record.AppendJSONString(dst, []byte(name))
			dst = append(dst, ':')
			dst = append(dst, raw...)
		}
	}
	return dst
}

// rowEncoder turns rows of a delta query, as they come over the wire, into
// members. It spares the conversion to Go values and back.
type rowEncoder struct {
	fields  *FieldSet
	columns []int
	keys    []string // `,"speed_ms":`
	extra   bool
	format  []int16 // of each result column
}

// fixed is how many columns come before the fields: place, batch, ord, time, time_text.
const fixed = 5

func newRowEncoder(fields *FieldSet, described []pgconn.FieldDescription) *rowEncoder {
	e := &rowEncoder{fields: fields, columns: fields.columns(), extra: fields.needsExtra()}
	for _, i := range e.columns {
		e.keys = append(e.keys, `,"`+channel.All[i].Name+`":`)
	}
	for _, f := range described {
		e.format = append(e.format, f.Format)
	}
	return e
}

// add encodes one row into the delta that its place names.
func (e *rowEncoder) add(raw [][]byte, delta func(place int) *Delta) error {
	place, ok1 := e.integer(raw, 0)
	batch, ok2 := e.integer(raw, 1)
	ord, ok3 := e.integer(raw, 2)
	_, ok4 := e.integer(raw, 3)
	if !ok1 || !ok2 || !ok3 || !ok4 {
		return fmt.Errorf("a record's key has an unexpected form")
	}
	d := delta(int(place))
	d.read, d.columns = e.fields, e.columns
	row := deltaRow{batch: int32(batch), ord: int32(ord), micros: record.Micros(raw[3]), start: uint32(len(d.buf))}
	d.buf = append(d.buf, `"timestamp":`...)
	if text := raw[4]; text != nil {
		d.buf = record.AppendJSONString(d.buf, text)
	} else {
		d.buf = append(d.buf, '"')
		d.buf = record.AppendTimestamp(d.buf, row.micros)
		d.buf = append(d.buf, '"')
	}
	row.ends = make([]uint32, 1, len(e.columns)+1)
	row.ends[0] = uint32(len(d.buf))
	for at, field := range e.columns {
		if value := raw[fixed+at]; value != nil {
			d.buf = append(d.buf, e.keys[at]...)
			var err error
			if d.buf, err = e.value(d.buf, channel.All[field].Type, value, e.format[fixed+at]); err != nil {
				return fmt.Errorf("column %s: %w", channel.All[field].Name, err)
			}
		}
		row.ends = append(row.ends, uint32(len(d.buf)))
	}
	row.extra = uint32(len(d.buf))
	if e.extra {
		if value := raw[fixed+len(e.columns)]; value != nil {
			object := jsonText(value, e.format[fixed+len(e.columns)])
			if len(object) > 2 {
				d.buf = append(d.buf, object[1:len(object)-1]...)
			}
		}
	}
	row.end = uint32(len(d.buf))
	d.rows = append(d.rows, row)
	return nil
}

// integer reads a column of integer, bigint or timestamptz type.
func (e *rowEncoder) integer(raw [][]byte, column int) (int64, bool) {
	value := raw[column]
	if e.format[column] != pgx.BinaryFormatCode {
		return 0, false
	}
	switch len(value) {
	case 4:
		return int64(int32(binary.BigEndian.Uint32(value))), true
	case 8:
		return int64(binary.BigEndian.Uint64(value)), true
	}
	return 0, false
}

// value writes one column's value as JSON.
func (e *rowEncoder) value(dst []byte, t channel.Type, value []byte, format int16) ([]byte, error) {
	switch {
	case t == channel.Text:
		return record.AppendJSONString(dst, value), nil
	case t == channel.JSON:
		return append(dst, jsonText(value, format)...), nil
	case format != pgx.BinaryFormatCode || len(value) != 8:
		return dst, fmt.Errorf("unexpected form of a number")
	case t == channel.Int:
		return strconv.AppendInt(dst, int64(binary.BigEndian.Uint64(value)), 10), nil
	}
	return record.AppendJSONFloat(dst, math.Float64frombits(binary.BigEndian.Uint64(value))), nil
}

// jsonText gives the text of a jsonb value; its binary form has a version
// byte in front.
func jsonText(value []byte, format int16) []byte {
	if format == pgx.BinaryFormatCode && len(value) > 0 && value[0] == 1 {
		return value[1:]
	}
	return value
}
