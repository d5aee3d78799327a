package record

import (
	"encoding/binary"
	"math"
	"strconv"
	"strings"

	"github.com/ecovolt/telemetryd/internal/fault"
	"github.com/ecovolt/telemetryd/timeseries/channel"
)

// Selection is a set of channels to read, and how they lie in a result row.
type Selection struct {
	Channels []int // indexes into channel.All, ascending
	extra    bool
	all      bool
}

// Everything selects all channels, and the members that have no channel.
var Everything = func() Selection {
	sel := Selection{extra: true, all: true}
	for i := range channel.All {
		sel.Channels = append(sel.Channels, i)
	}
	return sel
}()

// Select makes a selection of the named channels; none means everything.
func Select(names []string) (Selection, error) {
	if len(names) == 0 {
		return Everything, nil
	}
	var mask Mask
	for _, name := range names {
		switch i, ok := channel.Index(name); {
		case ok:
			mask.Set(i)
		case name == "session_id" || name == "timestamp": // always there
		default:
			return Selection{}, fault.Field("fields", "there is no field %q", fault.Clip(name))
		}
	}
	return Selection{Channels: mask.Channels()}, nil
}

// Columns lists what a query must select, in the order that Row expects.
func (sel Selection) Columns() string {
	var b strings.Builder
	b.WriteString("t.time, t.batch, t.ord, t.time_text")
	for _, i := range sel.Channels {
		b.WriteString(", t.")
		b.WriteString(channel.All[i].Name)
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

// Row is one stored record, as it came from the database: the columns of
// Selection.Columns in PostgreSQL's binary form. It is valid only until the
// next one is read.
type Row struct {
	SessionID string
	Session   int32 // its key
	Selection *Selection
	Raw       [][]byte
	Stored    bool // a last column holds the time of storage
}

// Int32 reads an integer in PostgreSQL's binary form.
func Int32(raw []byte) int32 { return int32(binary.BigEndian.Uint32(raw)) }

// Micros reads a timestamptz in PostgreSQL's binary form, as microseconds since
// the Unix epoch.
func Micros(raw []byte) int64 { return int64(binary.BigEndian.Uint64(raw)) + epoch }

// Cursor is the record's place in its session.
func (r *Row) Cursor() Cursor {
	return Cursor{Micros(r.Raw[colTime]), Int32(r.Raw[colBatch]), Int32(r.Raw[colOrd])}
}

// appendTime writes the record's timestamp as it was received.
func (r *Row) appendTime(dst []byte) []byte {
	if text := r.Raw[colTimeText]; text != nil {
		return append(dst, text...)
	}
	return AppendTimestamp(dst, Micros(r.Raw[colTime]))
}

// Timestamp is the record's timestamp as it was received.
func (r *Row) Timestamp() string { return string(r.appendTime(nil)) }

// jsonText is the text of a jsonb value, which has a version byte before it.
func jsonText(raw []byte) []byte { return raw[1:] }

// AppendJSON writes the record as a JSON object with the members that it has.
// Records read with their time of storage also get the contract's _id and
// _creationTime (ms since the Unix epoch).
func (r *Row) AppendJSON(dst []byte) []byte {
	dst = append(dst, `{"session_id":`...)
	dst = AppendJSONString(dst, []byte(r.SessionID))
	dst = append(dst, `,"timestamp":"`...)
	dst = r.appendTime(dst)
	dst = append(dst, '"')
	for i, f := range r.Selection.Channels {
		raw := r.Raw[colFields+i]
		if raw == nil {
			continue
		}
		field := &channel.All[f]
		dst = append(dst, ',', '"')
		dst = append(dst, field.Name...)
		dst = append(dst, '"', ':')
		switch field.Type {
		case channel.Float:
			dst = AppendJSONFloat(dst, math.Float64frombits(binary.BigEndian.Uint64(raw)))
		case channel.Int:
			dst = strconv.AppendInt(dst, int64(binary.BigEndian.Uint64(raw)), 10)
		case channel.Text:
			dst = AppendJSONString(dst, raw)
		case channel.JSON:
			dst = append(dst, jsonText(raw)...)
		}
	}
	if r.Selection.extra {
		if raw := r.Raw[colFields+len(r.Selection.Channels)]; raw != nil {
			if object := jsonText(raw); len(object) > 2 {
				dst = append(dst, ',')
				dst = append(dst, object[1:len(object)-1]...)
			}
		}
	}
	if r.Stored {
		dst = append(dst, `,"_id":"`...)
		dst = strconv.AppendInt(dst, int64(r.Session), 10)
		dst = append(dst, '.')
		dst = strconv.AppendInt(dst, int64(Int32(r.Raw[colBatch])), 10)
		dst = append(dst, '.')
		dst = strconv.AppendInt(dst, int64(Int32(r.Raw[colOrd])), 10)
		dst = append(dst, `","_creationTime":`...)
		if raw := r.Raw[len(r.Raw)-1]; raw != nil {
			dst = strconv.AppendFloat(dst, float64(Micros(raw))/1e3, 'f', -1, 64)
		} else {
			dst = append(dst, '0')
		}
	}
	return append(dst, '}')
}

// CSVHeader lists the columns that AppendCSV writes.
func (sel Selection) CSVHeader() []byte {
	header := []byte("session_id")
	if sel.all {
		header = append(header, ",session_name"...)
	}
	header = append(header, ",timestamp"...)
	for _, i := range sel.Channels {
		if sel.all && i == nameField {
			continue
		}
		header = append(header, ',')
		header = append(header, channel.All[i].Name...)
	}
	if sel.extra {
		header = append(header, ",extra"...)
	}
	return append(header, '\n')
}

// AppendCSV writes the record as a line of CSV, absent fields as empty cells.
func (r *Row) AppendCSV(dst []byte) []byte {
	dst = appendCSVCell(dst, []byte(r.SessionID))
	if r.Selection.all {
		dst = append(dst, ',')
		dst = appendCSVCell(dst, r.Raw[colFields+nameField])
	}
	dst = append(dst, ',')
	dst = r.appendTime(dst)
	for i, f := range r.Selection.Channels {
		if r.Selection.all && f == nameField {
			continue
		}
		dst = append(dst, ',')
		raw := r.Raw[colFields+i]
		if raw == nil {
			continue
		}
		switch channel.All[f].Type {
		case channel.Float:
			dst = appendPythonFloat(dst, math.Float64frombits(binary.BigEndian.Uint64(raw)))
		case channel.Int:
			dst = strconv.AppendInt(dst, int64(binary.BigEndian.Uint64(raw)), 10)
		case channel.Text:
			dst = appendCSVCell(dst, raw)
		case channel.JSON:
			dst = appendCSVCell(dst, jsonText(raw))
		}
	}
	if r.Selection.extra {
		dst = append(dst, ',')
		if raw := r.Raw[colFields+len(r.Selection.Channels)]; raw != nil {
			dst = appendCSVCell(dst, jsonText(raw))
		}
	}
	return append(dst, '\n')
}

var nameField, _ = channel.Index("session_name")
