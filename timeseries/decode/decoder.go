package decode

import (
	"io"
	"time"
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
	// Now is the clock for "too far ahead". Zero is the time of the call.
	Now time.Time
}

// Decoder reads records from a stream in bounded memory.
type Decoder struct {
	next func(b *Batch, most int) error
}

// New reads records from src.
func New(src io.Reader, opt Options) *Decoder {
	now := opt.Now
	if now.IsZero() {
		now = time.Now()
	}
	if opt.Format == FormatCSV {
		d := &csvStream{src: src, now: now, skipBad: opt.SkipBad, session: []byte(opt.SessionID), name: []byte(opt.SessionName)}
		return &Decoder{next: d.next}
	}
	d := &jsonStream{src: src, skipBad: opt.SkipBad}
	d.now, d.idOverride = now, []byte(opt.SessionID)
	return &Decoder{next: d.next}
}

// Next adds records to the batch until it holds most of them, bad ones
// counted. It returns io.EOF when the stream is at its end (the batch may have
// grown all the same), and an Invalid fault when the rest cannot be read.
func (d *Decoder) Next(b *Batch, most int) error { return d.next(b, most) }
