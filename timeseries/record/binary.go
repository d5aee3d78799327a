package record

import (
	"encoding/binary"
	"fmt"
	"math"
	"strings"

	"github.com/jackc/pgx/v5"
)

// epoch is 2000-01-01, from which PostgreSQL counts microseconds.
const epoch = 946684800 * 1_000_000

// jsonVersion precedes the text of every jsonb value.
const jsonVersion = 1

func float(raw []byte) float64 { return math.Float64frombits(binary.BigEndian.Uint64(raw)) }

func integer(raw []byte) int64 { return int64(binary.BigEndian.Uint64(raw)) }

// Columns reads the columns of a query's row one after the other, as
// PostgreSQL sends them in binary. It spares scanning each through an
// interface. The zero Columns has no row.
type Columns struct {
	raw  [][]byte
	next int
	err  error
}

// Reset begins with another row.
func (c *Columns) Reset(raw [][]byte) { c.raw, c.next = raw, 0 }

// Err is what was wrong with a column, or nil.
func (c *Columns) Err() error { return c.err }

// ReadColumns calls read with each row of a query, and closes it. It returns the
// query's error, or what is wrong with a column that read asked for.
func ReadColumns(rows pgx.Rows, read func(*Columns)) error {
	defer rows.Close()
	var c Columns
	for rows.Next() {
		c.Reset(rows.RawValues())
		if read(&c); c.err != nil {
			return c.err
		}
	}
	return rows.Err()
}

// sized is the next column, which must have that many bytes; nil is NULL.
func (c *Columns) sized(size int) []byte {
	raw := c.Raw()
	if raw != nil && len(raw) != size {
		c.err = fmt.Errorf("column %d has %d bytes, not %d", c.next, len(raw), size)
		return nil
	}
	return raw
}

// Raw is the next column as it was sent; nil is NULL.
func (c *Columns) Raw() []byte {
	if c.next >= len(c.raw) {
		c.err = fmt.Errorf("a row has %d columns only", len(c.raw))
		return nil
	}
	c.next++
	return c.raw[c.next-1]
}

// Text reads at most so many bytes of a text, with a sign where it goes on; NULL is "".
func (c *Columns) Text(most int) string {
	raw := c.Raw()
	if len(raw) <= most {
		return string(raw)
	}
	return strings.ToValidUTF8(string(raw[:most]), "") + "…"
}

// Float reads a double precision; NULL is NaN.
func (c *Columns) Float() float64 {
	if raw := c.sized(8); raw != nil {
		return float(raw)
	}
	return math.NaN()
}

// Int reads a bigint; NULL is 0.
func (c *Columns) Int() int64 {
	if raw := c.sized(8); raw != nil {
		return integer(raw)
	}
	return 0
}

// Int32 reads an integer; NULL is 0.
func (c *Columns) Int32() int32 {
	if raw := c.sized(4); raw != nil {
		return int32(binary.BigEndian.Uint32(raw))
	}
	return 0
}

// Micros reads a timestamptz as microseconds since the Unix epoch; NULL is
// PostgreSQL's epoch.
func (c *Columns) Micros() int64 { return c.Int() + epoch }

// Cursor takes the place of a record: its time, batch and ord.
func (c *Columns) Cursor() Cursor {
	return Cursor{Micros: c.Micros(), Batch: c.Int32(), Ord: c.Int32()}
}
