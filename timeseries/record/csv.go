package record

import (
	"encoding/json"
	"math"
	"strconv"

	"github.com/ecovolt/telemetryd/timeseries/channel"
)

var nameChannel, _ = channel.Index("session_name")

// CSVHeader lists the columns that Row.AppendCSV writes: session_id, the
// timestamp and the selection's channels. A selection of everything has the
// session's name in second place, where people look for it, and the members
// without a column as an object in the cell extra, as they are stored; one of some
// of these has a column for each.
func (s *Selection) CSVHeader() []byte {
	header := []byte("session_id")
	if s.all {
		header = append(header, ",session_name"...)
	}
	header = append(header, ",timestamp"...)
	for at, i := range s.channels {
		if s.all && i == nameChannel {
			continue
		}
		header = append(header, ',')
		header = append(header, inUnit(channel.All[i].Name, place(s.shown.channels, at))...)
	}
	if s.all {
		header = append(header, ",extra"...)
	}
	for _, name := range s.extra {
		header = append(header, ',')
		if u, ok := s.shown.extra[name]; ok {
			name = inUnit(name, &u)
		}
		header = appendCSVCell(header, []byte(name))
	}
	for at, c := range s.computed {
		header = append(header, ',')
		header = append(header, inUnit(c.Name, place(s.shown.computed, at))...)
	}
	return append(header, '\n')
}

// AppendCSV writes the record as a line of CSV, absent values as empty cells.
func (r *Row) AppendCSV(dst []byte) []byte {
	s := r.selection
	dst = appendCSVCell(dst, r.id)
	if s.all {
		dst = append(dst, ',')
		dst = appendCSVCell(dst, r.raw[1+nameChannel])
	}
	dst = append(dst, ',')
	dst = r.appendTimestamp(dst)
	for at, i := range s.channels {
		if s.all && i == nameChannel {
			continue
		}
		dst = append(dst, ',')
		raw := r.raw[1+at]
		if raw == nil {
			continue
		}
		if u := place(s.shown.channels, at); u != nil {
			dst = appendShownCSV(dst, number(raw, i), u)
			continue
		}
		switch channel.All[i].Type {
		case channel.Float:
			dst = appendPythonFloat(dst, float(raw))
		case channel.Int:
			dst = strconv.AppendInt(dst, integer(raw), 10)
		case channel.Text:
			dst = appendCSVCell(dst, raw)
		case channel.JSON:
			dst = appendCSVCell(dst, raw[1:])
		}
	}
	if s.all {
		dst = append(dst, ',')
		if extra := r.extra(); extra != nil {
			dst = appendCSVCell(dst, extra[1:])
		}
	}
	if len(s.extra) > 0 {
		dst = s.appendExtraCSV(dst, r.extra())
	}
	for at := range s.computed {
		dst = append(dst, ',')
		v, ok := r.compute(at)
		if u := place(s.shown.computed, at); ok && u != nil {
			dst = appendShownCSV(dst, v, u)
		} else if ok {
			dst = appendPythonFloat(dst, v)
		}
	}
	return append(dst, '\n')
}

// appendExtraCSV writes a cell for each selected member without a column of its
// own: texts as they are, everything else as JSON has it.
func (s *Selection) appendExtraCSV(dst, object []byte) []byte {
	members := map[string]json.RawMessage{}
	if len(object) > 1 {
		_ = json.Unmarshal(object[1:], &members) // jsonb holds nothing else than objects here
	}
	for _, name := range s.extra {
		dst = append(dst, ',')
		value := members[name]
		if u, ok := s.shown.extra[name]; ok {
			if v, err := strconv.ParseFloat(string(value), 64); err == nil {
				dst = appendShownCSV(dst, v, &u)
				continue
			}
		}
		var text string
		if len(value) > 0 && value[0] == '"' && json.Unmarshal(value, &text) == nil {
			value = []byte(text)
		}
		if string(value) != "null" {
			dst = appendCSVCell(dst, value)
		}
	}
	return dst
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
