package column

import (
	"container/list"
	"context"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"github.com/jackc/pgx/v5"

	schema "github.com/ecovolt/telemetryd/sql"
	"github.com/ecovolt/telemetryd/timeseries/rollup"
)

// Memory is what is held of all runs, within a bound of bytes. A nil one holds nothing.
type Memory struct {
	log  *slog.Logger
	most int
	rows int // about how many a block is meant to have

	mu     sync.Mutex // guards what follows
	runs   map[int32]*held
	ids    map[string]int32 // of runs that are held
	blocks *list.List       // of *block, what was read last in front
	bytes  int
	hits   int64
	misses int64
	// failures counts the requests that could not be loaded.
	failures int64
	queue    []*request
	loading  bool
	idle     sync.Cond // that it is not loading
	rest     *rest
}

// held is what is held of one run.
type held struct {
	id        string
	rewritten int32 // sessions.rewritten that all of it is of
	// batch is up to which batch it is known that no batch touched a block later than
	// the one with which it was read.
	batch  int32
	tables map[string]*table
	blocks int
}

// table is what is held of one table.
type table struct {
	width   int64 // of a block, µs
	columns map[string]map[int64]*block
}

// block is a column of one table in a range of time: the times, or an expression.
type block struct {
	run    int32
	table  string
	column string
	from   int64 // µs since 1970
	batch  int32 // of the run when it was read
	rows   int
	frames []frame
	data   []byte // nil where the range has too many rows to be held
	size   int

	place   *list.Element
	readers int
	gone    bool // it is to be released when nobody reads it
}

// timeColumn is the name of the column of times.
const timeColumn = ""

// New returns a Memory of that many bytes; nil for none. It logs what it could not load.
func New(bytes int, log *slog.Logger) *Memory {
	if bytes <= 0 {
		return nil
	}
	m := &Memory{log: log, most: bytes, rows: min(max(bytes/256, 256), blockRows), runs: map[int32]*held{}, ids: map[string]int32{}, blocks: list.New()}
	m.idle.L = &m.mu
	return m
}

// Stats is what a Memory has done so far and holds now.
type Stats struct {
	Hits, Misses int64 // answers that it gave alone, and others
	Failures     int64 // what was missed and could not be loaded
	Bytes        int
}

// Count counts an answer, which was made of what is held alone or was not.
func (m *Memory) Count(hit bool) {
	if m == nil {
		return
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	if hit {
		m.hits++
	} else {
		m.misses++
	}
}

// Stats returns what was done and what is held.
func (m *Memory) Stats() Stats {
	if m == nil {
		return Stats{}
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	return Stats{m.hits, m.misses, m.failures, m.bytes}
}

// Holds reports whether something is held of each of these runs.
func (m *Memory) Holds(ids []string) bool {
	if m == nil {
		return false
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, id := range ids {
		if _, ok := m.ids[id]; !ok {
			return false
		}
	}
	return true
}

// State is a run as a snapshot of the database shows it.
type State struct {
	ID                        string
	Session, Rewritten, Batch int32
	Records                   int64
	From, To                  int64 // all records lie in [From, To), µs since 1970
	// Growing tells that records come at its end: what reaches to there is not held.
	Growing bool
}

// Growing is State.Growing of a row s of sessions.
const Growing = "s.ended_at IS NULL AND s.updated_at > now() - INTERVAL '1 minute'"

// Run is what a Memory has of a run in that state. Its zero value has nothing.
type Run struct {
	m *Memory
	l Loader
	State
}

// Open finds out what of a run still holds in that state, as a transaction shows it that
// is no older.
func (m *Memory) Open(ctx context.Context, q schema.Querier, s State, l Loader) (Run, error) {
	if m == nil {
		return Run{}, nil
	}
	return Run{m, l, s}, m.follow(ctx, q, s)
}

// follow drops what batches up to that one touched.
func (m *Memory) follow(ctx context.Context, q schema.Querier, s State) error {
	m.mu.Lock()
	h := m.runs[s.Session]
	if h != nil && h.rewritten < s.Rewritten {
		m.dropIf(h, func(*block) bool { return true })
		h = nil
	}
	if h == nil || h.rewritten != s.Rewritten || h.batch >= s.Batch {
		m.mu.Unlock()
		return nil
	}
	known := h.batch
	m.mu.Unlock()
	rows, err := q.Query(ctx, `
		SELECT min_time, max_time FROM ingest_batches
		WHERE session = $1 AND batch > $2 AND batch <= $3 AND min_time IS NOT NULL`, s.Session, known, s.Batch)
	if err != nil {
		return fmt.Errorf("read which batches came since: %w", err)
	}
	var touched [][2]int64
	var from, to time.Time
	_, err = pgx.ForEachRow(rows, []any{&from, &to}, func() error {
		touched = append(touched, [2]int64{from.UnixMicro(), to.UnixMicro()})
		return nil
	})
	if err != nil {
		return fmt.Errorf("read which batches came since: %w", err)
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.runs[s.Session] != h || h.batch >= s.Batch {
		return nil
	}
	m.dropIf(h, func(b *block) bool {
		width := h.tables[b.table].width
		for _, t := range touched {
			if t[0] < b.from+width && t[1] >= b.from {
				return true
			}
		}
		return false
	})
	h.batch = s.Batch
	return nil
}

// find returns the block of a column at a place of a table, as far as it holds in that
// state.
func (h *held) find(s State, table, column string, from int64) *block {
	if h == nil || h.rewritten != s.Rewritten || h.batch < s.Batch {
		return nil
	}
	t := h.tables[table]
	if t == nil {
		return nil
	}
	if b := t.columns[column][from]; b != nil && b.batch <= s.Batch {
		return b
	}
	return nil
}

// put holds blocks of one range of a table, as they were read in that state, in the
// place of what was read longest ago.
func (m *Memory) put(s State, width int64, blocks []*block) {
	m.mu.Lock()
	defer m.mu.Unlock()
	h := m.runs[s.Session]
	if h == nil {
		h = &held{id: s.ID, rewritten: s.Rewritten, batch: s.Batch, tables: map[string]*table{}}
		m.runs[s.Session], m.ids[s.ID] = h, s.Session
	}
	for _, b := range blocks {
		t := h.tables[b.table]
		if t == nil {
			t = &table{width: width, columns: map[string]map[int64]*block{}}
		}
		places, times := t.columns[b.column], t.columns[timeColumn][b.from]
		// What was read meanwhile in a later state may have been touched since this one.
		if h.rewritten != s.Rewritten || h.batch != s.Batch || t.width != width || places[b.from] != nil || times != nil && times.rows != b.rows {
			b.release()
			continue
		}
		if places == nil {
			places = map[int64]*block{}
			t.columns[b.column] = places
		}
		h.tables[b.table], places[b.from] = t, b
		b.place = m.blocks.PushFront(b)
		h.blocks++
		m.bytes += b.size
	}
	for m.bytes > m.most {
		m.drop(m.blocks.Back().Value.(*block))
	}
	if h.blocks == 0 {
		m.leave(s.Session)
	}
}

// dropIf drops blocks of a run.
func (m *Memory) dropIf(h *held, which func(*block) bool) {
	for _, t := range h.tables {
		for _, places := range t.columns {
			for _, b := range places {
				if which(b) {
					m.drop(b)
				}
			}
		}
	}
}

func (m *Memory) drop(b *block) {
	h := m.runs[b.run]
	t := h.tables[b.table]
	if delete(t.columns[b.column], b.from); len(t.columns[b.column]) == 0 {
		if delete(t.columns, b.column); len(t.columns) == 0 {
			delete(h.tables, b.table)
		}
	}
	m.blocks.Remove(b.place)
	m.bytes -= b.size
	if h.blocks--; h.blocks == 0 {
		m.leave(b.run)
	}
	if b.gone = true; b.readers == 0 {
		b.release()
	}
}

// leave forgets a run of which nothing is held.
func (m *Memory) leave(run int32) {
	if h := m.runs[run]; h != nil {
		delete(m.runs, run)
		if m.ids[h.id] == run {
			delete(m.ids, h.id)
		}
	}
}

func (b *block) release() {
	if b.data != nil {
		release(b.data)
		b.data = nil
	}
}

// ForgetDropped drops what is older than the oldest record that there is, for which it
// looks once a minute.
func (m *Memory) ForgetDropped(ctx context.Context, q schema.Querier, rollups *rollup.Rollups) error {
	oldest, looked, err := rollups.FindDropped(ctx, q)
	if m == nil || !looked {
		return err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, h := range m.runs {
		m.dropIf(h, func(b *block) bool { return b.from < oldest.UnixMicro() })
	}
	return nil
}
