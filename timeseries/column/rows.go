package column

import (
	"slices"
	"sort"
	"strings"
	"sync"

	"github.com/ecovolt/telemetryd/timeseries/rollup"
)

// Table is a table of a run: its records, or a level of the rollups.
type Table struct {
	From string // its name
	Time string // the column of time
	// Width is that of a level's buckets, µs; 0 of records.
	Width int64
}

const (
	// blockRows is about how many rows a block is meant to have, less in a small memory,
	// and mostRows how many it may have where they are closer together than in the whole run.
	blockRows = 32 * frameRows
	mostRows  = 4 * blockRows
	// bucketsOfBlock is how many buckets of a level a block holds.
	bucketsOfBlock = 4096
	// mostBlocks is up to how many ranges a read is served.
	mostBlocks = 64
)

// blockWidth is how long blocks are of a run that is not held yet, µs.
func (r Run) blockWidth(t Table) int64 {
	if t.Width > 0 {
		return t.Width * bucketsOfBlock
	}
	width, step := int64(1_000_000), (r.To-r.From)/max(r.Records, 1)
	for width < 1<<43 && 2*width <= step*int64(r.m.rows) {
		width *= 2
	}
	return width
}

// Rows are columns of a table between two times, in the order of time, batch and ord.
// They are to be released.
type Rows struct {
	m        *Memory
	from, to int64
	ranges   [][]*block // of each range the times, then the columns
	columns  int
}

// Rows returns columns of a table, which are expressions of a double precision, from one
// time on and before another, µs since 1970. It is not ok where not all of them are held;
// they will be, some time later.
func (r Run) Rows(t Table, columns []string, from, to int64) (rows *Rows, ok bool) {
	if r.m == nil {
		return nil, false
	}
	if rows = (&Rows{m: r.m, from: from, to: to, columns: len(columns)}); t.Width == 0 {
		from, to = max(from, r.From), min(to, r.To)
	}
	if from >= to {
		return rows, true
	}
	m := r.m
	m.mu.Lock()
	defer m.mu.Unlock()
	h, width := m.runs[r.Session], r.blockWidth(t)
	if h != nil && h.tables[t.From] != nil {
		if of := h.tables[t.From].width; of <= 4*width && width <= 4*of {
			width = of
		} else { // the run has become another one since
			m.dropIf(h, func(b *block) bool { return b.table == t.From })
		}
	}
	begin := rollup.FloorMicro(from, width)
	if (to-begin)/width > mostBlocks {
		return nil, false
	}
	var missing []int64
	for at := begin; at < to; at += width {
		blocks := make([]*block, 0, 1+len(columns))
		for k := -1; k < len(columns); k++ {
			name := timeColumn
			if k >= 0 {
				name = columns[k]
			}
			b := h.find(r.State, t.From, name, at)
			if b == nil {
				if !r.Growing || at+width <= r.To {
					missing = append(missing, at)
				}
				ok = false
				break
			}
			blocks = append(blocks, b)
		}
		rows.ranges = append(rows.ranges, blocks)
	}
	for _, blocks := range rows.ranges {
		whole := len(blocks) == 1+len(columns)
		for _, b := range blocks {
			m.blocks.MoveToFront(b.place)
			// Other rows are of before or behind a drop that is not known yet.
			whole = whole && (b.data != nil || b.rows == 0) && b.rows == blocks[0].rows
		}
		if !whole {
			m.ask(&request{run: r, table: t, columns: slices.Clone(columns), width: width, places: missing})
			return nil, false
		}
	}
	for _, blocks := range rows.ranges {
		for _, b := range blocks {
			b.readers++
		}
	}
	return rows, true
}

// Release lets go of what the rows were read of.
func (r *Rows) Release() {
	r.m.mu.Lock()
	defer r.m.mu.Unlock()
	for _, blocks := range r.ranges {
		for _, b := range blocks {
			if b.readers--; b.readers == 0 && b.gone {
				b.release()
			}
		}
	}
	r.ranges = nil
}

// buffer is what frames are unpacked into.
type buffer struct {
	times   [frameRows]int64
	columns [][]float64
}

var buffers = sync.Pool{New: func() any { return new(buffer) }}

// Each calls each with the times of some rows, µs since 1970, and their values of each
// column, NaN where they have none. Both may be changed, and are not to be kept.
func (r *Rows) Each(each func(times []int64, columns [][]float64)) {
	buf := buffers.Get().(*buffer)
	defer buffers.Put(buf)
	for len(buf.columns) < r.columns {
		buf.columns = append(buf.columns, make([]float64, frameRows))
	}
	columns := make([][]float64, r.columns)
	for _, blocks := range r.ranges {
		frames := blocks[0].frames
		for k := range frames {
			f := &frames[k]
			if f.first >= r.to {
				break
			}
			if k+1 < len(frames) && frames[k+1].first < r.from {
				continue
			}
			times := buf.times[:f.rows]
			f.times(blocks[0].data, times)
			low := sort.Search(len(times), func(i int) bool { return times[i] >= r.from })
			high := sort.Search(len(times), func(i int) bool { return times[i] >= r.to })
			if low >= high {
				continue
			}
			for c, b := range blocks[1:] {
				columns[c] = buf.columns[c][:high-low]
				b.frames[k].floats(b.data, low, columns[c])
			}
			each(times[low:high], columns)
		}
	}
}

// key tells a request from others.
func (q *request) key() string { return q.table.From + "\x00" + strings.Join(q.columns, "\x00") }
