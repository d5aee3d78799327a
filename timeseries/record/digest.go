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
	buf     []byte
	// known are the members of recent records: channels at their own places, and those
	// without one behind them. Index has the latter's places by encoded name, and order
	// has all by name.
	known []known
	index map[string]int32
	order []int32
	turn  uint32 // of the record that is listed
	// The last record's members without a channel, in their order there: places in
	// known; where in Extra the values of those with a span begin; the others' values.
	stood   []int32
	begin   []int
	surplus [][]byte
}

// member is a channel, or a member without one.
type member struct {
	place int32 // in known
	at    int   // in stood; -1 for a channel
}

type known struct {
	name string
	key  string // as it is encoded
	next int32  // place of what stood behind it the last time
	turn uint32 // the last record that had it
	at   int    // there
}

// mostKnown bounds known, all of which each record that is listed goes through.
const mostKnown = 2 * MaxMembers

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
		if m.at >= 0 {
			if m.at < len(v.Spans) && v.Spans[m.at].isUsual() {
				d.number(v.Spans[m.at].Number.Float())
			} else {
				d.value(d.raw(v, m.at))
			}
			continue
		}
		switch channel.All[m.place].Type {
		case channel.Float:
			d.number(math.Float64frombits(v.Values[m.place]))
		case channel.Int:
			d.number(float64(int64(v.Values[m.place])))
		case channel.Text:
			d.text(v.Bytes(int(m.place)))
		case channel.JSON:
			d.value(v.Bytes(int(m.place)))
		}
	}
	d.hash.Write(d.buf)
}

// again reports whether a record has the members of the one before, in the same order.
func (d *Digest) again(v *Values, present Mask) bool {
	if len(d.stood) == 0 || len(v.Spans) != len(d.stood) || present != d.present || len(v.Surplus) > 0 {
		return false
	}
	at := 1
	for i := range v.Spans {
		name, value, next := spanned(v.Extra, at, &v.Spans[i])
		if string(name) != d.known[d.stood[i]].key || string(value) == `""` {
			return false
		}
		d.begin[i] = next - 1 - len(value)
		at = next
	}
	return true
}

// raw is the value of a member without a channel, as it is encoded.
func (d *Digest) raw(v *Values, at int) []byte {
	if at < len(v.Spans) {
		return v.Extra[d.begin[at]:][:v.Spans[at].Value]
	}
	return d.surplus[at-len(v.Spans)]
}

// list lists the members of a record, and notes their names where they are others.
func (d *Digest) list(v *Values, present Mask) {
	if len(d.known) > mostKnown || d.index == nil {
		d.forget()
	}
	d.turn++
	for _, i := range present.Channels() {
		d.known[i].turn, d.known[i].at = d.turn, -1
	}
	d.stood, d.begin, d.surplus = d.stood[:0], d.begin[:0], d.surplus[:0]
	before := len(d.known)
	at := 1
	for i := range v.Spans {
		name, value, next := spanned(v.Extra, at, &v.Spans[i])
		d.stand(name)
		d.begin = append(d.begin, next-1-len(value))
		at = next
	}
	if len(v.Surplus) > 0 {
		for name, value := range Members(v.Surplus) {
			d.stand(name)
			d.surplus = append(d.surplus, value)
		}
	}
	d.sort(before)
	d.plain, d.present = len(v.Extra) == 0, present

	d.members = d.members[:0]
	for _, place := range d.order {
		e := &d.known[place]
		if e.turn != d.turn {
			continue
		}
		m := member{place, e.at}
		if n := len(d.members); n > 0 && d.known[d.members[n-1].place].name == e.name {
			// The last of a name counts, as in jsonb.
			if d.members[n-1].at < m.at {
				d.members[n-1] = m
			}
			continue
		}
		d.members = append(d.members, m)
	}
	all := len(d.members)
	d.members = slices.DeleteFunc(d.members, func(m member) bool { return m.at >= 0 && string(d.raw(v, m.at)) == `""` })
	if len(d.members) < all {
		d.stood = d.stood[:0] // the next record is listed, too
	}
	long := len(d.names)
	for _, m := range d.members {
		name := d.known[m.place].name
		d.names = append(binary.BigEndian.AppendUint32(d.names, uint32(len(name))), name...)
	}
	if bytes.Equal(d.names[:long], d.names[long:]) {
		d.names = d.names[:long]
		return
	}
	d.names = append(d.names[:0], d.names[long:]...)
	d.buf = appendSized(append(d.buf[:0], 1), d.names)
}

// forget leaves nothing known but the channels.
func (d *Digest) forget() {
	d.known, d.order = append(d.known[:0], channels...), append(d.order[:0], byName...)
	d.stood, d.index = d.stood[:0], map[string]int32{}
}

// channels are what is known from the start, and byName is their order.
var channels, byName = func() (all []known, order []int32) {
	for i, c := range channel.All {
		all, order = append(all, known{name: c.Name}), append(order, int32(i))
	}
	slices.SortFunc(order, func(x, y int32) int { return strings.Compare(all[x].name, all[y].name) })
	return all, order
}()

// stand notes that a member without a channel comes next in the record.
func (d *Digest) stand(key []byte) {
	place, last := int32(-1), int32(-1)
	if n := len(d.stood); n > 0 {
		last = d.stood[n-1]
		if next := d.known[last].next; d.known[next].key == string(key) {
			place = next
		}
	}
	if place < 0 {
		var ok bool
		if place, ok = d.index[string(key)]; !ok {
			place = int32(len(d.known))
			e := known{key: string(key)}
			if e.name = e.key[1 : len(e.key)-1]; strings.IndexByte(e.name, '\\') >= 0 {
				e.name = unquoted(key)
			}
			d.known = append(d.known, e)
			d.index[e.key] = place
		}
		if last >= 0 {
			d.known[last].next = place
		}
	}
	d.known[place].turn, d.known[place].at = d.turn, len(d.stood)
	d.stood = append(d.stood, place)
}

// sort puts what is known from that place on into the order.
func (d *Digest) sort(from int) {
	if from == len(d.known) {
		return
	}
	compare := func(x, y int32) int { return strings.Compare(d.known[x].name, d.known[y].name) }
	var added []int32
	for place := from; place < len(d.known); place++ {
		added = append(added, int32(place))
	}
	slices.SortFunc(added, compare)
	d.order = append(d.order, added...) // and then from the end on
	for to, old := len(d.order)-1, from-1; len(added) > 0; to-- {
		if n := len(added) - 1; old >= 0 && compare(d.order[old], added[n]) > 0 {
			d.order[to] = d.order[old]
			old--
		} else {
			d.order[to], added = added[n], added[:n]
		}
	}
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
