package timeseries

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"io"
	"strings"
)

// A group is the part of a Batch that belongs to one session, encoded for
// COPY ... (FORMAT binary). pgx's own encoder takes a []any for each row and
// looks every value up in its type map; these rows come from flat arrays and
// are written once, so that the server, not the daemon, bounds the rate.
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

// groups splits the batch by session and encodes each part. The digest of a
// part covers which columns it has and every value in order, but neither the
// session's key nor the batch number: the same records always give the same digest.
func (b *Batch) groups() []*group {
	out := make([]*group, len(b.sessions))
	for i, id := range b.sessions {
		out[i] = &group{sessionID: id}
	}
	for i := range b.rows {
		r := &b.rows[i]
		g := out[r.session]
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
	kept := out[:0]
	for i, g := range out {
		if g.records == 0 { // all of its records were bad
			continue
		}
		g.encode(b, int32(i))
		kept = append(kept, g)
	}
	return kept
}

func (g *group) encode(b *Batch, session int32) {
	fields := make([]int, 0, len(Fields))
	for i := range Fields {
		if g.columns.has(i) {
			fields = append(fields, i)
		}
	}
	columns := 4 + len(fields)
	if g.timeText {
		columns++
	}
	if g.hasExtra {
		columns++
	}
	data := make([]byte, 0, g.records*(40+12*len(fields))+4096)
	g.offsets = make([]int, 0, g.records)
	ord := uint32(0)
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
	}
	g.data = data
	h := sha256.New()
	io.WriteString(h, g.columnList())
	h.Write([]byte{0})
	h.Write(data)
	h.Sum(g.digest[:0])
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

// copyReader gives the whole COPY stream: signature, flags, no extension, the
// rows, and the trailer.
func (g *group) copyReader() io.Reader {
	return io.MultiReader(
		strings.NewReader("PGCOPY\n\xff\r\n\x00\x00\x00\x00\x00\x00\x00\x00\x00"),
		bytes.NewReader(g.data),
		strings.NewReader("\xff\xff"),
	)
}
