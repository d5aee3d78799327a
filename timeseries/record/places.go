package record

import (
	"bytes"
	"cmp"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"

	"github.com/ecovolt/telemetryd/timeseries/channel"
)

// Places says where in the column numbers of telemetry, an array, the numbers of each
// member are. What it says does not change.
//
// Members that have no place, and values that are no Number, are in the column extra,
// a JSON object. Either column may have any member, but one record has a member once.
type Places struct {
	names []string // of place 1 and on
	keys  [][]byte // with quotes, as JSON
	order []int32  // the places in the order in which the database keeps the members of an object
	index map[string]int32
	// outgrown is set when a record came with a number of a later place.
	outgrown atomic.Bool
}

// NewPlaces makes the places of members, of place 1 and on.
func NewPlaces(names []string) *Places {
	p := &Places{names: names, keys: make([][]byte, len(names)), order: make([]int32, len(names)), index: make(map[string]int32, len(names))}
	for i, name := range names {
		p.keys[i], p.order[i] = AppendJSONString(nil, []byte(name)), int32(i+1)
		p.index[string(p.keys[i])] = int32(i + 1)
	}
	slices.SortFunc(p.order, func(a, b int32) int { return inOrder(p.Name(int(a)), p.Name(int(b))) })
	return p
}

// inOrder compares names of members as jsonb sorts them.
func inOrder(a, b string) int { return cmp.Or(cmp.Compare(len(a), len(b)), cmp.Compare(a, b)) }

// Len is how many there are; nil has none.
func (p *Places) Len() int {
	if p == nil {
		return 0
	}
	return len(p.names)
}

// Outgrown reports whether a record was read that has a number of a later place.
func (p *Places) Outgrown() bool { return p.outgrown.Load() }

// limit is SQL of the last place; 0 where the database knows another member of it, as one
// does that was put back to an earlier state.
func (p *Places) limit() string {
	if p.Len() == 0 {
		return "0"
	}
	return fmt.Sprintf("coalesce((SELECT place FROM member_places WHERE place = %d AND member = %s), 0)", p.Len(), channel.Literal(p.Name(p.Len())))
}

// Name is the member of a place.
func (p *Places) Name(place int) string { return p.names[place-1] }

// Names are those of place 1 and on.
func (p *Places) Names() []string { return p.names }

// Parted is the members of a record in two columns, each nil for NULL.
type Parted struct {
	Numbers []byte // an array in PostgreSQL's binary form
	Extra   []byte // a JSON object
}

// Parter parts the members of records. What it returns is valid until Release. It belongs
// to one goroutine.
type Parter struct {
	Places *Places
	// Lacking are names of members that have numbers and no place, each once.
	Lacking []string

	met     []standing // by where they stood in the record before
	taken   []uint32   // by place, the newest record that has the member: its number, and 1 more where the value is no Number
	values  []Number   // by place, of that record
	numbers []int32    // places of the record's numbers
	record  uint32
	lacking map[string]bool
	buf     []byte // what is left of the newest of blocks
	blocks  [][]byte
}

type standing struct {
	name  []byte // as it is encoded
	place int32  // 0 for none
}

// mostLacking bounds how many members without a place are listed.
const mostLacking = 4096

// Part parts the members of a record.
func (p *Parter) Part(v *Values) Parted {
	object := v.Extra
	if p.Places == nil || len(v.Spans) == 0 {
		return Parted{Extra: object}
	}
	if p.taken == nil {
		p.taken, p.values, p.lacking = make([]uint32, p.Places.Len()+1), make([]Number, p.Places.Len()+1), map[string]bool{}
	}
	p.record += 2
	p.numbers = p.numbers[:0]
	rest := p.room(len(object)) // and then the members that stay
	low, high, at := int32(len(p.taken)), int32(0), 1
	for i := range v.Spans {
		s := &v.Spans[i]
		name, value, next := spanned(object, at, s)
		at = next
		place := p.place(i, name)
		if s.Numeric && place == 0 {
			p.lack(name)
		}
		if place > 0 {
			if p.taken[place] >= p.record { // of two members of one name the last counts
				return Parted{Extra: object}
			}
			p.taken[place] = p.record + 1
		}
		if s.Numeric && place > 0 {
			p.taken[place], p.values[place], p.numbers = p.record, s.Number, append(p.numbers, place)
			low, high = min(low, place), max(high, place)
			continue
		}
		rest = append(append(append(append(rest, ','), name...), ':'), value...)
	}
	// An array of nothing but gaps would cost more than it saves.
	if len(p.numbers) == 0 || int(high-low) >= mostGaps*len(p.numbers) {
		return Parted{Extra: object}
	}
	var parted Parted
	if len(rest) > 0 {
		rest[0] = '{'
		parted.Extra = append(rest, '}')
		p.buf = p.buf[len(parted.Extra):]
	}
	parted.Numbers = p.array(low, high)
	return parted
}

// mostGaps is how many places an array has at most for each number in it.
const mostGaps = 4

// room returns the beginning of the memory that is left, which has so many bytes at least.
func (p *Parter) room(size int) []byte {
	if cap(p.buf) < size+2 {
		if p.buf = nil; size+2 <= blockBytes {
			if b, ok := blocks.Get().(*[]byte); ok {
				p.buf = (*b)[:0]
			}
		}
		if p.buf == nil {
			p.buf = make([]byte, 0, max(blockBytes, size+2))
		}
		p.blocks = append(p.blocks, p.buf)
	}
	p.buf = p.buf[:cap(p.buf)]
	return p.buf[:0]
}

// Release gives the memory back that the members lie in. Nil has none.
func (p *Parter) Release() {
	if p == nil {
		return
	}
	for _, b := range p.blocks {
		if cap(b) == blockBytes {
			blocks.Put(&b)
		}
	}
	p.blocks, p.buf = nil, nil
}

// blocks are blocks of memory for parted members.
var blocks sync.Pool

const blockBytes = 1 << 18

func (p *Parter) place(i int, name []byte) int32 {
	if i == len(p.met) {
		p.met = append(p.met, standing{})
	}
	m := &p.met[i]
	if !bytes.Equal(m.name, name) {
		m.name, m.place = append(m.name[:0], name...), p.Places.index[string(name)]
	}
	return m.place
}

func (p *Parter) lack(name []byte) {
	if len(p.lacking) >= mostLacking || p.lacking[string(name)] {
		return
	}
	p.lacking[string(name)] = true
	if plain := unquoted(name); plain != "" {
		p.Lacking = append(p.Lacking, plain)
	}
}

// unquoted is the text of a JSON string.
func unquoted(encoded []byte) string {
	if bytes.IndexByte(encoded, '\\') < 0 {
		return string(encoded[1 : len(encoded)-1])
	}
	var text string
	_ = json.Unmarshal(encoded, &text) // it was checked, or PostgreSQL wrote it
	return text
}

const (
	bigintOID   = 20
	arrayHeader = 20
)

func (p *Parter) array(low, high int32) []byte {
	p.room(arrayHeader + 12*int(high-low+1))
	b := p.buf[:0]
	for _, word := range [...]uint32{1, 1, bigintOID, uint32(high - low + 1), uint32(low)} { // dimensions, NULLs, type, length, first place
		b = binary.BigEndian.AppendUint32(b, word)
	}
	if len(p.numbers) == int(high-low+1) {
		b[7] = 0
	}
	for place := low; place <= high; place++ {
		if p.taken[place] != p.record {
			b = appendNull(b)
			continue
		}
		b = append(b, 0, 0, 0, 8)
		b = binary.BigEndian.AppendUint64(b, uint64(p.values[place]))
	}
	p.buf = p.buf[len(b):]
	return b[:len(b):len(b)]
}

var errNumbers = errors.New("column numbers is not as PostgreSQL sends it")

// Numbers are those of a record, by place, from the first one on.
type Numbers struct {
	First  int
	Values []Number
	Has    []bool // or there is none at that place
}

// Read reads the column numbers; nil is NULL.
func (n *Numbers) Read(raw []byte) error {
	n.Values, n.Has = n.Values[:0], n.Has[:0]
	if len(raw) < arrayHeader {
		if len(raw) == 0 || len(raw) == 12 { // NULL, or without a dimension
			return nil
		}
		return errNumbers
	}
	if binary.BigEndian.Uint32(raw) != 1 || binary.BigEndian.Uint32(raw[8:]) != bigintOID {
		return errNumbers
	}
	count := int(binary.BigEndian.Uint32(raw[12:]))
	n.First = int(int32(binary.BigEndian.Uint32(raw[16:])))
	raw = raw[arrayHeader:]
	for range count {
		switch {
		case len(raw) >= 12 && raw[3] == 8:
			n.Values, n.Has = append(n.Values, Number(binary.BigEndian.Uint64(raw[4:]))), append(n.Has, true)
			raw = raw[12:]
		case len(raw) >= 4 && raw[0] == 0xff:
			n.Values, n.Has = append(n.Values, 0), append(n.Has, false)
			raw = raw[4:]
		default:
			return errNumbers
		}
	}
	return nil
}

// joiner makes one object of members that were parted, as the database would write it.
type joiner struct {
	places      *Places
	numbers     Numbers
	only        func(name string) bool // nil for all
	order       []int32                // places of an array in the order of an object
	first, size int                    // of that array
	buf         []byte
}

// join returns the object, after the version byte of jsonb; nil for NULL. It is valid
// until the next call.
func (j *joiner) join(numbers, extra []byte) ([]byte, error) {
	if err := j.numbers.Read(numbers); err != nil || len(j.numbers.Values) == 0 {
		if numbers != nil && j.places != nil {
			j.places.outgrown.Store(true)
		}
		return extra, err
	}
	n := &j.numbers
	if n.First != j.first || len(n.Values) != j.size {
		j.first, j.size, j.order = n.First, len(n.Values), j.order[:0]
		if j.first < 1 || j.first+j.size-1 > j.places.Len() {
			return nil, errNumbers
		}
		for _, place := range j.places.order {
			if at := int(place) - j.first; at >= 0 && at < j.size && (j.only == nil || j.only(j.places.Name(int(place)))) {
				j.order = append(j.order, place)
			}
		}
	}
	b := append(j.buf[:0], jsonVersion, '{')
	rest := j.order
	before := func(name string) {
		for ; len(rest) > 0 && (name == "" || inOrder(j.places.Name(int(rest[0])), name) < 0); rest = rest[1:] {
			if at := int(rest[0]) - j.first; n.Has[at] {
				b = append(append(b, j.places.keys[rest[0]-1]...), ": "...)
				b = append(n.Values[at].Append(b), ", "...)
			}
		}
	}
	if len(extra) > 3 {
		for name, value := range Members(extra[1:]) {
			if plain := unquoted(name); plain != "" {
				before(plain)
			}
			b = append(append(append(append(b, name...), ": "...), value...), ", "...)
		}
	}
	before("")
	j.buf = b
	if len(b) == 2 {
		return nil, nil
	}
	b[len(b)-2] = '}'
	return b[:len(b)-1], nil
}
