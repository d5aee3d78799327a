// Package extra reads the members that have no column out of stored records, of the columns
// numbers and extra, in the order in which these were measured, as far as the database is to be believed: before
// 2.28 TimescaleDB takes a chunk of the columnstore for sorted that late records are in.
//
// It does here what jsonb_each does in the database: that makes a row of each member of
// each record, with its name and a value of arbitrary precision, and takes ten times as
// long. What numbers it finds are those of the database's function channel_number.
//
// A Names is used by one goroutine. Nothing is kept between calls of Each but what it
// knows.
package extra

import (
	"bytes"
	"context"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"iter"
	"math"
	"math/big"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/ecovolt/telemetryd/timeseries/places"
	"github.com/ecovolt/telemetryd/timeseries/record"
)

// Names are the members that are told apart. Each has a place, from 0 on, in the order
// in which they first came; those of one record in that of its stored form.
type Names struct {
	// Most is how many there may be. Further ones are not told.
	Most int
	// Longest is how many bytes of a name there may be; 0 for any.
	Longest int
	// Numbers says that a member gets its place with its first number.
	Numbers bool

	List   []string // by place
	places map[string]int
	last   []met   // members of the record before, in their order
	at     []int   // by place among record.Places, less 1
	values []Value // of this record
}

type met struct {
	name  []byte // as it is encoded
	place int
}

const (
	// none is the place of a member that never gets one, and later that of one that has
	// none yet.
	none  = -1
	later = -2
)

// Know gives a name the next place.
func (n *Names) Know(name string) (place int) {
	if n.places == nil {
		n.places = map[string]int{}
	}
	place = len(n.List)
	n.places[name], n.List = place, append(n.List, name)
	return place
}

// Value is one of a record's members, and not null.
type Value struct {
	Place   int
	Number  float64 // true is 1, false 0
	Numeric bool    // it has a number
	Text    bool
}

// Record is one that has members without a column. Its values are valid until the next.
type Record struct {
	Time   time.Time
	Batch  int32
	Values []Value
}

// Part is which records of a session are read: those of a range of time, and of
// batches. Before and UpTo are left out and included, From and To the other way round.
type Part struct {
	Session      int32
	From, To     time.Time
	Before, UpTo int32
}

// fetch is how many records are asked for at once. Between, the transaction may do
// other things.
const fetch = 500

// Reader is told of records, with members by names of its own.
type Reader struct {
	Names *Names
	Tell  func(Record)
}

// Each tells the readers of each record of the part with members without a column that
// they know, and calls pause after some records, when the transaction may be used.
func Each(ctx context.Context, tx pgx.Tx, part Part, pause func() error, readers ...Reader) error {
	_, err := tx.Exec(ctx, `
		DECLARE members NO SCROLL CURSOR FOR
		SELECT time, batch, extra, numbers FROM telemetry
		WHERE session = $1 AND time >= $2 AND time < $3 AND batch > $4 AND batch <= $5 AND (numbers IS NOT NULL OR extra IS NOT NULL)
		ORDER BY time, batch, ord`, part.Session, part.From, part.To, part.Before, part.UpTo)
	if err != nil {
		return err
	}
	// After the cursor was opened: the numbers of each record that it finds have a place.
	known, err := new(places.Places).On(ctx, tx)
	if err != nil {
		return err
	}
	for got := fetch; got == fetch; {
		if got, err = next(ctx, tx, known, readers); err == nil {
			err = pause()
		}
		if err != nil {
			return err
		}
	}
	_, err = tx.Exec(ctx, "CLOSE members")
	return err
}

// next reads the next records, and returns how many there were.
func next(ctx context.Context, tx pgx.Tx, places *record.Places, readers []Reader) (got int, err error) {
	rows, err := tx.Query(ctx, fmt.Sprintf("FETCH %d FROM members", fetch), pgx.QueryResultFormats{pgx.BinaryFormatCode, pgx.BinaryFormatCode, pgx.TextFormatCode, pgx.BinaryFormatCode})
	if err != nil {
		return 0, err
	}
	defer rows.Close()
	var numbers record.Numbers
	for ; rows.Next(); got++ {
		raw := rows.RawValues()
		if len(raw) != 4 || len(raw[0]) != 8 || len(raw[1]) != 4 || raw[2] != nil && (len(raw[2]) < 2 || raw[2][0] != '{') ||
			numbers.Read(raw[3]) != nil || numbers.First+len(numbers.Values) > places.Len()+1 {
			return 0, errors.New("a record's members are not as PostgreSQL sends them")
		}
		r := Record{Time: moment(raw[0]), Batch: int32(binary.BigEndian.Uint32(raw[1]))}
		for _, reader := range readers {
			reader.Names.values = reader.Names.values[:0]
		}
		for k, n := range numbers.Values {
			if !numbers.Has[k] {
				continue
			}
			v := Value{Number: n.Float(), Numeric: true}
			for _, reader := range readers {
				reader.Names.number(places, numbers.First+k, v)
			}
		}
		i := 0
		for name, text := range members(raw[2]) {
			v, null := value(text)
			if null {
				continue
			}
			for _, reader := range readers {
				reader.Names.take(i, name, v)
			}
			i++
		}
		for _, reader := range readers {
			if r.Values = reader.Names.values; len(r.Values) > 0 {
				reader.Tell(r)
			}
		}
	}
	return got, rows.Err()
}

var epoch = time.Date(2000, 1, 1, 0, 0, 0, 0, time.UTC).UnixMicro()

func moment(raw []byte) time.Time {
	return time.UnixMicro(int64(binary.BigEndian.Uint64(raw)) + epoch).UTC()
}

// take adds a member of a record, the one at i of those that are not null. The order
// of these depends on their names alone.
func (n *Names) take(i int, name []byte, v Value) {
	if i >= len(n.last) {
		n.last = append(n.last, met{})
	}
	m := &n.last[i]
	if m.place == later || !bytes.Equal(m.name, name) {
		m.name, m.place = append(m.name[:0], name...), n.find(name, v.Numeric)
	}
	if v.Place = m.place; v.Place >= 0 {
		n.values = append(n.values, v)
	}
}

// number adds a member of a record whose number has that place among all.
func (n *Names) number(places *record.Places, at int, v Value) {
	if at > len(n.at) {
		n.at = append(n.at, slices.Repeat([]int{later}, places.Len()-len(n.at))...)
	}
	place := &n.at[at-1]
	if *place == later {
		*place = n.named([]byte(places.Name(at)), true)
	}
	if v.Place = *place; v.Place >= 0 {
		n.values = append(n.values, v)
	}
}

// members are those of an object; NULL has none.
func members(object []byte) iter.Seq2[[]byte, []byte] {
	if object == nil {
		return func(func(name, value []byte) bool) {}
	}
	return record.Members(object)
}

// find returns the place of a member, which gets one if it may.
func (n *Names) find(encoded []byte, numeric bool) int {
	var unescaped string
	name := encoded[1 : len(encoded)-1]
	if bytes.IndexByte(name, '\\') >= 0 && json.Unmarshal(encoded, &unescaped) == nil {
		name = []byte(unescaped)
	}
	return n.named(name, numeric)
}

func (n *Names) named(name []byte, numeric bool) int {
	if place, ok := n.places[string(name)]; ok {
		return place
	}
	switch {
	case len(n.List) >= n.Most, n.Longest > 0 && len(name) > n.Longest:
		return none
	case n.Numbers && !numeric:
		return later
	}
	return n.Know(string(name))
}

// value reads a value.
func value(text []byte) (v Value, null bool) {
	switch text[0] {
	case 'n':
		return v, true
	case 't':
		return Value{Number: 1, Numeric: true}, false
	case 'f':
		return Value{Numeric: true}, false
	case '{', '[':
	case '"':
		v.Text = true
	default:
		v.Number, v.Numeric = number(text)
	}
	return v, false
}

// number is channel_number: the nearest float, nothing over 1e100, 0 below 1e-300.
func number(text []byte) (f float64, ok bool) {
	if f, ok = record.Decimal(text); ok {
		return f, true
	}
	f, err := strconv.ParseFloat(string(text), 64)
	size := math.Abs(f)
	if size == 1e-300 || size == 1e100 { // it may have been rounded to the bound
		exact, _ := new(big.Rat).SetString(strings.TrimPrefix(string(text), "-"))
		bound, _ := new(big.Rat).SetString(strconv.FormatFloat(size, 'g', -1, 64))
		switch side := exact.Cmp(bound); {
		case size == 1e100 && side > 0:
			return 0, false
		case size == 1e-300 && side < 0:
			return 0, true
		}
	}
	switch {
	case size < 1e-300:
		return 0, true
	case err != nil || size > 1e100:
		return 0, false
	}
	return f, true
}
