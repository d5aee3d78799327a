package delta

import (
	"bytes"
	"cmp"
	"context"
	"fmt"
	"math"
	"slices"
	"time"

	"github.com/jackc/pgx/v5"

	schema "github.com/ecovolt/telemetryd/sql"
	"github.com/ecovolt/telemetryd/timeseries/record"
	"github.com/ecovolt/telemetryd/timeseries/record/walk"
)

// Position is a place in a session's order of arrival: every record of the
// batches up to Batch, and of the batch after it the first Next records.
type Position struct {
	// Session is the session's key. It differs when a session was deleted and
	// begun again under the same id. Zero: there is no such session.
	Session int32
	Batch   int32
	Next    int32
}

// Compare orders positions of one session.
func (p Position) Compare(q Position) int {
	return cmp.Or(cmp.Compare(p.Batch, q.Batch), cmp.Compare(p.Next, q.Next))
}

// Want asks for the records of one session that came after From.
type Want struct {
	ID   string // the id that clients use
	From Position
	// Upto is the last batch wanted; 0 is the newest.
	Upto int32
	// NotBefore leaves out records that were measured earlier. Zero: none.
	NotBefore time.Time
}

// How reads are bounded: pieces of the log whose records lie within one such
// span of time are read by one query, so that one query serves a whole fleet,
// and a batch that arrives hours late does not make it scan those hours.
const (
	deltaSpan    = time.Minute
	deltaBatches = 256 // batches of one session looked up at once
)

// piece is a group of batches of one session that were measured close together.
type piece struct {
	want      int // index of the Want
	session   int32
	low, next int32 // from record next of batch low
	high      int32 // to the end of batch high
	min, max  int64 // microseconds since 1970
	most      int   // read no more records than this; 0 is all
}

// Read reads, for each Want, the records that came after it: in order of
// arrival, at most about limit records over all (never less than one batch's
// part of it, if there is any). Only fields' columns are read. It asks once
// where all sessions stand and then reads only the chunks that hold the new
// records. A Want whose From names another session than the id has now gets no
// records; compare Delta.Now with it.
func (d *Reader) Read(ctx context.Context, wants []Want, fields *record.Selection, limit int) ([]Delta, error) {
	deltas := make([]Delta, len(wants))
	for i, w := range wants {
		deltas[i] = Delta{ID: w.ID, From: w.From, To: w.From}
	}
	pieces, err := d.pieces(ctx, wants, deltas, max(limit, 1))
	if err != nil {
		return nil, fmt.Errorf("look for new batches: %w", err)
	}
	for _, group := range together(pieces) {
		if err := d.readGroup(ctx, group, deltas, fields); err != nil {
			return nil, fmt.Errorf("read new records: %w", err)
		}
	}
	for _, p := range pieces {
		if p.most > 0 { // where it ends is known only now: places in a batch may have gaps
			d := &deltas[p.want]
			if n := len(d.rows); n == p.most {
				d.To = Position{Session: p.session, Batch: p.high - 1, Next: d.rows[n-1].Ord + 1}
			} else {
				d.To = Position{Session: p.session, Batch: p.high}
			}
		}
	}
	for i := range deltas {
		slices.SortStableFunc(deltas[i].rows, func(a, b record.Encoded) int {
			return cmp.Or(cmp.Compare(a.Batch, b.Batch), cmp.Compare(a.Ord, b.Ord))
		})
	}
	return deltas, nil
}

// A batch that is in the watermark is in the log: one transaction wrote both.
const piecesQuery = `
SELECT w.place, s.session, s.batch, s.rewritten, coalesce(s.name, ''), b.batch, b.min_time, b.max_time, b.records,
	extract(epoch FROM clock_timestamp() - b.received_at)::float8
FROM unnest($1::text[], $2::int[], $3::int[], $4::int[]) WITH ORDINALITY AS w (id, session, batch, upto, place)
JOIN sessions s ON s.id = w.id AND s.deleted_at IS NULL
LEFT JOIN LATERAL (
	SELECT * FROM ingest_batches l
	WHERE l.session = w.session AND w.session = s.session AND l.batch > w.batch AND l.batch <= least(s.batch, w.upto)
	ORDER BY l.batch LIMIT $5
) b ON true
ORDER BY w.place, b.batch`

// pieces finds the batches to read, decides how far each delta will go, and
// notes where each session stands.
func (d *Reader) pieces(ctx context.Context, wants []Want, deltas []Delta, limit int) ([]piece, error) {
	n := len(wants)
	ids, sessions, batches, uptos := make([]string, n), make([]int32, n), make([]int32, n), make([]int32, n)
	for i, w := range wants {
		ids[i], sessions[i], batches[i], uptos[i] = schema.Storable(w.ID), w.From.Session, w.From.Batch, w.Upto
		if w.Upto == 0 {
			uptos[i] = math.MaxInt32
		}
	}
	rows, err := d.pool.Query(ctx, piecesQuery, ids, sessions, batches, uptos, deltaBatches)
	if err != nil {
		return nil, err
	}
	var (
		pieces          []piece
		full            = make([]bool, n) // this delta ends inside a batch
		budget          = limit
		place           int
		session, newest int32
		rewritten       int32
		name            string
		batch, records  *int32
		stored          *float64 // seconds ago
		minTime         *time.Time
		maxTime         *time.Time
	)
	_, err = pgx.ForEachRow(rows, []any{&place, &session, &newest, &rewritten, &name, &batch, &minTime, &maxTime, &records, &stored}, func() error {
		i := place - 1
		delta, want := &deltas[i], wants[i]
		delta.Now = Position{Session: session, Batch: newest}
		delta.Name, delta.Rewritten = name, rewritten
		if batch == nil {
			if end := min(newest, uptos[i]); session == want.From.Session && end > want.From.Batch {
				delta.To = Position{Session: session, Batch: end} // somebody emptied the log
			}
			return nil
		}
		if budget <= 0 || full[i] {
			return nil // the rest stays for the next read
		}
		if minTime == nil { // all of its records were set aside
			delta.To = Position{Session: session, Batch: *batch}
			return nil
		}
		next := int32(0)
		if *batch == want.From.Batch+1 {
			next = want.From.Next
		}
		last := len(pieces) - 1
		p := piece{
			want: i, session: session, low: *batch, next: next, high: *batch,
			min: minTime.UnixMicro(), max: maxTime.UnixMicro(),
		}
		count := max(int(*records-next), 1)
		if count > budget {
			if budget < limit {
				budget = 0
				return nil
			}
			count, full[i], p.most = budget, true, budget
		}
		budget -= count
		delta.Waited = max(delta.Waited, time.Duration(*stored*float64(time.Second)))
		delta.To = Position{Session: session, Batch: *batch}
		if !want.NotBefore.IsZero() {
			p.min = max(p.min, want.NotBefore.UnixMicro())
			if p.max < p.min {
				full[i] = false
				return nil
			}
		}
		if last >= 0 && pieces[last].want == i {
			q := &pieces[last]
			if lo, hi := min(p.min, q.min), max(p.max, q.max); q.high+1 == p.low && hi-lo <= deltaSpan.Microseconds() {
				q.min, q.max, q.high = lo, hi, p.high
				return nil
			}
		}
		pieces = append(pieces, p)
		return nil
	})
	return pieces, err
}

// together groups pieces that one query can read without scanning much beside.
func together(pieces []piece) [][]piece {
	slices.SortStableFunc(pieces, func(a, b piece) int { return cmp.Compare(a.min, b.min) })
	var groups [][]piece
	var lo, hi int64
	for _, p := range pieces {
		last := len(groups) - 1
		if last < 0 || max(hi, p.max)-lo > deltaSpan.Microseconds() {
			groups = append(groups, []piece{p})
			lo, hi = p.min, p.max
			continue
		}
		groups[last] = append(groups[last], p)
		hi = max(hi, p.max)
	}
	return groups
}

// readGroup reads the records of a group of pieces with one query.
func (d *Reader) readGroup(ctx context.Context, group []piece, deltas []Delta, fields *record.Selection) error {
	n := len(group)
	sessions, low, next, high, since := make([]int32, n), make([]int32, n), make([]int32, n), make([]int32, n), make([]time.Time, n)
	lo, hi := group[0].min, group[0].max
	var most *int
	if len(group) == 1 && group[0].most > 0 {
		most = &group[0].most
	}
	for i, p := range group {
		sessions[i], low[i], next[i], high[i] = p.session, p.low, p.next, p.high
		since[i] = time.UnixMicro(p.min)
		lo, hi = min(lo, p.min), max(hi, p.max)
	}
	places, err := d.places.On(ctx, d.pool)
	if err != nil {
		return err
	}
	fields = fields.WithPlaces(places)
	// The statement is planned anew each time, with the times known, so that
	// the plan names no other chunk than the ones these times lie in.
	rows, err := d.pool.Query(ctx, `
		SELECT w.place::int, `+fields.Columns()+`
		FROM unnest($1::int[], $2::int[], $3::int[], $4::int[], $5::timestamptz[])
			WITH ORDINALITY AS w (session, low, next, high, since, place)
		JOIN telemetry t ON t.session = w.session
			AND t.batch BETWEEN w.low AND w.high AND (t.batch > w.low OR t.ord >= w.next) AND t.time >= w.since
		WHERE t.session = ANY ($1::int[]) AND t.time BETWEEN $6 AND $7
		ORDER BY w.place, t.batch, t.ord LIMIT $8`,
		pgx.QueryExecModeCacheDescribe, pgx.QueryResultFormats{pgx.BinaryFormatCode},
		sessions, low, next, high, since, time.UnixMicro(lo), time.UnixMicro(hi), most)
	if err != nil {
		return err
	}
	defer rows.Close()
	row := record.NewRow(fields, 0, "")
	var place record.Columns
	add := func(raw [][]byte, known map[record.Cursor][]float64) error {
		place.Reset(raw)
		number := place.Int32()
		if err := cmp.Or(place.Err(), row.Read(raw[1:])); err != nil {
			return err
		}
		row.Know(known[row.Cursor()])
		delta := &deltas[group[number-1].want]
		delta.read = fields
		var encoded record.Encoded
		delta.buf, encoded = row.Encode(delta.buf)
		delta.rows = append(delta.rows, encoded)
		return nil
	}
	if fields.Neighbours() {
		return d.beside(ctx, group, rows, fields, add)
	}
	for rows.Next() {
		if err := add(rows.RawValues(), nil); err != nil {
			return err
		}
	}
	return rows.Err()
}

// beside adds the records of a group with what depends on those measured before them,
// whenever these came.
func (d *Reader) beside(ctx context.Context, group []piece, rows pgx.Rows, fields *record.Selection, add func(raw [][]byte, known map[record.Cursor][]float64) error) error {
	read := make([][][][]byte, len(group)) // rows of each piece
	cursors := make([][]record.Cursor, len(group))
	var key record.Columns
	for rows.Next() {
		raw := slices.Clone(rows.RawValues())
		for i := range raw {
			raw[i] = bytes.Clone(raw[i])
		}
		key.Reset(raw)
		i := key.Int32() - 1
		cursors[i] = append(cursors[i], key.Cursor())
		read[i] = append(read[i], raw)
	}
	rows.Close()
	if err := cmp.Or(rows.Err(), key.Err()); err != nil {
		return err
	}
	for i, p := range group {
		if len(read[i]) == 0 {
			continue
		}
		known, err := walk.Of(ctx, d.pool, p.session, p.high, fields, cursors[i])
		if err != nil {
			return err
		}
		for _, raw := range read[i] {
			if err := add(raw, known); err != nil {
				return err
			}
		}
	}
	return nil
}
