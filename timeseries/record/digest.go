package record

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"encoding/json"
	"hash"
	"math"
	"math/bits"
	"slices"
	"strconv"
	"strings"

	"github.com/go-json-experiment/json/jsontext"

	"github.com/ecovolt/telemetryd/timeseries/channel"
)

// Digest is what records are recognised by when they come again: a SHA-256
// over their times, and their members by name. The session's id and name do not
// matter, nor do the order of the members, the spelling of numbers and times,
// the format, or which members are channels: records of before a channel was
// known are the same afterwards.
//
// What it is taken over must not change; a change is a new form, see the column
// form of ingest_batches.
type Digest struct {
	hash    hash.Hash
	members []member // of the last record, by name
	names   []byte   // theirs
	// present are the channels among the members, all of them where plain.
	present Mask
	plain   bool
	decoder jsontext.Decoder
	buf     []byte
	// As they stood in the last record, where all of them counted or had a successor:
	// names of members without a channel, and values of the record that is added.
	stood  [][]byte
	values []valued
}

// member is a channel, or a member without one.
type member struct {
	name    string
	channel int // or -1
	at      int // where it stood among the members without a channel
	valued
}

// valued is the value of a member without a channel.
type valued struct {
	value []byte
	span  *Span // or nil
}

// NewDigest returns the digest of no record.
func NewDigest() *Digest { return &Digest{hash: sha256.New()} }

// Sum returns the digest of the records so far.
func (d *Digest) Sum() [sha256.Size]byte { return [sha256.Size]byte(d.hash.Sum(nil)) }

// unnamed are all channels but the name of the session; texts are those that a
// CSV file cannot have an empty value of.
var unnamed, texts = func() (unnamed, texts Mask) {
	for i, c := range channel.All {
		if c.Name != "session_name" {
			unnamed.Set(i)
		}
		if c.Type == channel.Text {
			texts.Set(i)
		}
	}
	return unnamed, texts
}()

// Add adds a record.
func (d *Digest) Add(v *Values) {
	var present Mask
	for word := range present {
		present[word] = v.Present[word] & unnamed[word]
		for rest := present[word] & texts[word]; rest != 0; rest &= rest - 1 {
			if i := word<<6 + bits.TrailingZeros64(rest); len(v.Bytes(i)) == 0 {
				present.Clear(i)
			}
		}
	}
	// Records of one sender have the same members, so that their names are
	// listed, and hashed, only where they differ from those of the record before.
	d.buf = append(d.buf[:0], 0)
	if (!d.plain || len(v.Extra) > 0 || present != d.present) && !d.again(v, present) {
		d.list(v, present)
	}
	if v.Odd == NoTime {
		d.text(v.TimeText)
	} else {
		d.buf = append(d.buf, '@')
		d.buf = binary.LittleEndian.AppendUint64(d.buf, uint64(v.Micros))
	}
	for _, m := range d.members {
		if m.channel < 0 {
			if s := m.span; s != nil && s.Numeric && m.value[0] < 'a' && s.Value <= 17 { // as literal does, which reads it again
				d.number(s.Number.Float())
			} else {
				d.value(m.value)
			}
			continue
		}
		switch channel.All[m.channel].Type {
		case channel.Float:
			d.number(math.Float64frombits(v.Values[m.channel]))
		case channel.Int:
			d.number(float64(int64(v.Values[m.channel])))
		case channel.Text:
			d.text(v.Bytes(m.channel))
		case channel.JSON:
			d.value(v.Bytes(m.channel))
		}
	}
	d.hash.Write(d.buf)
}

// again takes the values of a record with the members of the one before, in the same
// order, and reports whether it is one.
func (d *Digest) again(v *Values, present Mask) bool {
	if len(d.stood) == 0 || present != d.present {
		return false
	}
	d.values = d.values[:0]
	stands := func(name []byte, value valued) bool {
		n := len(d.values)
		if n == len(d.stood) || !bytes.Equal(name, d.stood[n]) || string(value.value) == `""` {
			return false
		}
		d.values = append(d.values, value)
		return true
	}
	at := 1
	for i := range v.Spans {
		name, value, next := spanned(v.Extra, at, &v.Spans[i])
		if at = next; !stands(name, valued{value, &v.Spans[i]}) {
			return false
		}
	}
	if len(v.Surplus) > 0 {
		for name, value := range Members(v.Surplus) {
			if !stands(name, valued{value, nil}) {
				return false
			}
		}
	}
	if len(d.values) < len(d.stood) {
		return false
	}
	for i := range d.members {
		if m := &d.members[i]; m.channel < 0 {
			m.valued = d.values[m.at]
		}
	}
	return true
}

// remember notes how the members without a channel stand in a record.
func (d *Digest) remember(v *Values) {
	n := 0
	for _, object := range [][]byte{v.Extra, v.Surplus} {
		if len(object) == 0 {
			continue
		}
		for name, value := range Members(object) {
			if string(value) == `""` {
				d.stood = d.stood[:0]
				return
			}
			if n == len(d.stood) {
				d.stood = append(d.stood, nil)
			}
			d.stood[n] = append(d.stood[n][:0], name...)
			n++
		}
	}
	d.stood = d.stood[:n]
}

// list lists the members of a record, and notes their names where they are others.
func (d *Digest) list(v *Values, present Mask) {
	d.members = d.members[:0]
	for _, i := range present.Channels() {
		d.members = append(d.members, member{name: channel.All[i].Name, channel: i})
	}
	stood := 0
	for _, object := range [][]byte{v.Extra, v.Surplus} {
		if len(object) == 0 {
			continue
		}
		d.decoder.Reset(bytes.NewBuffer(object), jsontext.AllowDuplicateNames(true), jsontext.AllowInvalidUTF8(true))
		for _, _ = d.decoder.ReadToken(); d.decoder.PeekKind() == '"'; {
			name, _ := d.decoder.ReadToken()
			m := member{name: name.String(), channel: -1, at: stood}
			m.value, _ = d.decoder.ReadValue()
			stood++
			d.members = append(d.members, m)
		}
	}
	d.plain, d.present = len(v.Extra) == 0, present
	d.remember(v)
	slices.SortStableFunc(d.members, func(x, y member) int { return strings.Compare(x.name, y.name) })
	kept := d.members[:0]
	for i, m := range d.members {
		// The last of a name counts, as in jsonb.
		last := i+1 == len(d.members) || d.members[i+1].name != m.name
		if last && (m.channel >= 0 || string(m.value) != `""`) {
			kept = append(kept, m)
		}
	}
	d.members = kept
	before := len(d.names)
	for _, m := range d.members {
		d.names = appendSized(d.names, []byte(m.name))
	}
	if bytes.Equal(d.names[:before], d.names[before:]) {
		d.names = d.names[:before]
		return
	}
	d.names = append(d.names[:0], d.names[before:]...)
	d.buf = appendSized(append(d.buf[:0], 1), d.names)
}

func (d *Digest) number(v float64) {
	d.buf = binary.LittleEndian.AppendUint64(append(d.buf, 'n'), math.Float64bits(v+0)) // -0 is 0
}

// sized adds bytes of some kind. Long ones are not copied.
func (d *Digest) sized(kind byte, text []byte) {
	d.buf = binary.BigEndian.AppendUint32(append(d.buf, kind), uint32(len(text)))
	if len(text) < 4096 {
		d.buf = append(d.buf, text...)
		return
	}
	d.hash.Write(d.buf)
	d.hash.Write(text)
	d.buf = d.buf[:0]
}

// text adds a text. CSV cannot tell a number or a boolean from the text of one.
func (d *Digest) text(text []byte) {
	switch kind := jsontext.Value(text).Kind(); {
	case string(text) == "true" || string(text) == "false":
		d.buf = append(d.buf, text[0])
	case kind == '0' && jsontext.Value(text).IsValid():
		d.literal(text)
	default:
		d.sized('t', text)
	}
}

// literal adds a number as it stands in JSON. Digits that a float cannot hold
// tell numbers apart, such as those of long ids.
func (d *Digest) literal(number []byte) {
	if v, ok := Decimal(number); ok {
		d.number(v)
		return
	}
	v, err := strconv.ParseFloat(string(number), 64)
	if err != nil || len(number) > 17 && significant(number) > 17 {
		d.sized('d', number)
		return
	}
	d.number(v)
}

// significant counts the digits of a number from the first that is not 0.
func significant(number []byte) (n int) {
	for _, c := range number {
		if c|0x20 == 'e' {
			break
		}
		if c-'0' <= 9 && (n > 0 || c != '0') {
			n++
		}
	}
	return n
}

// value adds a value that stands in JSON.
func (d *Digest) value(raw []byte) {
	switch jsontext.Value(raw).Kind() {
	case '0':
		d.literal(raw)
		return
	case 't', 'f':
		d.buf = append(d.buf, raw[0])
		return
	case '"':
		if bytes.IndexByte(raw, '\\') < 0 {
			d.text(raw[1 : len(raw)-1])
			return
		}
		if text, err := jsontext.AppendUnquote(nil, raw); err == nil {
			d.text(text)
			return
		}
	}
	// jsonb keeps neither the order of members nor the spelling.
	var value any
	if json.Unmarshal(raw, &value) == nil {
		if sorted, err := json.Marshal(value); err == nil {
			raw = sorted
		}
	}
	d.sized('j', raw)
}
