package record

import (
	"cmp"
	"encoding/base64"
	"encoding/binary"
	"errors"
	"time"
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

// Compare orders the records of a session.
func (c Cursor) Compare(o Cursor) int {
	return cmp.Or(cmp.Compare(c.Micros, o.Micros), cmp.Compare(c.Batch, o.Batch), cmp.Compare(c.Ord, o.Ord))
}

// String is the opaque text that clients send back.
func (c Cursor) String() string {
	var b [16]byte
	binary.BigEndian.PutUint64(b[0:], uint64(c.Micros))
	binary.BigEndian.PutUint32(b[8:], uint32(c.Batch))
	binary.BigEndian.PutUint32(b[12:], uint32(c.Ord))
	return base64.RawURLEncoding.EncodeToString(b[:])
}

var errCursor = errors.New("is not a cursor that this server gave out")

// ParseCursor reads a text made by String. Anything else is an error that says
// what the text is not.
func ParseCursor(text string) (Cursor, error) {
	b, err := base64.RawURLEncoding.DecodeString(text)
	if err != nil || len(b) != 16 {
		return Cursor{}, errCursor
	}
	return Cursor{
		Micros: int64(binary.BigEndian.Uint64(b[0:])),
		Batch:  int32(binary.BigEndian.Uint32(b[8:])),
		Ord:    int32(binary.BigEndian.Uint32(b[12:])),
	}, nil
}
