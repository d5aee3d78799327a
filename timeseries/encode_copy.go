package timeseries

import (
	"bytes"
	"context"
	"crypto/sha256"
	"fmt"
	"io"
	"strings"
	"sync"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"github.com/ecovolt/telemetryd/timeseries/channel"
	"github.com/ecovolt/telemetryd/timeseries/decode"
	"github.com/ecovolt/telemetryd/timeseries/record"
)

// A group is the part of some decoded records that belongs to one session,
// encoded for COPY ... (FORMAT binary). pgx's own encoder takes a []any for each
// row and looks every value up in its type map; these rows come from flat arrays
// and are written once, so that the server, not the daemon, bounds the rate.
type group struct {
	sessionID        string
	name             []byte // the first record's session name; nil without
	records          int
	minMicros        int64
	maxMicros        int64
	minText, maxText []byte // as received, where not in the usual form
	layout           record.Layout
	data             []byte // rows, with zeros for session and batch
	offsets          []int  // where in data each row begins
	digest           [sha256.Size]byte
}

// groups splits the batch by session, encodes each part and takes its digest.
func groups(b *decode.Batch) []*group {
	out := make([]*group, len(b.Sessions()))
	for i, id := range b.Sessions() {
		out[i] = &group{sessionID: id}
	}
	for i := range b.Len() {
		v := b.Record(i)
		out[b.Session(i)].note(&v)
	}
	kept := out[:0]
	for i, g := range out {
		if g.records == 0 { // all of its records were bad
			continue
		}
		h := sha256.New()
		g.encode(b, i, 0, h, nil)
		h.Sum(g.digest[:0])
		kept = append(kept, g)
	}
	return kept
}

var nameChannel, _ = channel.Index("session_name")

// note counts a record in.
func (g *group) note(v *record.Values) {
	g.layout.Add(v)
	if g.records == 0 || v.Micros < g.minMicros {
		g.minMicros, g.minText = v.Micros, v.TimeText
	}
	if g.records == 0 || v.Micros >= g.maxMicros {
		g.maxMicros, g.maxText = v.Micros, v.TimeText
	}
	g.records++
	if g.name == nil && v.Present.Has(nameChannel) {
		g.name = v.Bytes(nameChannel)
	}
}

// encode writes the rows of one of the batch's sessions but those to skip,
// counting their places from ord, and feeds the digest. What is digested is
// each row's time, members and values: neither keys that the database gives out
// nor how the rows were cut into pieces, so that the same records in order
// always give the same digest.
func (g *group) encode(b *decode.Batch, session int, ord uint32, digest io.Writer, skip map[int]bool) {
	data := make([]byte, 0, g.records*(44+12*g.layout.Channels.Count())+b.TextBytes()*g.records/max(1, b.Len())+4096)
	g.offsets = make([]int, 0, g.records)
	canonical := make([]byte, 0, 16<<10)
	for i := range b.Len() {
		if b.Session(i) != session || skip[i] {
			continue
		}
		v := b.Record(i)
		g.offsets = append(g.offsets, len(data))
		data = g.layout.AppendCopy(data, &v, ord)
		ord++
		if len(canonical) > 12<<10 {
			digest.Write(canonical)
			canonical = canonical[:0]
		}
		canonical = v.AppendCanonical(canonical)
	}
	digest.Write(canonical)
	g.data = data
}

// copySQL is the statement that takes the group's rows.
func (g *group) copySQL() string {
	return "COPY telemetry (" + g.layout.Columns() + ") FROM STDIN (FORMAT binary)"
}

// stamp writes the session's key and the batch number into every row.
func (g *group) stamp(session, batch int32) {
	for _, at := range g.offsets {
		record.Stamp(g.data[at:], session, batch)
	}
}

// copyReader gives the whole COPY stream of the group.
func (g *group) copyReader() io.Reader {
	return io.MultiReader(strings.NewReader(record.CopyHeader), bytes.NewReader(g.data), strings.NewReader(record.CopyTrailer))
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
