package timeseries

import (
	"cmp"
	"context"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/ecovolt/telemetryd/timeseries/channel"
	"github.com/ecovolt/telemetryd/timeseries/decode"
	"github.com/ecovolt/telemetryd/timeseries/record"
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
func (in *ingest) skipExisting(ctx context.Context, tx pgx.Tx, b *decode.Batch, g *group, key, watermark int32) (fresh *group, err error) {
	held := in.existing[g.sessionID]
	if held == nil {
		held = &existing{batch: watermark, used: map[int32][]uint64{}}
		in.existing[g.sessionID] = held
	}
	if held.batch == 0 {
		return g, nil
	}
	session := slices.Index(b.Sessions(), g.sessionID)
	var order []int // the group's rows
	for i := range b.Len() {
		if b.Session(i) == session {
			order = append(order, i)
		}
	}
	stored, err := readStored(ctx, tx, b, g, order, key, held)
	if err != nil {
		return nil, fmt.Errorf("compare with stored records: %w", err)
	}
	if len(stored) == 0 {
		return g, nil
	}
	// Records with more fields choose first: what matches them matches less else.
	slices.SortStableFunc(order, func(x, y int) int {
		vx, vy := b.Record(x), b.Record(y)
		return cmp.Compare(vy.Present.Count(), vx.Present.Count())
	})
	drop := map[int]bool{}
	for _, i := range order {
		v := b.Record(i)
		candidates := stored[v.Micros]
		for c := range candidates {
			row := &candidates[c]
			if !row.taken && row.covers(&v, g.layout.Channels.Channels()) {
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
	return g.without(b, session, drop), nil
}

// without encodes the group anew, less some rows. It keeps the digest, so that
// the whole input is recognised when it comes again.
func (g *group) without(b *decode.Batch, session int, drop map[int]bool) *group {
	fresh := &group{sessionID: g.sessionID, digest: g.digest}
	for i := range b.Len() {
		if b.Session(i) == session && !drop[i] {
			v := b.Record(i)
			fresh.note(&v)
		}
	}
	fresh.encode(b, session, 0, io.Discard, drop)
	return fresh
}

// readStored reads the session's records that have the time of one of the
// group's, by time.
func readStored(ctx context.Context, tx pgx.Tx, b *decode.Batch, g *group, order []int, session int32, held *existing) (map[int64][]storedRow, error) {
	times := make([]time.Time, 0, len(order))
	for _, i := range order {
		times = append(times, time.UnixMicro(b.Record(i).Micros))
	}
	var sql strings.Builder
	sql.WriteString("SELECT time, batch, ord")
	for _, f := range g.layout.Channels.Channels() {
		sql.WriteString(", " + channel.All[f].Name)
	}
	if g.layout.Extra {
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
	var key record.Columns
	for rows.Next() {
		raw := rows.RawValues()
		key.Reset(raw)
		at := key.Micros()
		row := storedRow{batch: key.Int32(), ord: key.Int32(), values: make([][]byte, len(raw)-3)}
		if key.Err() != nil {
			return nil, key.Err()
		}
		if held.taken(row.batch, row.ord) {
			continue
		}
		for i, value := range raw[3:] {
			if value != nil {
				row.values[i] = append([]byte{}, value...) // the driver reuses its buffer
			}
		}
		stored[at] = append(stored[at], row)
	}
	return stored, rows.Err()
}

// covers reports whether the stored record, read with those channels, has the
// same value in every member that v has.
func (stored *storedRow) covers(v *record.Values, channels []int) bool {
	for c, i := range channels {
		if v.Present.Has(i) && !v.Stored(i, stored.values[c]) {
			return false
		}
	}
	return len(v.Extra) == 0 || v.ExtraStored(stored.values[len(channels)])
}
