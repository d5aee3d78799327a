package decode

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"slices"

	"github.com/ecovolt/telemetryd/internal/fault"
)

// jsonStream decodes a stream of JSON: either one array of records, or records
// one after another with white space between them (NDJSON).
type jsonStream struct {
	jsonDecoder
	src       io.Reader
	step      int  // how much is asked of src at once; 0 is readSize
	skipBad   bool // go on at the next line after a line that cannot be read
	array     bool
	started   bool
	closed    bool // the array is at its end
	needComma bool
	ended     bool
	atEOF     bool
	lines     int // line ends before the place in the buffer that they are counted to
	counted   int
}

// next adds up to most records to the batch, bad ones counted. It returns
// io.EOF when there are no more.
func (d *jsonStream) next(b *Batch, most int) error {
	for !b.full(most) {
		if d.ended {
			return io.EOF
		}
		d.scan.space() // white space must not pile up in the buffer
		mark := d.scan.pos
		err := d.one(b)
		switch {
		case err == nil:
		case errors.Is(err, errShort) && !d.atEOF:
			d.scan.pos = mark
			if len(d.scan.buf)-mark > 2*d.longest() {
				return d.fault(fmt.Errorf("the record is longer than %d bytes", d.longest()))
			}
			if err := d.fill(); err != nil {
				return err
			}
		case d.skipBad && !d.array && d.nextLine(mark):
			d.rb.begin(b, d.count, d.now)
			d.rb.problem("", "%v", err)
			d.rb.end()
			d.count++
		default:
			return d.fault(err)
		}
	}
	return nil
}

// one reads a record, or the end of the stream.
func (d *jsonStream) one(b *Batch) error {
	s := &d.scan
	c := s.space()
	if s.pos >= len(s.buf) {
		if d.atEOF && (!d.array || d.closed) {
			d.ended = true
			return nil
		}
		return errShort
	}
	if !d.started {
		d.started = true
		if d.array = c == '['; d.array {
			s.pos++
			return nil
		}
	}
	if !d.array {
		start, n := s.pos, b.Len()
		err := d.record(b)
		if b.Len() > n && b.rows[n].odd != "" {
			b.rows[n].line = int32(d.lineEnds(start)) + 1
		}
		return err
	}
	if d.closed {
		return s.syntax("more text after the array")
	}
	if c == ']' {
		s.pos++
		d.closed = true // but read on to the end: a decompressor may have more to say
		return nil
	}
	if d.needComma {
		if err := s.expect(','); err != nil {
			return err
		}
	}
	if err := d.record(b); err != nil {
		return err
	}
	d.needComma = true
	return nil
}

// nextLine moves to the line after the one that holds position from.
func (d *jsonStream) nextLine(from int) bool {
	for from < len(d.scan.buf) && isSpace(d.scan.buf[from]) {
		from++
	}
	for {
		if i := bytes.IndexByte(d.scan.buf[from:], '\n'); i >= 0 {
			d.scan.pos = from + i + 1
			return true
		}
		if d.atEOF {
			d.scan.pos = len(d.scan.buf)
			return true
		}
		d.scan.pos = from
		if len(d.scan.buf)-from > 2*d.longest() || d.fill() != nil {
			return false
		}
		from = 0
	}
}

func isSpace(c byte) bool { return c == ' ' || c == '\t' || c == '\n' || c == '\r' }

// lineEnds counts those before a place in the buffer; it is asked for later and
// later ones.
func (d *jsonStream) lineEnds(pos int) int {
	d.lines += bytes.Count(d.scan.buf[d.counted:pos], []byte{'\n'})
	d.counted = pos
	return d.lines
}

// fill drops what was read and reads more.
func (d *jsonStream) fill() error {
	s := &d.scan
	d.lineEnds(s.pos)
	d.counted = 0
	rest := copy(s.buf, s.buf[s.pos:])
	var err error
	s.buf, d.atEOF, err = readOn(d.src, s.buf[:rest], d.step)
	s.pos = 0
	return err
}

// readSize is how much is asked of the source at once.
const readSize = 128 << 10

// readOn reads step bytes more into buf, or as many as there are; step 0 means
// readSize. Only
// io.EOF is the end: a decompressor says io.ErrUnexpectedEOF for input that was
// cut short, which io.ReadFull would hide.
func readOn(src io.Reader, buf []byte, step int) (longer []byte, atEOF bool, err error) {
	if step == 0 {
		step = readSize
	}
	n := len(buf)
	buf = slices.Grow(buf, step)[:n+step]
	for idle := 0; n < len(buf); {
		got, err := src.Read(buf[n:])
		n += got
		switch {
		case err == io.EOF:
			return buf[:n], true, nil
		case err != nil:
			return buf[:n], false, readFault(err)
		case got > 0:
			idle = 0
		default:
			if idle++; idle == 100 {
				return buf[:n], false, readFault(io.ErrNoProgress)
			}
		}
	}
	return buf[:n], false, nil
}

// readFault keeps the errors of decompressors and limits that already say what
// is wrong, and blames the body for others.
func readFault(err error) error {
	if fault.As(err) != nil {
		return err
	}
	return &fault.Error{Kind: fault.Invalid, Message: "the body cannot be read", Err: err,
		Problems: []fault.Problem{{Reason: err.Error()}}}
}
