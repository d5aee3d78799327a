package column

import (
	"context"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/ecovolt/telemetryd/timeseries/record"
)

// Loader says where what is missing is read.
type Loader struct {
	Pool *pgxpool.Pool
	// Settings is the SELECT that prepares a transaction for a read; its parameter is
	// the statement timeout in milliseconds.
	Settings string
}

const (
	// mostQueued is how many reads may wait for what they missed to be held.
	mostQueued = 32
	// columnsAtOnce is how many columns are read at once: they are in memory as a whole
	// before they are packed.
	columnsAtOnce = 8
	patience      = 10 * time.Second
)

// request is what a read missed: some ranges of some columns of a table.
type request struct {
	run     Run
	table   Table
	columns []string
	width   int64
	places  []int64
}

// rest is the rest of a run of which blocks were missed more than once.
type rest struct {
	*request
	near  int64 // where it is read around
	step  int64 // how far that is done, in blocks
	bytes int   // that it took
}

// ask has something loaded. The lock is held.
func (m *Memory) ask(q *request) {
	if len(q.places) == 0 || len(m.queue) >= mostQueued {
		return
	}
	key := q.key()
	for _, other := range m.queue {
		if other.run.Session == q.run.Session && slices.Equal(other.places, q.places) && other.key() == key {
			return
		}
	}
	if m.queue = append(m.queue, q); !m.loading {
		m.loading = true
		go m.load()
	}
}

// next returns what is to be loaded next, of what was asked for or of the rest of a run.
// The run as a whole may take half of the memory: somebody looks at it again and again.
func (m *Memory) next() (q *request, pause bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if len(m.queue) > 0 {
		q = m.queue[0]
		if m.queue = m.queue[1:]; q.table.Width == 0 && m.runs[q.run.Session] != nil {
			m.rest = &rest{request: q, near: q.places[0]}
		}
		return q, false
	}
	for m.rest != nil {
		r := m.rest
		r.step++
		// Alternately behind and before.
		distance := (r.step + 1) / 2 * r.width
		if r.step%2 == 0 {
			distance = -distance
		}
		at, reach := r.near+distance, (r.step-1)/2*r.width
		if r.bytes > m.most/2 || r.near-reach < r.run.From && r.near+reach > r.run.To {
			m.rest = nil
			break
		}
		if at+r.width > r.run.From && at < r.run.To && !(r.run.Growing && at+r.width > r.run.To) {
			return &request{r.run, r.table, r.columns, r.width, []int64{at}}, true
		}
	}
	m.loading = false
	m.idle.Broadcast()
	return nil, false
}

// Wait returns once nothing is being loaded.
func (m *Memory) Wait() {
	m.mu.Lock()
	defer m.mu.Unlock()
	for m.loading {
		m.idle.Wait()
	}
}

// load loads what was asked for, until there is nothing more.
func (m *Memory) load() {
	var s scratch
	for {
		q, pause := m.next()
		if q == nil {
			return
		}
		for _, at := range q.places {
			began := time.Now()
			err := m.loadBlock(&s, q, at)
			if err != nil { // what is missing will be missed again
				m.log.Info("what charts read is not held, and is read for each", slog.String("session_id", q.run.ID), slog.Any("error", err))
				m.mu.Lock()
				m.queue, m.rest = nil, nil
				m.failures++
				m.mu.Unlock()
				break
			}
			if pause { // somebody else may have use for the processor
				time.Sleep(time.Since(began))
			}
		}
	}
}

// scratch is what a range is read into.
type scratch struct {
	rows   []row
	times  []int64
	values []float64 // of each row all columns
	column []float64
	data   []byte
}

// row is the place of a record, and where its values are.
type row struct {
	record.Cursor
	at int
}

// loadBlock loads a range of those columns that are not held.
func (m *Memory) loadBlock(s *scratch, q *request, at int64) error {
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	return pgx.BeginTxFunc(ctx, q.run.l.Pool, pgx.TxOptions{IsoLevel: pgx.RepeatableRead, AccessMode: pgx.ReadOnly}, func(tx pgx.Tx) error {
		state := q.run.State
		var behind bool
		var batch pgx.Batch
		from, to := time.UnixMicro(at), time.UnixMicro(at+q.width)
		batch.Queue(q.run.l.Settings, fmt.Sprint(patience.Milliseconds()))
		batch.Queue(`
			SELECT batch, rewritten, $2 AND (
				EXISTS (SELECT FROM ingest_batches b WHERE b.session = s.session AND b.min_time < $4 AND b.max_time >= $3
					AND b.batch > coalesce((SELECT p.batch FROM rollup_progress p WHERE p.session = s.session), 0))
				OR EXISTS (SELECT FROM rollup_dirty d WHERE d.session = s.session AND d.from_time < $4 AND d.to_time >= $3))
			FROM sessions s WHERE session = $1 AND deleted_at IS NULL`, state.Session, q.table.Width > 0, from, to).
			QueryRow(func(row pgx.Row) error { return row.Scan(&state.Batch, &state.Rewritten, &behind) })
		err := tx.SendBatch(ctx, &batch).Close()
		if err == pgx.ErrNoRows || err == nil && behind {
			return nil
		}
		if err != nil {
			return err
		}
		if err := m.follow(ctx, tx, state); err != nil {
			return err
		}
		for columns := range slices.Chunk(m.missing(state, q, at), columnsAtOnce) {
			if err := s.read(ctx, tx, q, columns, from, to); err != nil {
				return err
			}
			blocks, err := s.pack(q, state, columns, at)
			if err != nil {
				return err
			}
			size := 0
			for _, b := range blocks {
				size += b.size
			}
			m.put(state, q.width, blocks)
			m.mu.Lock()
			if m.rest != nil {
				m.rest.bytes += size
			}
			m.mu.Unlock()
		}
		return nil
	})
}

// missing returns those columns of a range that are not held in that state.
func (m *Memory) missing(s State, q *request, at int64) (columns []string) {
	m.mu.Lock()
	defer m.mu.Unlock()
	h := m.runs[s.Session]
	for _, c := range q.columns {
		if h.find(s, q.table.From, c, at) == nil {
			columns = append(columns, c)
		}
	}
	if len(columns) == 0 && h.find(s, q.table.From, timeColumn, at) == nil {
		columns = q.columns[:min(1, len(q.columns))]
	}
	return columns
}

// read reads the rows of a range, in order.
func (s *scratch) read(ctx context.Context, tx pgx.Tx, q *request, columns []string, from, to time.Time) error {
	order := "batch, ord"
	if q.table.Width > 0 {
		order = "0::int, 0::int"
	}
	rows, err := tx.Query(ctx, fmt.Sprintf("SELECT %[1]s, %[2]s, %[3]s FROM %[4]s WHERE session = $1 AND %[1]s >= $2 AND %[1]s < $3 LIMIT $4",
		q.table.Time, order, strings.Join(columns, ", "), q.table.From), q.run.Session, from, to, mostRows+1)
	if err != nil {
		return err
	}
	s.rows, s.values = s.rows[:0], s.values[:0]
	err = record.ReadColumns(rows, func(r *record.Columns) {
		s.rows = append(s.rows, row{r.Cursor(), len(s.values)})
		for range columns {
			s.values = append(s.values, r.Float())
		}
	})
	later := func(a, b row) int { return a.Compare(b.Cursor) }
	if !slices.IsSortedFunc(s.rows, later) {
		slices.SortFunc(s.rows, later)
	}
	return err
}

// pack makes blocks of the rows.
func (s *scratch) pack(q *request, state State, columns []string, at int64) ([]*block, error) {
	var blocks []*block
	for c := -1; c < len(columns); c++ {
		b := &block{run: state.Session, table: q.table.From, column: timeColumn, from: at, batch: state.Batch, rows: len(s.rows), size: 256}
		if c >= 0 {
			b.column = columns[c]
		}
		blocks = append(blocks, b)
		if len(s.rows) == 0 || len(s.rows) > mostRows {
			continue
		}
		s.data = s.data[:0]
		for part := range slices.Chunk(s.rows, frameRows) {
			var f frame
			if c < 0 {
				s.times = s.times[:0]
				for _, r := range part {
					s.times = append(s.times, r.Micros)
				}
				s.data, f = appendTimes(s.data, s.times)
			} else {
				s.column = s.column[:0]
				for _, r := range part {
					s.column = append(s.column, s.values[r.at+c])
				}
				s.data, f = appendFloats(s.data, s.column)
			}
			b.frames = append(b.frames, f)
		}
		s.data = append(s.data, make([]byte, padding)...)
		const page, described = 4096, 64
		b.size += (len(s.data)+page-1)/page*page + described*len(b.frames)
		var err error
		if b.data, err = hold(s.data); err != nil {
			for _, b := range blocks {
				b.release()
			}
			return nil, fmt.Errorf("hold a column: %w", err)
		}
	}
	return blocks, nil
}
