package record

import (
	"encoding/json"
	"fmt"
	"math"
	"slices"
	"strconv"

	"github.com/ecovolt/telemetryd/timeseries/channel"
)

// Row is one stored record at a time, as a query for Selection.Columns returns
// it in PostgreSQL's binary form.
type Row struct {
	selection *Selection
	session   int32
	head      []byte // `{"session_id":"...",`
	id        []byte // the session's id as text
	created   string
	cursor    Cursor
	known     []float64 // see Know
	join      joiner    // of the members without a column
	raw       [][]byte  // time_text, the selection's channels, extra and numbers, inputs of what is computed, and the time of storage if selected
}

// NewRow makes a row for records of one session, whose key and id those are.
func NewRow(s *Selection, session int32, id string) *Row {
	r := &Row{selection: s, session: session, id: []byte(id), join: joiner{places: s.known}}
	if !s.all {
		r.join.only = func(name string) bool { _, selected := slices.BinarySearch(s.extra, name); return selected }
	}
	r.head = append(AppendJSONString([]byte(`{"session_id":`), r.id), ',')
	return r
}

// WithCreated expects the time of storage, a timestamptz, behind the
// selection's columns. AppendJSON then ends with the selection's id and a
// member of that name, which has the time in milliseconds since the Unix epoch.
func (r *Row) WithCreated(member string) *Row {
	r.created = member
	return r
}

// Read takes another record. It is valid until the driver reads the next one.
// An error says that the columns are not the selection's.
func (r *Row) Read(raw [][]byte) error {
	var key Columns
	key.Reset(raw)
	r.cursor = key.Cursor()
	if key.err != nil {
		return key.err
	}
	columns := 4 + len(r.selection.channels)
	if r.selection.readsExtra() {
		columns += 2
	}
	columns += len(r.selection.inputs)
	if r.created != "" {
		columns++
	}
	if len(raw) != columns {
		return fmt.Errorf("a record has %d columns, not %d", len(raw), columns)
	}
	r.raw = raw[3:]
	for at, value := range r.channels() {
		if value == nil {
			continue
		}
		i := r.selection.channels[at]
		switch channel.All[i].Type {
		case channel.Float, channel.Int:
			if len(value) != 8 {
				return fmt.Errorf("column %s has %d bytes, not 8", channel.All[i].Name, len(value))
			}
		case channel.JSON:
			if len(value) < 2 || value[0] != jsonVersion {
				return fmt.Errorf("column %s is not a jsonb value", channel.All[i].Name)
			}
			r.channels()[at] = compact(value)
		}
	}
	for at, value := range r.inputs() {
		if value != nil && len(value) != 8 {
			return fmt.Errorf("column %s has %d bytes, not 8", r.selection.inputs[at], len(value))
		}
	}
	if extra := r.extra(); extra != nil && (len(extra) < 3 || extra[0] != jsonVersion) {
		return fmt.Errorf("column extra is not a jsonb object")
	}
	if at := 1 + len(r.selection.channels); r.selection.readsExtra() {
		members, err := r.join.join(r.raw[at+1], compact(r.raw[at]))
		if err != nil {
			return err
		}
		r.raw[at] = members
	}
	if at := len(r.raw) - 1; r.created != "" && r.raw[at] != nil && len(r.raw[at]) != 8 {
		return fmt.Errorf("the time of storage has %d bytes, not 8", len(r.raw[at]))
	}
	return nil
}

// extra is the members without a column, nil when there is none or they were not read.
func (r *Row) extra() []byte {
	if !r.selection.readsExtra() {
		return nil
	}
	return r.raw[1+len(r.selection.channels)]
}

// inputs is the columns that what is computed is made of, nil for NULL.
func (r *Row) inputs() [][]byte {
	at := 1 + len(r.selection.channels)
	if r.selection.readsExtra() {
		at += 2
	}
	return r.raw[at : at+len(r.selection.inputs)]
}

// compute returns the value of what is computed at that place; false for NULL.
func (r *Row) compute(at int) (float64, bool) {
	if r.selection.computed[at].Walk != nil {
		if r.known == nil || math.IsNaN(r.known[at]) {
			return 0, false
		}
		return r.known[at], true
	}
	inputs, places := r.inputs(), r.selection.places[at]
	return r.selection.computed[at].Eval(func(i int) (float64, bool) {
		raw := inputs[places[i]]
		if raw == nil {
			return 0, false
		}
		return float(raw), true
	})
}

// appendComputed writes what is computed at that place as a member, a comma
// before it, unless it is NULL.
func (r *Row) appendComputed(dst []byte, at int) []byte {
	v, ok := r.compute(at)
	if !ok {
		return dst
	}
	name := r.selection.computed[at].Name
	if u := place(r.selection.shown.computed, at); u != nil {
		return appendShown(dst, name, v, u)
	}
	dst = append(AppendJSONString(append(dst, ','), []byte(name)), ':')
	return AppendJSONFloat(dst, v)
}

// channels is the columns of the selection's channels, nil for NULL.
func (r *Row) channels() [][]byte { return r.raw[1 : 1+len(r.selection.channels)] }

// Cursor is the record's place in its session.
func (r *Row) Cursor() Cursor { return r.cursor }

func (r *Row) appendTimestamp(dst []byte) []byte {
	if text := r.raw[0]; text != nil {
		return append(dst, text...)
	}
	return AppendTimestamp(dst, r.cursor.Micros)
}

// Timestamp is the record's timestamp as it was received.
func (r *Row) Timestamp() string { return string(r.appendTimestamp(nil)) }

// keys are the channels' names as members of an object begin.
var keys = func() []string {
	keys := make([]string, len(channel.All))
	for i, c := range channel.All {
		keys[i] = `,"` + c.Name + `":`
	}
	return keys
}()

// AppendJSON writes the record as a JSON object with the selected members that
// it has, behind session_id and timestamp.
func (r *Row) AppendJSON(dst []byte) []byte {
	dst = append(dst, r.head...)
	dst = append(dst, `"timestamp":"`...)
	dst = r.appendTimestamp(dst)
	dst = append(dst, '"')
	for at, raw := range r.channels() {
		if raw == nil {
			continue
		}
		i := r.selection.channels[at]
		if u := place(r.selection.shown.channels, at); u != nil {
			dst = appendShown(dst, channel.All[i].Name, number(raw, i), u)
		} else {
			dst = appendMember(dst, i, raw)
		}
	}
	if extra := r.extra(); len(extra) > 3 {
		dst = r.selection.appendExtra(dst, extra[2:len(extra)-1])
	}
	for at := range r.selection.computed {
		dst = r.appendComputed(dst, at)
	}
	if r.created != "" {
		dst = appendID(dst, r.selection.id, r.session, r.cursor)
		dst = append(dst, ',', '"')
		dst = append(dst, r.created...)
		dst = append(dst, '"', ':')
		if raw := r.raw[len(r.raw)-1]; raw != nil {
			dst = strconv.AppendFloat(dst, float64(integer(raw)+epoch)/1e3, 'f', -1, 64)
		} else {
			dst = append(dst, '0')
		}
	}
	return append(dst, '}')
}

// appendMember writes the value of channel i as a member, a comma before it.
func appendMember(dst []byte, i int, raw []byte) []byte {
	dst = append(dst, keys[i]...)
	switch channel.All[i].Type {
	case channel.Float:
		return AppendJSONFloat(dst, float(raw))
	case channel.Int:
		return strconv.AppendInt(dst, integer(raw), 10)
	case channel.Text:
		return AppendJSONString(dst, raw)
	}
	return append(dst, raw[1:]...)
}

// appendExtra writes the selected members of an object that is given without
// its braces, a comma before each.
func (s *Selection) appendExtra(dst, object []byte) []byte {
	switch {
	case s.all && len(s.shown.extra) > 0:
		return s.appendOthers(dst, object)
	case s.all:
		return append(append(dst, ','), object...)
	}
	members := map[string]json.RawMessage{}
	if json.Unmarshal(slices.Concat([]byte{'{'}, object, []byte{'}'}), &members) != nil {
		return dst // jsonb never holds such
	}
	for _, name := range s.extra {
		if raw, ok := members[name]; ok {
			dst = s.appendOther(dst, name, raw)
		}
	}
	return dst
}

// appendID writes the record's opaque id as a member, a comma before it.
func appendID(dst []byte, member string, session int32, at Cursor) []byte {
	dst = append(dst, ',', '"')
	dst = append(dst, member...)
	dst = append(dst, '"', ':', '"')
	dst = strconv.AppendInt(dst, int64(session), 10)
	dst = append(dst, '.')
	dst = strconv.AppendInt(dst, int64(at.Batch), 10)
	dst = append(dst, '.')
	dst = strconv.AppendInt(dst, int64(at.Ord), 10)
	return append(dst, '"')
}

// Encoded is one record as JSON in a buffer, member by member, so that any
// selection of what was read is put together by copying.
type Encoded struct {
	Cursor
	start    uint32   // of the timestamp member
	extra    uint32   // of the members without a column; may be empty
	end      uint32   // of those
	member   []uint32 // ends of the timestamp and of each channel that was read; absent ones are empty
	computed []uint32 // ends of what is computed, which follows
}

// Encode appends the record to a buffer that it may share with others.
func (r *Row) Encode(buf []byte) ([]byte, Encoded) {
	e := Encoded{Cursor: r.cursor, start: uint32(len(buf)), member: make([]uint32, 1, 1+len(r.selection.channels))}
	buf = append(buf, `"timestamp":"`...)
	buf = r.appendTimestamp(buf)
	buf = append(buf, '"')
	e.member[0] = uint32(len(buf))
	for at, raw := range r.channels() {
		if raw != nil {
			buf = appendMember(buf, r.selection.channels[at], raw)
		}
		e.member = append(e.member, uint32(len(buf)))
	}
	e.extra = uint32(len(buf))
	if extra := r.extra(); len(extra) > 3 {
		buf = append(buf, extra[2:len(extra)-1]...)
	}
	e.end = uint32(len(buf))
	for at := range r.selection.computed {
		buf = r.appendComputed(buf, at)
		e.computed = append(e.computed, uint32(len(buf)))
	}
	return buf, e
}

// AppendJSON writes the record, which was encoded into buf for the selection
// read, as a JSON object with the members of want that it has; read must
// cover want. session is the session's key, for the record's opaque id.
func (e *Encoded) AppendJSON(dst, buf []byte, read, want *Selection, session int32) []byte {
	dst = append(dst, '{')
	if want.all { // members follow each other in buf, each with a comma before it
		dst = append(dst, buf[e.start:e.extra]...)
		if e.end > e.extra {
			dst = want.appendExtra(dst, buf[e.extra:e.end])
		}
		return append(e.appendComputed(dst, buf, read, want), '}')
	}
	dst = append(dst, buf[e.start:e.member[0]]...)
	if want.id != "" {
		dst = appendID(dst, want.id, session, e.Cursor)
	}
	at := 0
	for _, i := range want.channels {
		for read.channels[at] != i {
			at++
		}
		dst = append(dst, buf[e.member[at]:e.member[at+1]]...)
	}
	if len(want.extra) > 0 && e.end > e.extra {
		dst = want.appendExtra(dst, buf[e.extra:e.end])
	}
	return append(e.appendComputed(dst, buf, read, want), '}')
}

func (e *Encoded) appendComputed(dst, buf []byte, read, want *Selection) []byte {
	for _, c := range want.computed {
		at, from := read.computes(c), e.end
		if at > 0 {
			from = e.computed[at-1]
		}
		dst = append(dst, buf[from:e.computed[at]]...)
	}
	return dst
}
