package timeseries

import (
	"bytes"
	"cmp"
	"context"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"io"
	"math"
	"reflect"
	"slices"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
)

// existing is what an upload knows of the records that a session held before
// it began. A stored record stands for one record of the upload at most, so
// that repeated rows of a file are stored as often as the file has them.
type existing struct {
	batch int32              // the watermark when the upload began
	used  map[int32][]uint64 // for each batch, one bit for each record already matched
}

func (e *existing) take(batch, ord int32) {
	bits := e.used[batch]
	if word := int(ord >> 6); word >= len(bits) {
		bits = append(bits, make([]uint64, word+1-len(bits))...)
		e.used[batch] = bits
	}
	bits[ord>>6] |= 1 << (ord & 63)
}

func (e *existing) taken(batch, ord int32) bool {
	bits := e.used[batch]
	return int(ord>>6) < len(bits) && bits[ord>>6]>>(ord&63)&1 != 0
}

// storedRow is a stored record that may be one of the group's.
type storedRow struct {
	batch, ord int32
	values     [][]byte // of the group's fields, then extra, in PostgreSQL's binary form
	taken      bool
}

// skipExisting gives the part of a group that the session does not hold yet. The
// session's row must be locked.
func (in *ingest) skipExisting(ctx context.Context, tx pgx.Tx, b *Batch, g *group, session, watermark int32) (fresh *group, err error) {
	held := in.existing[g.sessionID]
	if held == nil {
		held = &existing{batch: watermark, used: map[int32][]uint64{}}
		in.existing[g.sessionID] = held
	}
	if held.batch == 0 {
		return g, nil
	}
	number := int32(slices.Index(b.sessions, g.sessionID))
	var order []int // the group's rows
	for i := range b.rows {
		if b.rows[i].session == number {
			order = append(order, i)
		}
	}
	fields := g.fields()
	stored, err := readStored(ctx, tx, b, g, order, session, held)
	if err != nil {
		return nil, fmt.Errorf("compare with stored records: %w", err)
	}
	if len(stored) == 0 {
		return g, nil
	}
	// Records with more fields choose first: what matches them matches less else.
	slices.SortStableFunc(order, func(x, y int) int {
		return cmp.Compare(b.rows[y].present.count(), b.rows[x].present.count())
	})
	drop := map[int]bool{}
	for _, i := range order {
		candidates := stored[b.rows[i].micros]
		for c := range candidates {
			row := &candidates[c]
			if !row.taken && row.covers(b, i, fields) {
				row.taken = true
				held.take(row.batch, row.ord)
				drop[i] = true
				break
			}
		}
	}
	if len(drop) == 0 {
		return g, nil
	}
	return g.without(b, number, drop), nil
}

// without encodes the group anew, less some rows. It keeps the digest, so that
// the whole input is recognised when it comes again.
func (g *group) without(b *Batch, number int32, drop map[int]bool) *group {
	rest := &Batch{sessions: b.sessions, text: b.text}
	for i := range b.rows {
		if b.rows[i].session == number && !drop[i] {
			rest.rows = append(rest.rows, b.rows[i])
			rest.values = append(rest.values, b.values[i*len(Fields):(i+1)*len(Fields)]...)
		}
	}
	fresh := &group{sessionID: g.sessionID, digest: g.digest}
	for i := range rest.rows {
		fresh.note(rest, i)
	}
	fresh.encode(rest, number, 0, io.Discard)
	return fresh
}

// readStored reads the session's records that have the time of one of the
// group's, by time.
func readStored(ctx context.Context, tx pgx.Tx, b *Batch, g *group, order []int, session int32, held *existing) (map[int64][]storedRow, error) {
	times := make([]time.Time, 0, len(order))
	for _, i := range order {
		times = append(times, time.UnixMicro(b.rows[i].micros))
	}
	var sql strings.Builder
	sql.WriteString("SELECT time, batch, ord")
	for _, f := range g.fields() {
		sql.WriteString(", " + Fields[f].Name)
	}
	if g.hasExtra {
		sql.WriteString(", extra")
	}
	sql.WriteString(`
		FROM telemetry
		WHERE session = $1 AND batch <= $2 AND time >= $3 AND time <= $4 AND time = ANY($5)
		ORDER BY time, batch, ord`)
	rows, err := tx.Query(ctx, sql.String(), pgx.QueryResultFormats{pgx.BinaryFormatCode},
		session, held.batch, time.UnixMicro(g.minMicros), time.UnixMicro(g.maxMicros), times)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	stored := map[int64][]storedRow{}
	for rows.Next() {
		raw := rows.RawValues()
		row := storedRow{batch: int32At(raw[1]), ord: int32At(raw[2]), values: make([][]byte, len(raw)-3)}
		if held.taken(row.batch, row.ord) {
			continue
		}
		for i, value := range raw[3:] {
			if value != nil {
				row.values[i] = append([]byte{}, value...) // the driver reuses its buffer
			}
		}
		stored[microsAt(raw[0])] = append(stored[microsAt(raw[0])], row)
	}
	return stored, rows.Err()
}

// covers reports whether the stored record has the same value in every field
// that row i of the batch has.
func (stored *storedRow) covers(b *Batch, i int, fields []int) bool {
	r, values := &b.rows[i], b.values[i*len(Fields):(i+1)*len(Fields)]
	for c, f := range fields {
		if !r.present.has(f) {
			continue
		}
		raw := stored.values[c]
		if raw == nil {
			return false
		}
		switch v := values[f]; Fields[f].Type {
		case Float:
			if math.Float64frombits(binary.BigEndian.Uint64(raw)) != math.Float64frombits(v) {
				return false
			}
		case Int:
			if binary.BigEndian.Uint64(raw) != v {
				return false
			}
		case Text:
			if !bytes.Equal(raw, unpackSpan(v).of(b.text)) {
				return false
			}
		case JSON:
			if !sameJSON(raw[1:], unpackSpan(v).of(b.text)) {
				return false
			}
		}
	}
	if r.extra.len == 0 {
		return true
	}
	raw := stored.values[len(fields)]
	return raw != nil && holdsMembers(raw[1:], r.extra.of(b.text))
}

// sameJSON compares values, since jsonb does not keep the text.
func sameJSON(x, y []byte) bool {
	if bytes.Equal(x, y) {
		return true
	}
	var a, b any
	return json.Unmarshal(x, &a) == nil && json.Unmarshal(y, &b) == nil && reflect.DeepEqual(a, b)
}

// holdsMembers reports whether the object all has every member of some.
func holdsMembers(all, some []byte) bool {
	var a, b map[string]any
	if json.Unmarshal(all, &a) != nil || json.Unmarshal(some, &b) != nil {
		return false
	}
	for name, value := range b {
		if held, ok := a[name]; !ok || !reflect.DeepEqual(held, value) {
			return false
		}
	}
	return true
}
