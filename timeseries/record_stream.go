package timeseries

import (
	"context"
	"fmt"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/ecovolt/telemetryd/internal/fault"
	"github.com/ecovolt/telemetryd/timeseries/places"
	"github.com/ecovolt/telemetryd/timeseries/record"
	"github.com/ecovolt/telemetryd/timeseries/record/walk"
)

// RecordStream reads records one by one, in constant memory. It reads a page at
// a time, with a statement of its own, and holds no connection in between, so
// that whoever takes the records may take them as slowly as they like. All pages
// show the session as of its newest batch when the stream was opened.
type RecordStream struct {
	ctx    context.Context // of the whole stream
	pool   *pgxpool.Pool
	query  RecordQuery // for what is left
	fields *record.Selection
	places *places.Places
	record *record.Row
	// session and batch are what is read: 0 is nothing.
	session, batch int32
	page           recordPage
	last           bool // page is the last one
	limit          int  // of records on the next page
	left           int  // most records that are still wanted
	// walks is what depends on the records before; nil where nothing is asked for that does.
	walks *record.Walks
	err   error
}

const (
	// pageBytes is about how much of the records is in memory at once.
	pageBytes = 512 << 10
	// firstPage is how many records are read before it is known how long they are.
	firstPage = 256
	// mostPage bounds the records of one statement.
	mostPage = 4096
)

// Records opens a stream of records, oldest first. An unknown session is an
// empty stream. The context is the whole stream's.
func (s *Store) Records(ctx context.Context, q RecordQuery) (*RecordStream, error) {
	set, err := s.Channels.With(ctx, q.Fields)
	if err != nil {
		return nil, err
	}
	fields, unknown := set.Select(q.Fields)
	if len(unknown) > 0 {
		return nil, fault.Field("fields", "there is no channel %q", fault.Clip(unknown[0]))
	}
	if q.ID != "" {
		fields = fields.WithID(q.ID)
	}
	if q.Units != "" {
		if len(q.Fields) == 0 { // the members that came beside the contract's, too
			if set, err = s.Channels.Current(ctx); err != nil {
				return nil, err
			}
		}
		fields = fields.ShownIn(set.Shown(q.Units))
	}
	rs := &RecordStream{ctx: ctx, pool: s.exports, fields: fields, places: &s.places, query: q, limit: firstPage, left: q.Limit}
	if q.Limit == 0 {
		rs.left, rs.query.Newest = int(^uint(0)>>1), false
	}
	err = s.exports.AcquireFunc(ctx, func(conn *pgxpool.Conn) error {
		if err := rs.open(conn); err != nil || rs.session == 0 {
			return err
		}
		return rs.read(conn)
	})
	if err != nil {
		return nil, fmt.Errorf("read records: %w", err)
	}
	return rs, nil
}

// open finds where the records lie. It leaves session 0 where there are none.
func (rs *RecordStream) open(conn *pgxpool.Conn) error {
	q := &rs.query
	bounds, err := sessionBounds(rs.ctx, conn, q.SessionID)
	if err != nil {
		return err
	}
	places, err := rs.places.On(rs.ctx, conn)
	if err != nil {
		return err
	}
	rs.last, rs.fields = true, rs.fields.WithPlaces(places)
	rs.record = record.NewRow(rs.fields, bounds.session, q.SessionID).WithCreated(q.Created)
	switch {
	case !bounds.found:
		return nil
	case q.SetAside:
		q.From = latest(q.From, anyTime)
	case bounds.first.IsZero():
		return nil
	default:
		q.From, q.To = clamp(bounds, q.From, q.To)
		if q.After != nil {
			// A cursor may be made up: only a time within the session is passed on.
			switch at := q.After.Time(); {
			case at.Before(bounds.first):
				q.After = nil
			case at.After(bounds.last):
				return nil
			case at.After(q.From):
				q.From = at
			}
		}
		if q.Newest {
			if q.From, err = newestFrom(rs.ctx, conn, bounds, q.From, q.To, q.Limit); err != nil {
				return err
			}
			rs.limit = q.Limit
		}
	}
	rs.session, rs.batch = bounds.session, bounds.batch
	return nil
}

// read reads the next page.
func (rs *RecordStream) read(conn *pgxpool.Conn) error {
	limit := min(rs.limit, rs.left)
	sql, args := recordsSQL(rs.fields, rs.query, rs.session, rs.batch, limit)
	// Binary results are read without decoding; jsonb has the same text in both forms.
	// The plan is made with the times known each time: one that is kept for all
	// times looks cheap to the planner under a LIMIT, and locks every chunk.
	rows, err := conn.Query(rs.ctx, sql, append([]any{pgx.QueryExecModeCacheDescribe, pgx.QueryResultFormats{pgx.BinaryFormatCode}}, args...)...)
	if err != nil {
		return err
	}
	defer rows.Close()
	page := &rs.page
	page.reset()
	rs.last = true
	var first record.Cursor
	for n := 0; rows.Next(); n++ {
		// The newest are read backwards: they cannot be gone on with.
		if len(page.bytes) >= pageBytes && !rs.query.Newest {
			rs.last = false
			break
		}
		if n == 0 {
			var key record.Columns
			key.Reset(rows.RawValues())
			first = key.Cursor()
		}
		page.add(rows.RawValues())
		rs.last = rs.last && n+1 < limit
	}
	rows.Close()
	if err := rows.Err(); err != nil {
		return err
	}
	if rs.walks == nil && page.rows > 0 && rs.fields.Neighbours() && !rs.query.SetAside { // what is set aside is beside no record
		if rs.walks, err = walk.Before(rs.ctx, conn, rs.session, rs.batch, rs.fields, first); err != nil {
			return err
		}
	}
	rs.left -= page.rows
	rs.last = rs.last || rs.left == 0 || rs.query.Newest
	if page.rows > 0 {
		rs.limit = min(max(pageBytes*page.rows/max(1, len(page.bytes)), 1), mostPage)
		return nil
	}
	// Either there are no more, or they are not what they were.
	var unchanged bool
	err = conn.QueryRow(rs.ctx, "SELECT coalesce(("+fmt.Sprintf(unchangedSQL, 1, 2)+"), false)", rs.session, rs.batch).Scan(&unchanged)
	if err == nil && !unchanged {
		err = fault.New(fault.Conflict, "the run was changed or deleted while it was read; read it again")
	}
	return err
}

// Next reads the next record; false at the end or on an error, see Err.
func (rs *RecordStream) Next() bool {
	if rs.err != nil {
		return false
	}
	raw := rs.page.next()
	if raw == nil {
		if rs.last {
			return false
		}
		at := rs.record.Cursor()
		rs.query.After, rs.query.From = &at, at.Time()
		// What has begun is not turned away: it waits as long as its caller does.
		for busy := true; busy; busy = fault.Is(rs.err, fault.Unavailable) && rs.ctx.Err() == nil {
			rs.err = rs.pool.AcquireFunc(rs.ctx, rs.read)
		}
		if rs.err != nil {
			return false
		}
		if raw = rs.page.next(); raw == nil {
			return false
		}
	}
	if rs.err = rs.record.Read(raw); rs.err == nil && rs.walks != nil {
		rs.record.Walk(rs.walks)
	}
	return rs.err == nil
}

// Record is the record read last. It is valid until Next is called again.
func (rs *RecordStream) Record() *record.Row { return rs.record }

// Err is what ended the stream early, or nil: fault.Conflict where records of
// the session were taken away meanwhile.
func (rs *RecordStream) Err() error {
	if rs.err != nil {
		return fmt.Errorf("read records: %w", rs.err)
	}
	return nil
}

// CSVHeader is the header line for AppendCSV of the stream's records.
func (rs *RecordStream) CSVHeader() []byte { return rs.fields.CSVHeader() }

// recordPage keeps rows as they came, one after the other.
type recordPage struct {
	bytes []byte
	ends  []int // of the cells in bytes; negative for NULL
	cells [][]byte
	rows  int // in all
	read  int // by next
	at    int // in bytes
}

func (p *recordPage) reset() {
	*p = recordPage{bytes: p.bytes[:0], ends: p.ends[:0], cells: p.cells}
}

func (p *recordPage) add(raw [][]byte) {
	if len(p.cells) != len(raw) {
		p.cells = make([][]byte, len(raw))
	}
	for _, cell := range raw {
		if cell == nil {
			p.ends = append(p.ends, -1)
			continue
		}
		p.bytes = append(p.bytes, cell...)
		p.ends = append(p.ends, len(p.bytes))
	}
	p.rows++
}

// next returns the next row, valid until it is called again; nil at the end.
func (p *recordPage) next() [][]byte {
	if p.read == p.rows {
		return nil
	}
	ends := p.ends[p.read*len(p.cells):][:len(p.cells)]
	for i, end := range ends {
		if p.cells[i] = nil; end >= 0 {
			p.cells[i] = p.bytes[p.at:end:end]
			p.at = end
		}
	}
	p.read++
	return p.cells
}
