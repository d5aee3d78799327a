package foreign

import (
	"bytes"
	"cmp"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"math/bits"
	"slices"
)

const (
	// maxRecord bounds the length of one record in bytes.
	maxRecord = 1 << 20
	readSize  = 256 << 10
)

// ErrRecord is wrapped by what makes one record unreadable; see Reader.SkipLine.
var ErrRecord = errors.New("not valid CSV")

// errShort says that the record goes on after the end of the text at hand.
var errShort = errors.New("the text ends within a record")

// lines cuts a text into records and those into cells (RFC 4180: quoted cells
// may hold separators, quotes and line breaks).
type lines struct {
	src   io.Reader // nil: the buffer is all there is
	step  int       // how much is asked of src at once; 0 is up to readSize
	buf   []byte
	pos   int
	atEOF bool
	sep   byte // ' ' stands for any run of blanks
	// lenient takes text after a closing quote as part of the cell, as headers
	// of RaceCapture have it: "Interval"|"ms"|0|0|25.
	lenient bool

	ahead []row // that follow at pos and are cut already

	cells  [][]byte // of the newest record, valid until the next one is read
	raw    []byte   // its text without the line's end
	quoted []byte   // unescaped text of quoted cells
	line   int      // the newest record's last line, from 1
}

// next reads a record. It returns io.EOF after the last one.
func (l *lines) next() error {
	if len(l.ahead) > 0 && !l.ahead[0].broken {
		r := &l.ahead[0]
		l.cells, l.raw, l.line, l.pos, l.ahead = r.cells, r.raw, r.line, r.end, l.ahead[1:]
		return nil
	}
	l.ahead = nil
	for {
		n, err := l.split(l.buf[l.pos:])
		if err == nil {
			l.pos += n
			return nil
		}
		if !errors.Is(err, errShort) {
			return err
		}
		if l.atEOF {
			return io.EOF
		}
		if len(l.buf)-l.pos > maxRecord {
			return fmt.Errorf("%w: a record is longer than %d bytes", ErrRecord, maxRecord)
		}
		if err := l.fill(); err != nil {
			return err
		}
	}
}

// fill drops what was read and reads on. Only io.EOF is the end: a decompressor
// says io.ErrUnexpectedEOF for input that was cut short.
func (l *lines) fill() error {
	if l.src == nil {
		return errShort
	}
	n := copy(l.buf, l.buf[l.pos:])
	l.pos = 0
	step := cmp.Or(l.step, min(cap(l.buf)-n, readSize))
	if l.step == 0 && step < readSize/16 { // a small file shall not pay for the buffer of a large one
		step = min(max(readSize/8, len(l.buf)), readSize)
	}
	l.buf = slices.Grow(l.buf[:n], step)[:n+step]
	for idle := 0; n < len(l.buf); {
		got, err := l.src.Read(l.buf[n:])
		n += got
		if err == nil && got == 0 {
			if idle++; idle == 100 {
				err = io.ErrNoProgress
			}
		} else {
			idle = 0
		}
		if err != nil {
			l.buf = l.buf[:n]
			if l.atEOF = err == io.EOF; l.atEOF {
				return nil
			}
			return err
		}
	}
	return nil
}

// skip drops what is left of a line that cannot be read.
func (l *lines) skip() error {
	l.cells = l.cells[:0]
	l.line++
	for {
		if i := bytes.IndexByte(l.buf[l.pos:], '\n'); i >= 0 {
			l.pos += i + 1
			return nil
		}
		l.pos = len(l.buf)
		if l.atEOF {
			return nil
		}
		if err := l.fill(); err != nil {
			return err
		}
	}
}

// split cuts the first record of text into cells and returns its length.
func (l *lines) split(text []byte) (int, error) {
	l.cells = l.cells[:0]
	if len(text) == 0 {
		return 0, errShort
	}
	// Eight bytes at a time, since cells are short: a mark for each byte that ends a
	// cell or a line, or is a quote.
	seps, quotes, breaks := repeated(l.sep), repeated('"'), repeated('\n')
	sep, cells, from := l.sep, l.cells, 0
	for at := 0; at < len(text); at += 8 {
		var w uint64
		if at+8 <= len(text) {
			w = binary.LittleEndian.Uint64(text[at:])
		} else {
			for i, c := range text[at:] {
				w |= uint64(c) << (8 * i)
			}
		}
		for marks := zeroBytes(w^seps) | zeroBytes(w^quotes) | zeroBytes(w^breaks); marks != 0; marks &= marks - 1 {
			i := at + bits.TrailingZeros64(marks)/8
			if i >= len(text) {
				break // of the last word, where a separator is 0
			}
			switch text[i] {
			case '\n':
				return l.end(text[:i], cells, from, i+1)
			case '"':
				if !l.atEOF && bytes.IndexByte(text[i:], '\n') < 0 {
					return 0, errShort
				}
				return l.splitQuoted(text)
			case sep:
				cells = append(cells, text[from:i])
				from = i + 1
			}
		}
	}
	if !l.atEOF {
		l.cells = cells[:0]
		return 0, errShort
	}
	return l.end(text, cells, from, len(text))
}

// end takes a line without quotes, of so many bytes with its end, whose last cell
// begins at from.
func (l *lines) end(line []byte, cells [][]byte, from, length int) (int, error) {
	l.line++
	l.raw = bytes.TrimSuffix(line, []byte{'\r'})
	l.cells = append(cells, l.raw[min(from, len(l.raw)):])
	if l.sep == ' ' { // several are one
		l.cells = append(l.cells[:0], bytes.Fields(l.raw)...)
		if len(l.cells) == 0 {
			l.cells = append(l.cells, l.raw[:0])
		}
	}
	return length, nil
}

// repeated is a word of eight times that byte.
func repeated(c byte) uint64 { return uint64(c) * 0x0101010101010101 }

// zeroBytes marks the bytes of a word that are 0, by their highest bit.
func zeroBytes(w uint64) uint64 {
	const low = 0x7f7f7f7f7f7f7f7f
	return ^((w&low + low) | w | low)
}

// splitQuoted is split for records with quotes in them.
func (l *lines) splitQuoted(text []byte) (int, error) {
	// Unescaped text may move while it grows, so that cells are cut at the end.
	type cut struct{ from, to int }
	var cuts []cut
	out := l.quoted[:0]
	breaks := 0
	i := 0
	plain := func() { // takes text up to the cell's end
		for i < len(text) && text[i] != l.sep && text[i] != '\n' {
			out = append(out, text[i])
			i++
		}
	}
	for {
		from := len(out)
		if i < len(text) && text[i] == '"' {
			i++
			for {
				if i >= len(text) {
					if l.atEOF {
						return 0, fmt.Errorf("%w: a quote is not closed", ErrRecord)
					}
					return 0, errShort
				}
				c := text[i]
				i++
				if c == '\n' {
					breaks++
				}
				if c != '"' {
					out = append(out, c)
					continue
				}
				if i < len(text) && text[i] == '"' {
					out = append(out, '"')
					i++
					continue
				}
				break
			}
			if i >= len(text) && !l.atEOF {
				return 0, errShort // another quote may follow
			}
			if l.lenient && i < len(text) && text[i] != '\r' {
				plain()
			}
		} else {
			plain()
			if i >= len(text) && !l.atEOF {
				return 0, errShort
			}
			if (i >= len(text) || text[i] == '\n') && len(out) > from && out[len(out)-1] == '\r' {
				out = out[:len(out)-1]
			}
		}
		cuts = append(cuts, cut{from, len(out)})
		end := i
		if i < len(text) && text[i] == '\r' {
			if i+1 >= len(text) && !l.atEOF {
				return 0, errShort
			}
			if i+1 >= len(text) || text[i+1] == '\n' {
				i++
			}
		}
		switch {
		case i >= len(text):
		case text[i] == l.sep:
			i++
			continue
		case text[i] == '\n':
			i++
		default:
			return 0, fmt.Errorf("%w: text follows a closing quote", ErrRecord)
		}
		l.raw = bytes.TrimSuffix(text[:end], []byte{'\r'})
		break
	}
	l.quoted = out
	for _, c := range cuts {
		l.cells = append(l.cells, out[c.from:c.to])
	}
	l.line += 1 + breaks
	return i, nil
}
