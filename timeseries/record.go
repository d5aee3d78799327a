package timeseries

import (
	"encoding/base64"
	"encoding/binary"
	"math"
	"strconv"
	"strings"
	"time"

	"github.com/ecovolt/telemetryd/internal/fault"
)

// Cursor is a place in a session's order of records: by time, then by batch,
// then by place in the batch. No two records share a cursor, so that paging
// loses none that have equal timestamps.
type Cursor struct {
	Micros int64 // microseconds since the Unix epoch
	Batch  int32
	Ord    int32
}

// Time is when the record at the cursor was measured.
func (c Cursor) Time() time.Time { return time.UnixMicro(c.Micros).UTC() }

// String gives the opaque text that clients send back.
func (c Cursor) String() string {
	var b [16]byte
	binary.BigEndian.PutUint64(b[0:], uint64(c.Micros))
	binary.BigEndian.PutUint32(b[8:], uint32(c.Batch))
	binary.BigEndian.PutUint32(b[12:], uint32(c.Ord))
	return base64.RawURLEncoding.EncodeToString(b[:])
}

// ParseCursor reads a text made by String. Anything else is an Invalid fault.
func ParseCursor(text string) (Cursor, error) {
	b, err := base64.RawURLEncoding.DecodeString(text)
	if err != nil || len(b) != 16 {
		return Cursor{}, fault.Field("cursor", "is not a cursor that this server gave out")
	}
	return Cursor{
		Micros: int64(binary.BigEndian.Uint64(b[0:])),
		Batch:  int32(binary.BigEndian.Uint32(b[8:])),
		Ord:    int32(binary.BigEndian.Uint32(b[12:])),
	}, nil
}

// selection is a set of fields to read, and how they lie in a result row.
type selection struct {
	fields []int // indexes into Fields, in order of Fields
	extra  bool
	all    bool
}

var everything = func() selection {
	sel := selection{extra: true, all: true}
	for i := range Fields {
		sel.fields = append(sel.fields, i)
	}
	return sel
}()

// selectFields makes a selection of the named fields; none means all.
func selectFields(names []string) (selection, error) {
	if len(names) == 0 {
		return everything, nil
	}
	var mask fieldMask
	var sel selection
	for _, name := range names {
		switch i, ok := fieldIndex[name]; {
		case ok:
			mask.set(i)
		case name == "session_id" || name == "timestamp": // always there
		default:
			return selection{}, fault.Field("fields", "there is no field %q", clip(name))
		}
	}
	for i := range Fields {
		if mask.has(i) {
			sel.fields = append(sel.fields, i)
		}
	}
	return sel, nil
}

// columns lists what a query must select, in the order that Record expects.
func (sel selection) columns() string {
	var b strings.Builder
	b.WriteString("t.time, t.batch, t.ord, t.time_text")
	for _, i := range sel.fields {
		b.WriteString(", t.")
		b.WriteString(Fields[i].Name)
	}
	if sel.extra {
		b.WriteString(", t.extra")
	}
	return b.String()
}

const (
	colTime = iota
	colBatch
	colOrd
	colTimeText
	colFields
)

// Record is one stored record, as it came from the database. It is valid only
// until the next one is read.
type Record struct {
	sessionID string
	session   int32
	sel       *selection
	raw       [][]byte // column values in PostgreSQL's binary form
	jsonText  bool     // jsonb columns came in text form
	created   bool     // a last column holds the time of storage
}

func int32At(raw []byte) int32 { return int32(binary.BigEndian.Uint32(raw)) }
func microsAt(raw []byte) int64 {
	return int64(binary.BigEndian.Uint64(raw)) + postgresEpoch
}

// Cursor is the record's place in its session.
func (r *Record) Cursor() Cursor {
	return Cursor{microsAt(r.raw[colTime]), int32At(r.raw[colBatch]), int32At(r.raw[colOrd])}
}

// appendTime writes the record's timestamp as it was received.
func (r *Record) appendTime(dst []byte) []byte {
	if text := r.raw[colTimeText]; text != nil {
		return append(dst, text...)
	}
	return appendTimestamp(dst, microsAt(r.raw[colTime]))
}

// Timestamp is the record's timestamp as it was received.
func (r *Record) Timestamp() string { return string(r.appendTime(nil)) }

// jsonAt gives the JSON text of a jsonb value.
func (r *Record) jsonAt(raw []byte) []byte {
	if !r.jsonText {
		return raw[1:] // after the version byte
	}
	return raw
}

// AppendJSON writes the record as a JSON object with the members that it has.
// Records read with their time of storage also get the contract's _id and
// _creationTime (ms since the Unix epoch).
func (r *Record) AppendJSON(dst []byte) []byte {
	dst = append(dst, `{"session_id":`...)
	dst = appendJSONString(dst, []byte(r.sessionID))
	dst = append(dst, `,"timestamp":"`...)
	dst = r.appendTime(dst)
	dst = append(dst, '"')
	for i, f := range r.sel.fields {
		raw := r.raw[colFields+i]
		if raw == nil {
			continue
		}
		field := &Fields[f]
		dst = append(dst, ',', '"')
		dst = append(dst, field.Name...)
		dst = append(dst, '"', ':')
		switch field.Type {
		case Float:
			dst = AppendJSONFloat(dst, math.Float64frombits(binary.BigEndian.Uint64(raw)))
		case Int:
			dst = strconv.AppendInt(dst, int64(binary.BigEndian.Uint64(raw)), 10)
		case Text:
			dst = appendJSONString(dst, raw)
		case JSON:
			dst = append(dst, r.jsonAt(raw)...)
		}
	}
	if r.sel.extra {
		if raw := r.raw[colFields+len(r.sel.fields)]; raw != nil {
			if object := r.jsonAt(raw); len(object) > 2 {
				dst = append(dst, ',')
				dst = append(dst, object[1:len(object)-1]...)
			}
		}
	}
	if r.created {
		dst = append(dst, `,"_id":"`...)
		dst = strconv.AppendInt(dst, int64(r.session), 10)
		dst = append(dst, '.')
		dst = strconv.AppendInt(dst, int64(int32At(r.raw[colBatch])), 10)
		dst = append(dst, '.')
		dst = strconv.AppendInt(dst, int64(int32At(r.raw[colOrd])), 10)
		dst = append(dst, `","_creationTime":`...)
		if raw := r.raw[len(r.raw)-1]; raw != nil {
			dst = strconv.AppendFloat(dst, float64(microsAt(raw))/1e3, 'f', -1, 64)
		} else {
			dst = append(dst, '0')
		}
	}
	return append(dst, '}')
}

// AppendJSONFloat writes v in the shortest form that reads back as v, as
// JavaScript writes numbers. v must be finite.
func AppendJSONFloat(dst []byte, v float64) []byte {
	format := byte('f')
	if a := math.Abs(v); a != 0 && (a < 1e-6 || a >= 1e21) {
		format = 'e'
	}
	return strconv.AppendFloat(dst, v, format, -1, 64)
}

// appendPythonFloat writes v as Python does, which is what stands in the team's
// CSV files: 0.0 rather than 0, and an exponent from 1e16 on and below 1e-4.
func appendPythonFloat(dst []byte, v float64) []byte {
	if a := math.Abs(v); a != 0 && (a < 1e-4 || a >= 1e16) {
		return strconv.AppendFloat(dst, v, 'e', -1, 64)
	}
	n := len(dst)
	dst = strconv.AppendFloat(dst, v, 'f', -1, 64)
	for _, c := range dst[n:] {
		if c == '.' {
			return dst
		}
	}
	return append(dst, '.', '0')
}

// CSVHeader lists the columns that AppendCSV writes.
func (sel selection) csvHeader() []byte {
	header := []byte("session_id")
	if sel.all {
		header = append(header, ",session_name"...)
	}
	header = append(header, ",timestamp"...)
	for _, i := range sel.fields {
		if sel.all && i == nameField {
			continue
		}
		header = append(header, ',')
		header = append(header, Fields[i].Name...)
	}
	if sel.extra {
		header = append(header, ",extra"...)
	}
	return append(header, '\n')
}

// AppendCSV writes the record as a line of CSV, absent fields as empty cells.
func (r *Record) AppendCSV(dst []byte) []byte {
	dst = appendCSVCell(dst, []byte(r.sessionID))
	if r.sel.all {
		dst = append(dst, ',')
		dst = appendCSVCell(dst, r.raw[colFields+nameField])
	}
	dst = append(dst, ',')
	dst = r.appendTime(dst)
	for i, f := range r.sel.fields {
		if r.sel.all && f == nameField {
			continue
		}
		dst = append(dst, ',')
		raw := r.raw[colFields+i]
		if raw == nil {
			continue
		}
		switch Fields[f].Type {
		case Float:
			dst = appendPythonFloat(dst, math.Float64frombits(binary.BigEndian.Uint64(raw)))
		case Int:
			dst = strconv.AppendInt(dst, int64(binary.BigEndian.Uint64(raw)), 10)
		case Text:
			dst = appendCSVCell(dst, raw)
		case JSON:
			dst = appendCSVCell(dst, r.jsonAt(raw))
		}
	}
	if r.sel.extra {
		dst = append(dst, ',')
		if raw := r.raw[colFields+len(r.sel.fields)]; raw != nil {
			dst = appendCSVCell(dst, r.jsonAt(raw))
		}
	}
	return append(dst, '\n')
}

func appendCSVCell(dst, text []byte) []byte {
	quote := false
	for _, c := range text {
		if c == ',' || c == '"' || c == '\n' || c == '\r' {
			quote = true
			break
		}
	}
	if !quote {
		return append(dst, text...)
	}
	dst = append(dst, '"')
	for _, c := range text {
		if c == '"' {
			dst = append(dst, '"')
		}
		dst = append(dst, c)
	}
	return append(dst, '"')
}
