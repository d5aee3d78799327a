// Package text reads files in the encodings of loggers and spreadsheets as UTF-8.
// It holds nothing but a few kilobytes of what it reads.
package text

import (
	"bytes"
	"errors"
	"io"
	"unicode/utf8"

	"golang.org/x/text/encoding"
	"golang.org/x/text/encoding/charmap"
	"golang.org/x/text/encoding/unicode"
	"golang.org/x/text/transform"
)

// Names of encodings, as the table shows them.
const (
	UTF8   = "UTF-8"
	Latin1 = "Latin-1"
)

// sniffBytes is how far marks, zeros and line ends are looked for.
const sniffBytes = 4096

// Open returns src as UTF-8 with lines that end in "\n" or "\r\n", and the
// name of its encoding. Latin-1 is told from UTF-8 later, by the whole head.
func Open(src io.Reader) (io.Reader, string, error) {
	head, rest, err := peek(src)
	if err != nil {
		return nil, "", err
	}
	name := UTF8
	var from encoding.Encoding
	switch zeros := zeroBytes(head); {
	case bytes.HasPrefix(head, []byte("\xef\xbb\xbf")):
		head = head[3:]
	case bytes.HasPrefix(head, []byte("\xff\xfe")), zeros[1] > len(head)/4 && zeros[0] == 0:
		name, from = "UTF-16", unicode.UTF16(unicode.LittleEndian, unicode.UseBOM)
	case bytes.HasPrefix(head, []byte("\xfe\xff")), zeros[0] > len(head)/4 && zeros[1] == 0:
		name, from = "UTF-16", unicode.UTF16(unicode.BigEndian, unicode.UseBOM)
	}
	text := io.MultiReader(bytes.NewReader(head), rest)
	if from != nil {
		if head, rest, err = peek(transform.NewReader(text, from.NewDecoder())); err != nil {
			return nil, "", err
		}
		text = io.MultiReader(bytes.NewReader(head), rest)
	}
	if bytes.IndexByte(head, '\n') < 0 && bytes.IndexByte(bytes.TrimRight(head, "\r"), '\r') >= 0 {
		text = &carriageReturns{text}
	}
	return text, name, nil
}

func peek(src io.Reader) (head []byte, rest io.Reader, err error) {
	head = make([]byte, sniffBytes)
	n, err := io.ReadFull(src, head)
	if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
		// The source itself tells, when it is read on, which of both it was.
		err = nil
	}
	return head[:n], src, err
}

// zeroBytes counts the zero bytes at even and at odd places.
func zeroBytes(text []byte) (n [2]int) {
	for i := bytes.IndexByte(text, 0); i >= 0 && i < len(text); i++ {
		if text[i] == 0 {
			n[i&1]++
		}
	}
	return n
}

// carriageReturns ends lines in "\n" where the file ends them in "\r".
type carriageReturns struct{ src io.Reader }

func (c *carriageReturns) Read(p []byte) (int, error) {
	n, err := c.src.Read(p)
	for i, b := range p[:n] {
		if b == '\r' {
			p[i] = '\n'
		}
	}
	return n, err
}

// IsLatin1 reports whether text, which is not UTF-8, reads as Latin-1 or
// Windows-1252. Text with a byte that neither of them has, or with the ÿ that
// no logger writes and broken files do, is broken.
func IsLatin1(text []byte) bool {
	for _, c := range text {
		switch c {
		case 0x00, 0x81, 0x8d, 0x8f, 0x90, 0x9d, 0xff:
			return false
		}
	}
	return true
}

// IsUTF8 is utf8.Valid for a text that may end within a character.
func IsUTF8(text []byte) bool {
	for i := len(text) - 1; i >= 0 && i >= len(text)-utf8.UTFMax; i-- {
		if utf8.RuneStart(text[i]) {
			if !utf8.FullRune(text[i:]) {
				text = text[:i]
			}
			break
		}
	}
	return utf8.Valid(text)
}

func IsASCII(text []byte) bool {
	for _, c := range text {
		if c >= utf8.RuneSelf {
			return false
		}
	}
	return true
}

func FromLatin1(text []byte) []byte {
	out, _ := charmap.Windows1252.NewDecoder().Bytes(text) // every byte stands for something
	return out
}

func Latin1Reader(src io.Reader) io.Reader {
	return transform.NewReader(src, charmap.Windows1252.NewDecoder())
}
