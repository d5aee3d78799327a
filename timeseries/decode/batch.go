package decode

import (
	"fmt"
	"math"
	"slices"
	"sync"
	"time"

	"github.com/ecovolt/telemetryd/internal/fault"
	"github.com/ecovolt/telemetryd/timeseries/channel"
	"github.com/ecovolt/telemetryd/timeseries/record"
)

// Limits on what a record may hold. They bound the work and memory that one
// record can cost; the real clients stay far below all of them.
const (
	MaxRecordBytes = 1 << 20 // length of one encoded record
	maxSessionID   = 256     // bytes of a session id
	maxTextBytes   = 64 << 10
	maxNesting     = 32      // depth of a JSON value inside a record
	maxGrown       = 8 << 20 // by how many bytes the numbers in a record may be longer where exponents are written out
	MaxProblems    = 100     // problems listed; further ones are only counted

	// MaxChunkBytes ends a chunk of a stream before it has all its records, so
	// that records of extraordinary size do not break the bound on memory. It
	// must not change, see ingest.ChunkRecords. The usual chunk needs two thirds of it.
	MaxChunkBytes = 5 << 20
	// rowBytes is what a record counts for besides its texts. It must not change either.
	rowBytes = 75*8 + 64
)

// row is one decoded record. Its field values stand in Batch.values.
type row struct {
	micros   int64 // microseconds since the Unix epoch
	session  int32 // index into Batch.sessions
	index    int32 // place in the caller's input
	line     int32 // of the file, where it is known; 0 else
	present  record.Mask
	timeText record.Substring // empty when the timestamp was in the usual form
	odd      record.Oddity
	extra    record.Substring // a JSON object, or empty
	spans    [2]uint32        // of its members, from and to
	surplus  record.Substring // likewise
}

// Batch holds decoded and validated records until they are stored. Values lie
// in flat arrays, so that a batch of thousands costs a handful of allocations.
// It is not safe for concurrent use.
type Batch struct {
	sessions    []string
	rows        []row
	values      []uint64 // len(channel.All) for each row: float bits, integer, or record.Substring
	text        []byte
	spans       []record.Span
	problems    []fault.Problem
	rejected    int // records with problems
	lastSession int32
	room        int // bytes that the batch may take before it is full
}

var batchPool = sync.Pool{New: func() any { return new(Batch) }}

// NewBatch returns an empty batch. Release returns its memory for another use.
func NewBatch() *Batch {
	b := batchPool.Get().(*Batch)
	b.Reset()
	return b
}

// Release returns the batch's memory to the pool. The batch must not be used afterwards.
func (b *Batch) Release() {
	const keep, keepText, keepSpans = 64 << 20, 1 << 20, 1 << 19 // do not hoard what unusual records needed
	if cap(b.text) > keepText {
		b.text = nil
	}
	if cap(b.spans) > keepSpans {
		b.spans = nil
	}
	if cap(b.values)*8 < keep {
		batchPool.Put(b)
	}
}

// Reset empties the batch and keeps its memory.
func (b *Batch) Reset() {
	*b = Batch{
		sessions: b.sessions[:0], rows: b.rows[:0], values: b.values[:0], text: b.text[:0], spans: b.spans[:0],
		lastSession: -1, room: MaxChunkBytes,
	}
}

// Len is the number of good records.
func (b *Batch) Len() int { return len(b.rows) }

// Rejected is the number of records left out because something is wrong with them.
func (b *Batch) Rejected() int { return b.rejected }

// Problems lists what is wrong with the input, up to 100 problems.
func (b *Batch) Problems() []fault.Problem { return b.problems }

// Err returns an Invalid error listing the batch's problems, or nil.
func (b *Batch) Err() error {
	if b.rejected == 0 {
		return nil
	}
	return &fault.Error{
		Kind:     fault.Invalid,
		Message:  fmt.Sprintf("%d of %d records are not acceptable; nothing was stored", b.rejected, b.rejected+len(b.rows)),
		Problems: b.problems,
	}
}

// Sessions lists the ids of the sessions that the batch has records of, bad
// ones among them.
func (b *Batch) Sessions() []string { return b.sessions }

// Session is the place in Sessions of the session of record i.
func (b *Batch) Session(i int) int { return int(b.rows[i].session) }

// Index is the place of record i in the caller's input, bad records counted.
func (b *Batch) Index(i int) int { return int(b.rows[i].index) }

// Line is the line of the file that record i stands in, from 1: of each record
// of a table, and of odd ones of NDJSON. It is 0 for others.
func (b *Batch) Line(i int) int { return int(b.rows[i].line) }

// TextBytes is how many bytes of text the records have together.
func (b *Batch) TextBytes() int { return len(b.text) }

// Record is the good record i. It is valid until the batch changes.
func (b *Batch) Record(i int) record.Values {
	r := &b.rows[i]
	n := len(channel.All)
	return record.Values{
		Micros: r.micros, Present: r.present, Values: b.values[i*n : (i+1)*n : (i+1)*n], Text: b.text,
		TimeText: r.timeText.Of(b.text), Extra: r.extra.Of(b.text), Spans: b.spans[r.spans[0]:r.spans[1]], Surplus: r.surplus.Of(b.text), Odd: r.odd,
	}
}

// Append adds all records of another batch, good and bad.
func (b *Batch) Append(other *Batch) {
	shift, spans := uint32(len(b.text)), uint32(len(b.spans))
	for i := range other.rows {
		r := other.rows[i]
		r.session = b.sessionNumber([]byte(other.sessions[r.session]))
		r.timeText.Off += shift
		r.extra.Off += shift
		r.surplus.Off += shift
		r.spans[0], r.spans[1] = r.spans[0]+spans, r.spans[1]+spans
		b.rows = append(b.rows, r)
		at := len(b.values)
		b.values = append(b.values, other.values[i*len(channel.All):(i+1)*len(channel.All)]...)
		for c := range channel.All {
			if t := channel.All[c].Type; (t == channel.Text || t == channel.JSON) && r.present.Has(c) {
				s := record.UnpackSubstring(b.values[at+c])
				s.Off += shift
				b.values[at+c] = s.Pack()
			}
		}
	}
	b.text, b.spans = append(b.text, other.text...), append(b.spans, other.spans...)
	b.problems = append(b.problems, other.problems...)
	b.rejected += other.rejected
}

// Limit bounds the memory that the batch may take before it counts as full.
func (b *Batch) Limit(bytes int) { b.room = bytes }

// Memory estimates the bytes that the batch holds. It depends on nothing but
// the records, not on how many channels there are, since it decides where chunks end.
func (b *Batch) Memory() int { return len(b.rows)*rowBytes + len(b.text) }

// full reports whether a stream's chunk should end here.
func (b *Batch) full(most int) bool {
	return b.Len()+b.Rejected() >= most || b.Memory() >= b.room
}

// sessionNumber returns the index of a session id, adding it if it is new.
func (b *Batch) sessionNumber(id []byte) int32 {
	if b.lastSession >= 0 && b.sessions[b.lastSession] == string(id) {
		return b.lastSession
	}
	i := slices.Index(b.sessions, string(id))
	if i < 0 {
		i = len(b.sessions)
		b.sessions = append(b.sessions, string(id))
	}
	b.lastSession = int32(i)
	return int32(i)
}

// rowBuilder fills one row at the end of a batch, then keeps or drops it.
type rowBuilder struct {
	batch      *Batch
	row        row
	values     []uint64
	textMark   int
	extra      []byte
	surplus    []byte
	unknown    int
	hasSession bool
	hasTime    bool
	problems   int
	grown      int   // see scanner.grown
	latest     int64 // micros; no record may be later
	index      int
}

// begin starts a row. now is the clock for "too far ahead".
func (rb *rowBuilder) begin(b *Batch, index int, now time.Time) {
	n := len(b.values)
	b.values = slices.Grow(b.values, len(channel.All))[:n+len(channel.All)]
	*rb = rowBuilder{
		batch: b, values: b.values[n:], textMark: len(b.text), extra: rb.extra[:0], surplus: rb.surplus[:0],
		latest: now.Add(maxAhead).UnixMicro(), index: index, row: row{index: int32(index), spans: [2]uint32{uint32(len(b.spans))}},
	}
}

// problem notes what is wrong with the row; the row will not be kept.
func (rb *rowBuilder) problem(field, format string, args ...any) {
	rb.problems++
	b := rb.batch
	if len(b.problems) < MaxProblems {
		index := rb.index
		b.problems = append(b.problems, fault.Problem{Index: &index, Field: fault.Clip(field), Reason: fmt.Sprintf(format, args...)})
	}
}

// end keeps the row, or drops it when something is wrong with it.
func (rb *rowBuilder) end() {
	b := rb.batch
	if rb.grown > maxGrown {
		rb.problem("", "takes %d bytes more where its numbers are written out, as the database does; at most %d are allowed", rb.grown, maxGrown)
	}
	if rb.problems == 0 && !rb.hasSession {
		rb.problem("session_id", "is missing")
	}
	if rb.problems == 0 && !rb.hasTime {
		rb.problem("timestamp", "is missing")
	}
	if rb.problems > 0 {
		b.values = b.values[:len(b.values)-len(channel.All)]
		b.text, b.spans = b.text[:rb.textMark], b.spans[:rb.row.spans[0]]
		b.rejected++
		return
	}
	if len(rb.extra) > 0 {
		rb.extra = append(rb.extra, '}')
		rb.row.extra = rb.store(rb.extra)
	}
	rb.row.spans[1] = uint32(len(b.spans))
	if len(rb.surplus) > 0 {
		rb.surplus = append(rb.surplus, '}')
		rb.row.surplus = rb.store(rb.surplus)
	}
	b.rows = append(b.rows, rb.row)
}

// grow makes room for a span. Where there are many it is for as many as the rest of
// the batch will need, if it goes on like this: growing bit by bit would copy them
// several times.
func (b *Batch) grow() {
	if n := len(b.spans); n == cap(b.spans) && n > 1<<12 {
		b.spans = slices.Grow(b.spans, n/8+max(0, int(float64(n)*float64(b.room-b.Memory())/float64(b.Memory()))))
	}
}

func (rb *rowBuilder) store(text []byte) record.Substring {
	b := rb.batch
	s := record.Substring{Off: uint32(len(b.text)), Len: uint32(len(text))}
	if len(b.text) > MaxChunkBytes/10 && len(b.text)+len(text) > cap(b.text) {
		// Growing bit by bit would leave several times the batch to the collector.
		b.text = slices.Grow(b.text, max(0, b.room-b.Memory())+len(text))
	}
	b.text = append(b.text, text...)
	return s
}

// earliest is the first time that a record may have. Clocks that were never
// set begin in 1970, 1980 (GPS) or 2000 (real-time clocks).
var earliest = time.Date(2000, 1, 2, 0, 0, 0, 0, time.UTC).UnixMicro()

// maxAhead is how far in the future a record's time may lie.
const maxAhead = 24 * time.Hour

// Oddity is why a record at that time, in µs since 1970, is set aside; empty as
// a rule.
func Oddity(micros int64, now time.Time) record.Oddity {
	return oddity(micros, now.Add(maxAhead).UnixMicro())
}

func oddity(micros, latest int64) record.Oddity {
	switch {
	case micros < earliest:
		return record.TooEarly
	case micros > latest:
		return record.TooLate
	}
	return ""
}

func (rb *rowBuilder) setSession(id []byte) {
	switch {
	case len(id) > maxSessionID:
		rb.problem("session_id", "is %d bytes long; at most %d are allowed", len(id), maxSessionID)
	case !rb.checkText("session_id", id):
	case hasControl(id):
		rb.problem("session_id", "holds a control character")
	default:
		rb.row.session = rb.batch.sessionNumber(id)
		rb.hasSession = true
	}
}

// setTime takes a timestamp. One that cannot be right makes the record odd, and
// keeps no record out.
func (rb *rowBuilder) setTime(text []byte) {
	if len(text) > maxTextBytes {
		rb.problem("timestamp", "is %d bytes long; at most %d are allowed", len(text), maxTextBytes)
		return
	}
	if !rb.checkText("timestamp", text) {
		return
	}
	micros, usual, err := record.ParseTimestamp(text)
	rb.row.micros, rb.hasTime = micros, true
	if err != nil {
		rb.row.odd, rb.row.micros = record.NoTime, 0
	} else {
		rb.row.odd = oddity(micros, rb.latest)
	}
	rb.row.timeText = record.Substring{}
	if !usual {
		rb.row.timeText = rb.store(text)
	}
}

func (rb *rowBuilder) setFloat(i int, v float64) {
	if math.IsNaN(v) || math.IsInf(v, 0) {
		rb.problem(channel.All[i].Name, "is not a finite number")
		return
	}
	if math.Abs(v) > maxMagnitude {
		rb.problem(channel.All[i].Name, "is out of range")
		return
	}
	rb.values[i] = math.Float64bits(v)
	rb.row.present.Set(i)
}

// maxMagnitude bounds what a measurement can be, so that no sum of values or of
// their squares overflows: the database would refuse to aggregate the bucket
// that holds them, for good.
const maxMagnitude = 1e100

// setInt takes a number for an integer field. Importers send 1.0 for 1.
func (rb *rowBuilder) setInt(i int, v float64) {
	// From 2^53 on a float64 stands for several integers: which one was sent?
	if v != math.Trunc(v) || math.Abs(v) >= 1<<53 {
		rb.problem(channel.All[i].Name, "is not a whole number between -2^53 and 2^53")
		return
	}
	rb.values[i] = uint64(int64(v))
	rb.row.present.Set(i)
}

func (rb *rowBuilder) setText(i int, text []byte) {
	if len(text) > maxTextBytes {
		rb.problem(channel.All[i].Name, "is %d bytes long; at most %d are allowed", len(text), maxTextBytes)
		return
	}
	if rb.checkText(channel.All[i].Name, text) {
		rb.values[i] = rb.store(text).Pack()
		rb.row.present.Set(i)
	}
}

// setJSON takes a value that was already checked.
func (rb *rowBuilder) setJSON(i int, raw []byte) {
	rb.values[i] = rb.store(raw).Pack()
	rb.row.present.Set(i)
}

// addExtra keeps a member that has no column. key is its name as extraKey writes it, and
// raw checked JSON.
func (rb *rowBuilder) addExtra(key, raw []byte) {
	object := &rb.extra
	if rb.unknown++; rb.unknown > record.MaxMembers {
		object = &rb.surplus
	} else {
		s := record.Span{Name: uint32(len(key) - len(",:")), Value: uint32(len(raw))}
		if c := raw[0]; c != '"' && c != '{' && c != '[' {
			s.Number, s.Numeric = record.ParseNumber(raw)
		}
		rb.batch.grow()
		rb.batch.spans = append(rb.batch.spans, s)
	}
	*object = append(append(*object, key...), raw...)
	(*object)[0] = '{'
}

// extraKey is a member's name, which is valid text, as it stands in an object behind
// another.
func extraKey(name []byte) []byte {
	return append(record.AppendJSONString([]byte{','}, name), ':')
}

// checkText reports whether PostgreSQL can hold the text.
func (rb *rowBuilder) checkText(field string, text []byte) bool {
	reason := record.TextProblem(text)
	if reason != "" {
		rb.problem(field, "%s", reason)
	}
	return reason == ""
}

func hasControl(text []byte) bool {
	for _, c := range text {
		if c < 0x20 || c == 0x7f {
			return true
		}
	}
	return false
}
