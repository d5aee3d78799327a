package timeseries

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"io"
	"math/bits"
	"strings"
	"sync"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
)

// A group is the part of some decoded records that belongs to one session,
// encoded for COPY ... (FORMAT binary). pgx's own encoder takes a []any for each
// row and looks every value up in its type map; these rows come from flat arrays
// and are written once, so that the server, not the daemon, bounds the rate.
type group struct {
	sessionID          string
	name               []byte // the first record's session name; nil without
	records            int
	minMicros          int64
	maxMicros          int64
	minText, maxText   []byte // as received, where not in the usual form
	columns            fieldMask
	timeText, hasExtra bool
	data               []byte // rows, with zeros for session and batch
	offsets            []int  // where in data each row's session value stands
	digest             [sha256.Size]byte
}

// postgresEpoch is 2000-01-01, from which PostgreSQL counts microseconds.
const postgresEpoch = 946684800 * 1_000_000

// Offsets in a row, from its session value: each value has a length before it.
const batchOffset = 4 + 4

// groups splits the batch by session, encodes each part and takes its digest.
func (b *Batch) groups() []*group {
	out := make([]*group, len(b.sessions))
	for i, id := range b.sessions {
		out[i] = &group{sessionID: id}
	}
	for i := range b.rows {
		out[b.rows[i].session].note(b, i)
	}
	kept := out[:0]
	for i, g := range out {
		if g.records == 0 { // all of its records were bad
			continue
		}
		h := sha256.New()
		g.encode(b, int32(i), 0, h)
		h.Sum(g.digest[:0])
		kept = append(kept, g)
	}
	return kept
}

// note counts row i of the batch in.
func (g *group) note(b *Batch, i int) {
	r := &b.rows[i]
	g.columns.add(r.present)
	g.timeText = g.timeText || r.timeText.len > 0
	g.hasExtra = g.hasExtra || r.extra.len > 0
	if g.records == 0 || r.micros < g.minMicros {
		g.minMicros, g.minText = r.micros, r.timeText.of(b.text)
	}
	if g.records == 0 || r.micros >= g.maxMicros {
		g.maxMicros, g.maxText = r.micros, r.timeText.of(b.text)
	}
	g.records++
	if g.name == nil && r.present.has(nameField) {
		g.name = unpackSpan(b.values[i*len(Fields)+nameField]).of(b.text)
	}
}

// fields lists the fields that any of the group's records has.
func (g *group) fields() []int {
	fields := make([]int, 0, len(Fields))
	for i := range Fields {
		if g.columns.has(i) {
			fields = append(fields, i)
		}
	}
	return fields
}

// encode writes the rows of one of the batch's sessions, counting their places
// from ord, and feeds the digest. What is digested is each row's time, members
// and values: neither keys that the database gives out nor how the rows were
// cut into pieces, so that the same records in order always give the same digest.
func (g *group) encode(b *Batch, session int32, ord uint32, digest io.Writer) {
	fields := g.fields()
	columns := 4 + len(fields)
	if g.timeText {
		columns++
	}
	if g.hasExtra {
		columns++
	}
	data := make([]byte, 0, g.records*(44+12*len(fields))+len(b.text)*g.records/max(1, len(b.rows))+4096)
	g.offsets = make([]int, 0, g.records)
	canonical := make([]byte, 0, 16<<10)
	for ri := range b.rows {
		r := &b.rows[ri]
		if r.session != session {
			continue
		}
		values := b.values[ri*len(Fields) : (ri+1)*len(Fields)]
		data = binary.BigEndian.AppendUint16(data, uint16(columns))
		g.offsets = append(g.offsets, len(data)+4)
		data = append(data, 0, 0, 0, 4, 0, 0, 0, 0) // session
		data = append(data, 0, 0, 0, 4, 0, 0, 0, 0) // batch
		data = append(data, 0, 0, 0, 4)
		data = binary.BigEndian.AppendUint32(data, ord)
		data = append(data, 0, 0, 0, 8)
		data = binary.BigEndian.AppendUint64(data, uint64(r.micros-postgresEpoch))
		ord++
		for _, f := range fields {
			if !r.present.has(f) {
				data = append(data, 0xff, 0xff, 0xff, 0xff) // NULL
				continue
			}
			switch v := values[f]; Fields[f].Type {
			case Float, Int:
				data = append(data, 0, 0, 0, 8)
				data = binary.BigEndian.AppendUint64(data, v)
			case Text:
				data = appendCopyText(data, unpackSpan(v).of(b.text))
			case JSON:
				data = appendCopyJSON(data, unpackSpan(v).of(b.text))
			}
		}
		if g.timeText {
			if r.timeText.len == 0 {
				data = append(data, 0xff, 0xff, 0xff, 0xff)
			} else {
				data = appendCopyText(data, r.timeText.of(b.text))
			}
		}
		if g.hasExtra {
			if r.extra.len == 0 {
				data = append(data, 0xff, 0xff, 0xff, 0xff)
			} else {
				data = appendCopyJSON(data, r.extra.of(b.text))
			}
		}
		if len(canonical) > 12<<10 {
			digest.Write(canonical)
			canonical = canonical[:0]
		}
		canonical = appendCanonical(canonical, b, r, values)
	}
	digest.Write(canonical)
	g.data = data
}

// appendCanonical writes what a row's part of the digest is taken over.
func appendCanonical(dst []byte, b *Batch, r *row, values []uint64) []byte {
	dst = binary.LittleEndian.AppendUint64(dst, uint64(r.micros))
	dst = binary.LittleEndian.AppendUint64(dst, r.present[0])
	dst = binary.LittleEndian.AppendUint64(dst, r.present[1])
	for word, mask := range r.present {
		for ; mask != 0; mask &= mask - 1 {
			f := word<<6 + bits.TrailingZeros64(mask)
			v := values[f]
			if t := Fields[f].Type; t == Float || t == Int {
				dst = binary.LittleEndian.AppendUint64(dst, v)
			} else {
				dst = appendCopyText(dst, unpackSpan(v).of(b.text))
			}
		}
	}
	dst = appendCopyText(dst, r.timeText.of(b.text))
	return appendCopyText(dst, r.extra.of(b.text))
}

func appendCopyText(dst, text []byte) []byte {
	dst = binary.BigEndian.AppendUint32(dst, uint32(len(text)))
	return append(dst, text...)
}

// appendCopyJSON writes jsonb: a version byte, then the text.
func appendCopyJSON(dst, text []byte) []byte {
	dst = binary.BigEndian.AppendUint32(dst, uint32(len(text)+1))
	dst = append(dst, 1)
	return append(dst, text...)
}

func (g *group) columnList() string {
	var list strings.Builder
	list.WriteString("session, batch, ord, time")
	for i := range Fields {
		if g.columns.has(i) {
			list.WriteString(", ")
			list.WriteString(Fields[i].Name)
		}
	}
	if g.timeText {
		list.WriteString(", time_text")
	}
	if g.hasExtra {
		list.WriteString(", extra")
	}
	return list.String()
}

// copySQL is the statement that takes the group's rows. Only columns with a
// value are named: the server then spends nothing on the many others.
func (g *group) copySQL() string {
	return "COPY telemetry (" + g.columnList() + ") FROM STDIN (FORMAT binary)"
}

// stamp writes the session's key and the batch number into every row.
func (g *group) stamp(session, batch int32) {
	for _, at := range g.offsets {
		binary.BigEndian.PutUint32(g.data[at:], uint32(session))
		binary.BigEndian.PutUint32(g.data[at+batchOffset:], uint32(batch))
	}
}

// copyHeader begins a COPY stream: signature, flags, no extension. copyTrailer ends it.
const (
	copyHeader  = "PGCOPY\n\xff\r\n\x00\x00\x00\x00\x00\x00\x00\x00\x00"
	copyTrailer = "\xff\xff"
)

// copyReader gives the whole COPY stream of the group.
func (g *group) copyReader() io.Reader {
	return io.MultiReader(strings.NewReader(copyHeader), bytes.NewReader(g.data), strings.NewReader(copyTrailer))
}

// copyTo stores the group's rows, which must be stamped.
func (g *group) copyTo(ctx context.Context, tx pgx.Tx) error {
	tag, err := copyIn(ctx, tx, g.copyReader(), g.copySQL())
	if err != nil {
		return fmt.Errorf("copy: %w", err)
	}
	if tag.RowsAffected() != int64(g.records) {
		return fmt.Errorf("copy: stored %d of %d records", tag.RowsAffected(), g.records)
	}
	return nil
}

// copyIn runs a COPY statement. When it returns, r is not read any more: pgx
// leaves a goroutine behind that reads on when the connection breaks, and what r
// reads from may be lent to another upload by then.
func copyIn(ctx context.Context, tx pgx.Tx, r io.Reader, sql string) (pgconn.CommandTag, error) {
	guarded := &guardedReader{r: r}
	defer guarded.end()
	return tx.Conn().PgConn().CopyFrom(ctx, guarded, sql)
}

// guardedReader can be ended from another goroutine.
type guardedReader struct {
	mu    sync.Mutex
	r     io.Reader
	ended bool
}

func (g *guardedReader) Read(p []byte) (int, error) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.ended {
		return 0, io.ErrClosedPipe
	}
	return g.r.Read(p)
}

// end waits for the read that is going on; later ones fail.
func (g *guardedReader) end() {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.ended = true
}
