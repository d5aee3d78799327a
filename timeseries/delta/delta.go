package delta

import (
	"time"

	"github.com/ecovolt/telemetryd/timeseries/record"
)

// Delta is the records of one session between two positions, encoded member
// by member, so that any set of fields is put together by copying.
type Delta struct {
	ID       string
	Name     string   // the session's name now
	From, To Position // what it covers
	Now      Position // where the session stands; zero when there is none of that id
	// Rewritten is the newest batch with which records of earlier ones were taken
	// away: who has read any of those has what is not there any more.
	Rewritten int32
	// Waited is for how long the oldest of its batches had been stored when the
	// database was asked, by the database's clock. Zero when it holds none.
	Waited time.Duration

	rows []record.Encoded
	read *record.Selection
	buf  []byte
}

// Has reports whether every member of the selection was read.
func (d *Delta) Has(fields *record.Selection) bool { return len(d.rows) == 0 || d.read.Covers(fields) }

// Len is the number of records.
func (d *Delta) Len() int { return len(d.rows) }

// Size is about how many bytes of memory the delta holds.
func (d *Delta) Size() int {
	size := cap(d.buf)
	if len(d.rows) > 0 {
		size += len(d.rows) * (64 + 4*(1+len(d.read.Channels())))
	}
	return size
}

// Time is when record i was measured.
func (d *Delta) Time(i int) time.Time { return d.rows[i].Time() }

// After is the position right after record i.
func (d *Delta) After(i int) Position {
	if i == len(d.rows)-1 {
		return d.To
	}
	r := d.rows[i]
	return Position{Session: d.To.Session, Batch: r.Batch - 1, Next: r.Ord + 1}
}

// AppendRecord writes record i as a JSON object with the selected members that
// it has. All of them must have been read.
func (d *Delta) AppendRecord(dst []byte, i int, fields *record.Selection) []byte {
	return d.rows[i].AppendJSON(dst, d.buf, d.read, fields, d.Now.Session)
}
