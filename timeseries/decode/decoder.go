package decode

import (
	"io"
	"time"

	"github.com/ecovolt/telemetryd/timeseries/decode/foreign"
)

// Format is a form in which records arrive.
type Format int

// The formats.
const (
	FormatJSON Format = iota // an array of records, or records one after another (NDJSON)
	FormatCSV                // a header line, then a line for each record
)

// Options say how to read a stream of records.
type Options struct {
	Format Format
	// SkipBad goes on after records that cannot be used; they are noted in the
	// batch. Otherwise the first text that cannot be read ends the stream.
	SkipBad bool
	// SessionID, when not empty, is the session of every record, whatever the
	// record says. CSV files without a session_id column need it.
	SessionID string
	// SessionName, when not empty, is the session name of every CSV record.
	SessionName string
	// Unnamed, when set, gives the session to a table that names none: its id and
	// its name. It is asked once, before the first record.
	Unnamed func() (id, name string, err error)
	// Table says what a table cannot tell of itself.
	Table foreign.Options
	// Ranges has File know which values of a table are more than expected.
	Ranges bool
	// MaxRecord bounds the length of one record of JSON; 0 is MaxRecordBytes.
	MaxRecord int
	// Now is the clock for "too far ahead". Zero is the time of the call.
	Now time.Time
}

// Decoder reads records from a stream in bounded memory.
type Decoder struct {
	next func(b *Batch, most int) error
	csv  *csvStream // nil for JSON
}

// New reads records from src.
func New(src io.Reader, opt Options) *Decoder {
	now := opt.Now
	if now.IsZero() {
		now = time.Now()
	}
	if opt.Format == FormatCSV {
		d := &csvStream{
			src: src, now: now, skipBad: opt.SkipBad, session: []byte(opt.SessionID), name: []byte(opt.SessionName),
			unnamed: opt.Unnamed, table: opt.Table, ranges: opt.Ranges,
		}
		return &Decoder{next: d.next, csv: d}
	}
	d := &jsonStream{src: src, skipBad: opt.SkipBad}
	d.now, d.idOverride, d.maxRecord = now, []byte(opt.SessionID), opt.MaxRecord
	return &Decoder{next: d.next}
}

// Next adds records to the batch until it holds most of them, bad ones
// counted. It returns io.EOF when the stream is at its end (the batch may have
// grown all the same), and an Invalid fault when the rest cannot be read.
func (d *Decoder) Next(b *Batch, most int) error { return d.next(b, most) }

// File returns the table that the records come from; nil for JSON, and before
// the first call of Next.
func (d *Decoder) File() *foreign.Reader {
	if d.csv == nil {
		return nil
	}
	return d.csv.file
}
