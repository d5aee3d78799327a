package record

import (
	"bytes"
	"encoding/binary"
	"encoding/json"
	"maps"
	"math"
	"math/big"
	"math/bits"
	"slices"
	"strconv"
	"strings"

	"github.com/ecovolt/telemetryd/timeseries/channel"
)

// Mask is a set of channels: one bit for each of channel.All.
type Mask [2]uint64

// Set, Clear and Has work on one channel.
func (m *Mask) Set(i int) { m[i>>6] |= 1 << (i & 63) }

// Clear takes channel i out.
func (m *Mask) Clear(i int) { m[i>>6] &^= 1 << (i & 63) }

// Has reports whether channel i is in the set.
func (m *Mask) Has(i int) bool { return m[i>>6]>>(i&63)&1 != 0 }

// Count is the number of channels in the set.
func (m *Mask) Count() int { return bits.OnesCount64(m[0]) + bits.OnesCount64(m[1]) }

// Union adds those of another set.
func (m *Mask) Union(other Mask) {
	m[0] |= other[0]
	m[1] |= other[1]
}

// Bits are the set as PostgreSQL's bit(128), channel 0 on the left, and MaskOf
// reads them.
func (m Mask) Bits() []byte {
	return binary.BigEndian.AppendUint64(binary.BigEndian.AppendUint64(nil, bits.Reverse64(m[0])), bits.Reverse64(m[1]))
}

// MaskOf is the set that Bits wrote, and all channels for nil.
func MaskOf(b []byte) Mask {
	if b == nil {
		return Mask{math.MaxUint64, math.MaxUint64}
	}
	return Mask{bits.Reverse64(binary.BigEndian.Uint64(b)), bits.Reverse64(binary.BigEndian.Uint64(b[8:]))}
}

// Channels lists the set in the order of channel.All.
func (m *Mask) Channels() []int {
	list := make([]int, 0, m.Count())
	for word, rest := range m {
		for ; rest != 0; rest &= rest - 1 {
			list = append(list, word<<6+bits.TrailingZeros64(rest))
		}
	}
	return list
}

// Substring is a part of a text that the values of many records share.
type Substring struct{ Off, Len uint32 }

// Pack turns it into the eight bytes of a value.
func (s Substring) Pack() uint64 { return uint64(s.Off)<<32 | uint64(s.Len) }

// UnpackSubstring undoes Pack.
func UnpackSubstring(v uint64) Substring { return Substring{uint32(v >> 32), uint32(v)} }

// Of is the part of text.
func (s Substring) Of(text []byte) []byte { return text[s.Off : s.Off+s.Len] }

// Values is one record on its way in: what it measured, and when. It shares
// its memory with the batch that it was decoded into.
type Values struct {
	Micros   int64 // microseconds since the Unix epoch
	Present  Mask
	Values   []uint64 // for each of channel.All, if present: the bits of a float, an integer, or a packed Substring of Text
	Text     []byte
	TimeText []byte // the timestamp as received; empty when AppendTimestamp would write it
	Extra    []byte // the members without a column, as a JSON object; or empty
	Spans    []Span // where its members stand
	Numbers  []byte // those of them that Parter took out of Extra, in PostgreSQL's binary form; or nil
	Surplus  []byte // those beyond MaxMembers, likewise
	Odd      Oddity // why the record is to be set aside; empty as a rule
}

// MaxMembers is how many members without a column are kept of a record.
const MaxMembers = 1024

// Oddity is why a record's time cannot be right.
type Oddity string

// The oddities that a record alone tells, and Stray, which its neighbours tell.
const (
	NoTime   Oddity = "no time"   // the timestamp is a text that is no time; Micros is 0
	TooEarly Oddity = "too early" // before 2000-01-02: clocks that were never set begin in 1970, 1980 or 2000
	TooLate  Oddity = "too late"  // more than a day ahead of the server's clock
	Stray    Oddity = "stray"     // more than 7 days from the other records of the run, and few
)

// AppendJSON writes the members of the record but session_id and timestamp, as
// a JSON object.
func (v *Values) AppendJSON(dst []byte) []byte {
	dst = append(dst, '{')
	for n, i := range v.Present.Channels() {
		if n > 0 {
			dst = append(dst, ',')
		}
		dst = append(AppendJSONString(dst, []byte(channel.All[i].Name)), ':')
		switch channel.All[i].Type {
		case channel.Float:
			dst = AppendJSONFloat(dst, math.Float64frombits(v.Values[i]))
		case channel.Int:
			dst = strconv.AppendInt(dst, int64(v.Values[i]), 10)
		case channel.Text:
			dst = AppendJSONString(dst, v.Bytes(i))
		case channel.JSON:
			dst = append(dst, v.Bytes(i)...)
		}
	}
	for _, object := range [][]byte{v.Extra, v.Surplus} {
		if len(object) > 2 {
			if dst[len(dst)-1] != '{' {
				dst = append(dst, ',')
			}
			dst = append(dst, object[1:len(object)-1]...)
		}
	}
	return append(dst, '}')
}

// Bytes is the value of a Text or JSON channel.
func (v *Values) Bytes(i int) []byte { return UnpackSubstring(v.Values[i]).Of(v.Text) }

// Layout says which columns the rows of a COPY have besides their key and time.
// The zero Layout has none.
type Layout struct {
	Channels        Mask
	TimeText, Extra bool
	Numbers         bool
}

// Add makes the layout fit the record, too.
func (l *Layout) Add(v *Values) {
	l.Channels.Union(v.Present)
	l.TimeText = l.TimeText || len(v.TimeText) > 0
	l.Extra = l.Extra || len(v.Extra) > 0
	l.Numbers = l.Numbers || v.Numbers != nil
}

// Columns lists the columns of the layout's rows for a COPY statement. Only
// columns with a value are named: the server then spends nothing on the others.
func (l *Layout) Columns() string {
	var list strings.Builder
	list.WriteString("session, batch, ord, time")
	for _, i := range l.Channels.Channels() {
		list.WriteString(", ")
		list.WriteString(channel.All[i].Name)
	}
	if l.TimeText {
		list.WriteString(", time_text")
	}
	if l.Extra {
		list.WriteString(", extra")
	}
	if l.Numbers {
		list.WriteString(", numbers")
	}
	return list.String()
}

// CopyHeader begins a binary COPY stream: signature, flags, no extension.
// CopyTrailer ends it.
const (
	CopyHeader  = "PGCOPY\n\xff\r\n\x00\x00\x00\x00\x00\x00\x00\x00\x00"
	CopyTrailer = "\xff\xff"
)

// AppendCopy writes the record as a row of a binary COPY. The session's key
// and the batch's number are zeros until Stamp writes them.
func (l *Layout) AppendCopy(dst []byte, v *Values, ord uint32) []byte {
	columns := 4 + l.Channels.Count()
	if l.TimeText {
		columns++
	}
	if l.Extra {
		columns++
	}
	if l.Numbers {
		columns++
	}
	dst = binary.BigEndian.AppendUint16(dst, uint16(columns))
	dst = append(dst, 0, 0, 0, 4, 0, 0, 0, 0) // session
	dst = append(dst, 0, 0, 0, 4, 0, 0, 0, 0) // batch
	dst = append(dst, 0, 0, 0, 4)
	dst = binary.BigEndian.AppendUint32(dst, ord)
	dst = append(dst, 0, 0, 0, 8)
	dst = binary.BigEndian.AppendUint64(dst, uint64(v.Micros-epoch))
	for word, rest := range l.Channels {
		for ; rest != 0; rest &= rest - 1 {
			i := word<<6 + bits.TrailingZeros64(rest)
			if !v.Present.Has(i) {
				dst = appendNull(dst)
				continue
			}
			switch channel.All[i].Type {
			case channel.Float, channel.Int:
				dst = append(dst, 0, 0, 0, 8)
				dst = binary.BigEndian.AppendUint64(dst, v.Values[i])
			case channel.Text:
				dst = appendSized(dst, v.Bytes(i))
			case channel.JSON:
				dst = appendJSONB(dst, v.Bytes(i))
			}
		}
	}
	if l.TimeText {
		if len(v.TimeText) == 0 {
			dst = appendNull(dst)
		} else {
			dst = appendSized(dst, v.TimeText)
		}
	}
	if l.Extra {
		if len(v.Extra) == 0 {
			dst = appendNull(dst)
		} else {
			dst = appendJSONB(dst, v.Extra)
		}
	}
	if l.Numbers {
		if v.Numbers == nil {
			dst = appendNull(dst)
		} else {
			dst = appendSized(dst, v.Numbers)
		}
	}
	return dst
}

// Stamp writes the session's key and the batch's number into a row that
// AppendCopy wrote.
func Stamp(row []byte, session, batch int32) {
	binary.BigEndian.PutUint32(row[2+4:], uint32(session))
	binary.BigEndian.PutUint32(row[2+4+4+4:], uint32(batch))
}

func appendNull(dst []byte) []byte { return append(dst, 0xff, 0xff, 0xff, 0xff) }

func appendSized(dst, text []byte) []byte {
	dst = binary.BigEndian.AppendUint32(dst, uint32(len(text)))
	return append(dst, text...)
}

// appendJSONB writes jsonb: a version byte, then the text.
func appendJSONB(dst, text []byte) []byte {
	dst = binary.BigEndian.AppendUint32(dst, uint32(len(text)+1))
	dst = append(dst, jsonVersion)
	return append(dst, text...)
}

// AppendCanonical writes what a digest is taken over: the record's time,
// members and values, and no key that the database makes up.
func (v *Values) AppendCanonical(dst []byte) []byte {
	dst = binary.LittleEndian.AppendUint64(dst, uint64(v.Micros))
	dst = binary.LittleEndian.AppendUint64(dst, v.Present[0])
	dst = binary.LittleEndian.AppendUint64(dst, v.Present[1])
	for word, rest := range v.Present {
		for ; rest != 0; rest &= rest - 1 {
			i := word<<6 + bits.TrailingZeros64(rest)
			if t := channel.All[i].Type; t == channel.Float || t == channel.Int {
				dst = binary.LittleEndian.AppendUint64(dst, v.Values[i])
			} else {
				dst = appendSized(dst, v.Bytes(i))
			}
		}
	}
	dst = appendSized(dst, v.TimeText)
	return appendSized(dst, v.Extra)
}

// Stored reports whether raw, a column of channel i in PostgreSQL's binary
// form or nil for NULL, holds the value that the record has there.
func (v *Values) Stored(i int, raw []byte) bool {
	if raw == nil {
		return false
	}
	switch channel.All[i].Type {
	case channel.Float: // by value: 0 is -0
		return float(raw) == math.Float64frombits(v.Values[i])
	case channel.Int:
		return integer(raw) == int64(v.Values[i])
	case channel.Text:
		return bytes.Equal(raw, v.Bytes(i))
	}
	return SameJSON(raw[1:], v.Bytes(i))
}

// SameJSON compares values, since jsonb does not keep the text: numbers exactly,
// as it does.
func SameJSON(x, y []byte) bool {
	if bytes.Equal(x, y) {
		return true
	}
	read := func(text []byte) (value any, err error) {
		decoder := json.NewDecoder(bytes.NewReader(text))
		decoder.UseNumber()
		return value, decoder.Decode(&value)
	}
	a, err := read(x)
	b, other := read(y)
	return err == nil && other == nil && same(a, b)
}

func same(a, b any) bool {
	switch x := a.(type) {
	case json.Number:
		y, ok := b.(json.Number)
		if !ok || x == y {
			return ok
		}
		m, read := new(big.Rat).SetString(string(x))
		n, other := new(big.Rat).SetString(string(y))
		return read && other && m.Cmp(n) == 0
	case []any:
		y, ok := b.([]any)
		return ok && slices.EqualFunc(x, y, same)
	case map[string]any:
		y, ok := b.(map[string]any)
		return ok && maps.EqualFunc(x, y, same)
	}
	return a == b
}
