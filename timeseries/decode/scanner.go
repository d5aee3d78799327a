package decode

import (
	"bytes"
	"encoding/base64"
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	"strconv"
	"strings"
	"unicode/utf16"
	"unicode/utf8"
	"unsafe"

	"github.com/ecovolt/telemetryd/timeseries/record"
)

// A scanner reads JSON text in place, without building values: telemetry
// records are decoded straight into a Batch, which no general decoder can do.
type scanner struct {
	buf []byte
	pos int
	tmp []byte // unescaped text of the string read last
	// grown is by how many bytes the numbers of values are longer as the database
	// writes them, without exponents.
	grown int
}

// errShort says that the text ends inside a value: more input may complete it.
var errShort = errors.New("the JSON text ends too early")

// errSyntax is wrapped by every other failure of the scanner.
var errSyntax = errors.New("not valid JSON")

func (s *scanner) syntax(format string, args ...any) error {
	return fmt.Errorf("%w at byte %d: %s", errSyntax, s.pos, fmt.Sprintf(format, args...))
}

// space skips white space and returns the next byte, or 0 at the end.
func (s *scanner) space() byte {
	for s.pos < len(s.buf) {
		switch c := s.buf[s.pos]; c {
		case ' ', '\t', '\n', '\r':
			s.pos++
		default:
			return c
		}
	}
	return 0
}

// expect consumes c after white space.
func (s *scanner) expect(c byte) error {
	switch got := s.space(); {
	case got == c:
		s.pos++
		return nil
	case s.pos >= len(s.buf):
		return errShort
	default:
		return s.syntax("found %q where %q belongs", got, c)
	}
}

// str reads a string. The result is valid until the next call. A string that
// JSON allows but UTF-8 does not (broken bytes, lone surrogates) is returned
// with broken bytes, so that the caller's check of the text finds it.
func (s *scanner) str() ([]byte, error) {
	if err := s.expect('"'); err != nil {
		return nil, err
	}
	start := s.pos
	for i := start; i < len(s.buf); i++ {
		switch c := s.buf[i]; {
		case c == '"':
			s.pos = i + 1
			return s.buf[start:i], nil
		case c == '\\':
			s.pos = i
			return s.escaped(start)
		case c < 0x20:
			s.pos = i
			return nil, s.syntax("control character in a string")
		}
	}
	return nil, errShort
}

// escaped goes on with a string from its first backslash.
func (s *scanner) escaped(start int) ([]byte, error) {
	out := append(s.tmp[:0], s.buf[start:s.pos]...)
	defer func() { s.tmp = out }()
	for s.pos < len(s.buf) {
		c := s.buf[s.pos]
		s.pos++
		switch {
		case c == '"':
			return out, nil
		case c < 0x20:
			return nil, s.syntax("control character in a string")
		case c != '\\':
			out = append(out, c)
			continue
		}
		if s.pos >= len(s.buf) {
			return nil, errShort
		}
		e := s.buf[s.pos]
		s.pos++
		switch e {
		case '"', '\\', '/':
			out = append(out, e)
		case 'b':
			out = append(out, '\b')
		case 'f':
			out = append(out, '\f')
		case 'n':
			out = append(out, '\n')
		case 'r':
			out = append(out, '\r')
		case 't':
			out = append(out, '\t')
		case 'u':
			r, err := s.hex4()
			if err != nil {
				return nil, err
			}
			if utf16.IsSurrogate(r) {
				r, err = s.lowSurrogate(r)
				if err != nil {
					return nil, err
				}
			}
			if r < 0 {
				out = append(out, 0xff) // never valid UTF-8: the text check reports it
				continue
			}
			out = utf8.AppendRune(out, r)
		default:
			return nil, s.syntax("unknown escape \\%c", e)
		}
	}
	return nil, errShort
}

func (s *scanner) hex4() (rune, error) {
	if s.pos+4 > len(s.buf) {
		return 0, errShort
	}
	v, err := strconv.ParseUint(string(s.buf[s.pos:s.pos+4]), 16, 16)
	if err != nil {
		return 0, s.syntax("bad \\u escape")
	}
	s.pos += 4
	return rune(v), nil
}

// lowSurrogate completes a surrogate pair; it is -1 for a lone surrogate.
func (s *scanner) lowSurrogate(high rune) (rune, error) {
	if s.pos+6 > len(s.buf) && s.pos+1 < len(s.buf) && s.buf[s.pos] == '\\' && s.buf[s.pos+1] == 'u' {
		return 0, errShort
	}
	if s.pos+6 > len(s.buf) || s.buf[s.pos] != '\\' || s.buf[s.pos+1] != 'u' {
		return -1, nil
	}
	mark := s.pos
	s.pos += 2
	low, err := s.hex4()
	if err != nil {
		return 0, err
	}
	if r := utf16.DecodeRune(high, low); r != utf8.RuneError {
		return r, nil
	}
	s.pos = mark
	return -1, nil
}

// number reads a number token. Python writes NaN and Infinity where JSON has
// no such thing; ok is false for them, so that the caller can name the field.
func (s *scanner) number() (v float64, ok bool, err error) {
	start := s.pos
	i := start
	neg := false
	if i < len(s.buf) && s.buf[i] == '-' {
		neg = true
		i++
	}
	for _, word := range [...]string{"NaN", "Infinity"} {
		if len(s.buf)-i >= len(word) && string(s.buf[i:i+len(word)]) == word {
			s.pos = i + len(word)
			return 0, false, nil
		}
		if i < len(s.buf) && strings.HasPrefix(word, string(s.buf[i:min(len(s.buf), i+len(word))])) {
			return 0, false, errShort
		}
	}
	// Most numbers are short decimals: with at most 15 digits and a power of
	// ten up to 22 both parts are exact in a float64, and so is one division.
	var mantissa uint64
	digitCount, scale := 0, 0
	intStart := i
	for i < len(s.buf) && s.buf[i]-'0' <= 9 {
		mantissa = mantissa*10 + uint64(s.buf[i]-'0')
		i++
	}
	digitCount = i - intStart
	if i < len(s.buf) && (digitCount == 0 || digitCount > 1 && s.buf[intStart] == '0') {
		s.pos = i
		return 0, false, s.syntax("not a value")
	}
	if i < len(s.buf) && s.buf[i] == '.' {
		i++
		fracStart := i
		for i < len(s.buf) && s.buf[i]-'0' <= 9 {
			mantissa = mantissa*10 + uint64(s.buf[i]-'0')
			i++
		}
		scale = i - fracStart
		digitCount += scale
		if scale == 0 && i < len(s.buf) {
			s.pos = i
			return 0, false, s.syntax("a digit must follow the point")
		}
	}
	simple := digitCount <= 15
	if i < len(s.buf) && (s.buf[i] == 'e' || s.buf[i] == 'E') {
		simple = false
		i++
		if i < len(s.buf) && (s.buf[i] == '+' || s.buf[i] == '-') {
			i++
		}
		expStart := i
		for i < len(s.buf) && s.buf[i]-'0' <= 9 {
			i++
		}
		if i == expStart && i < len(s.buf) {
			s.pos = i
			return 0, false, s.syntax("a digit must follow the exponent")
		}
	}
	if i >= len(s.buf) {
		return 0, false, errShort // a longer number may follow
	}
	s.pos = i
	if simple {
		v = float64(mantissa) / powersOfTen[scale]
		if neg {
			v = -v
		}
		return v, true, nil
	}
	token := s.buf[start:i]
	v, err = strconv.ParseFloat(unsafe.String(&token[0], len(token)), 64)
	if err != nil { // only "out of range" is left
		return 0, false, nil
	}
	return v, true, nil
}

var powersOfTen = [...]float64{1, 1e1, 1e2, 1e3, 1e4, 1e5, 1e6, 1e7, 1e8, 1e9, 1e10, 1e11, 1e12, 1e13, 1e14, 1e15}

// storableNumber reports whether jsonb can hold the number, which it keeps digit
// by digit, and by how much longer it is there. PostgreSQL's own bounds are near
// 130,000 digits before the point and 16,000 behind it; nobody measures anything
// with a thousand.
func storableNumber(token []byte) (grown int, ok bool) {
	const most = 1000
	if len(token) > most {
		return 0, false
	}
	i := bytes.IndexAny(token, "eE")
	if i < 0 {
		return 0, true
	}
	exponent, err := strconv.Atoi(string(token[i+1:]))
	return max(exponent, -exponent), err == nil && exponent > -most && exponent < most
}

// literal consumes true, false or null.
func (s *scanner) literal() (string, error) {
	for _, word := range [...]string{"null", "true", "false"} {
		if s.buf[s.pos] != word[0] {
			continue
		}
		if len(s.buf)-s.pos < len(word) {
			return "", errShort
		}
		if string(s.buf[s.pos:s.pos+len(word)]) == word {
			s.pos += len(word)
			return word, nil
		}
	}
	return "", s.syntax("not a value")
}

// value skips one value of any kind and returns its text. reason is not empty
// when the value is JSON but cannot be stored.
func (s *scanner) value() (raw []byte, reason string, err error) {
	if s.space() == 0 && s.pos >= len(s.buf) {
		return nil, "", errShort
	}
	start := s.pos
	reason, err = s.skip(0)
	if err != nil {
		return nil, "", err
	}
	return s.buf[start:s.pos], reason, nil
}

func (s *scanner) skip(depth int) (reason string, err error) {
	if depth > maxNesting {
		return "", s.syntax("nested deeper than %d levels", maxNesting)
	}
	note := func(r string) {
		if reason == "" {
			reason = r
		}
	}
	switch c := s.space(); {
	case s.pos >= len(s.buf):
		return "", errShort
	case c == '"':
		text, err := s.str()
		if err != nil {
			return "", err
		}
		return record.TextProblem(text), nil
	case c == '{':
		s.pos++
		if s.space() == '}' {
			s.pos++
			return "", nil
		}
		for {
			name, err := s.str()
			if err != nil {
				return "", err
			}
			note(record.TextProblem(name))
			if err := s.expect(':'); err != nil {
				return "", err
			}
			r, err := s.skip(depth + 1)
			if err != nil {
				return "", err
			}
			note(r)
			if more, err := s.more('}'); err != nil || !more {
				return reason, err
			}
		}
	case c == '[':
		s.pos++
		if s.space() == ']' {
			s.pos++
			return "", nil
		}
		for {
			r, err := s.skip(depth + 1)
			if err != nil {
				return "", err
			}
			note(r)
			if more, err := s.more(']'); err != nil || !more {
				return reason, err
			}
		}
	case c == '-' || c == 'N' || c == 'I' || c-'0' <= 9:
		start := s.pos
		_, ok, err := s.number()
		switch {
		case err != nil:
			return "", err
		case !ok:
			return "holds a number that is not finite", nil
		}
		grown, ok := storableNumber(s.buf[start:s.pos])
		if s.grown += grown; !ok {
			return "holds a number with too many digits", nil
		}
		return "", nil
	default:
		_, err := s.literal()
		return "", err
	}
}

// more consumes a comma (true) or the closing byte (false).
func (s *scanner) more(closing byte) (bool, error) {
	switch c := s.space(); {
	case s.pos >= len(s.buf):
		return false, errShort
	case c == ',':
		s.pos++
		return true, nil
	case c == closing:
		s.pos++
		return false, nil
	default:
		return false, s.syntax("found %q where a comma or %q belongs", c, closing)
	}
}

// tagged reads the Convex wire form of special numbers: {"$float": base64} and
// {"$integer": base64} hold eight little-endian bytes. ok is false for any other value.
func tagged(raw []byte) (v float64, ok bool) {
	s := scanner{buf: raw}
	if s.expect('{') != nil {
		return 0, false
	}
	key, err := s.str()
	if err != nil || string(key) != "$float" && string(key) != "$integer" {
		return 0, false
	}
	integer := string(key) == "$integer"
	if s.expect(':') != nil {
		return 0, false
	}
	text, err := s.str()
	if err != nil || s.expect('}') != nil {
		return 0, false
	}
	var bits [9]byte
	n, err := base64.StdEncoding.Decode(bits[:], text[:min(len(text), 12)])
	if err != nil || n != 8 || len(text) != 12 {
		return 0, false
	}
	u := binary.LittleEndian.Uint64(bits[:8])
	if integer {
		return float64(int64(u)), true
	}
	return math.Float64frombits(u), true
}
