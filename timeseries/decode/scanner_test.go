package decode

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"reflect"
	"strconv"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/ecovolt/telemetryd/timeseries/record"
)

// scanWhole scans text as one value, as it would stand in a record.
func scanWhole(text []byte) (reason string, err error) {
	// A byte after the value tells a number that it is at its end.
	s := scanner{buf: append(bytes.Clone(text), ' ')}
	_, reason, err = s.value()
	if err == nil && (s.space() != 0 || s.pos < len(s.buf)) {
		err = errSyntax
	}
	return reason, err
}

func depth(text []byte) (most int) {
	d := 0
	for _, c := range text {
		switch c {
		case '[', '{':
			d++
			most = max(most, d)
		case ']', '}':
			d--
		}
	}
	return most
}

// The scanner must take what encoding/json takes, and nothing else but the
// words NaN and Infinity, for which it has a reason of its own.
func FuzzScannerValidity(f *testing.F) {
	for _, text := range []string{
		`{"a":[1,-2.5e-3,"x\u00e9\ud83d\ude00\n",true,false,null,{}]}`, `"\ud800"`, `"\u0000"`, `[NaN,-Infinity]`, `01`, `-`, `1.`, `.5`, `1e`, `1e+`,
		`[1,]`, `{"a":1,}`, `{"a"}`, `"\x"`, "\"\x01\"", "\"\xff\"", `tru`, `nulll`, ` `, ``, `1e999`, `[[[[]]]]`, `"abc`, `{"":""}`, `-0`, `-0.0e-0`, `1 2`,
	} {
		f.Add([]byte(text))
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		if depth(text) > maxNesting {
			return
		}
		reason, err := scanWhole(text)
		if bytes.Contains(text, []byte("NaN")) || bytes.Contains(text, []byte("Infinity")) {
			return
		}
		if valid := json.Valid(text); valid != (err == nil) {
			t.Fatalf("%q: valid is %v, the scanner says %v", text, valid, err)
		}
		if err != nil {
			return
		}
		if reason == "" && !utf8.Valid(text) {
			t.Fatalf("%q is not UTF-8 and was let through", text)
		}
		if reason == "" && bytes.Contains(text, []byte(`\u0000`)) && !bytes.Contains(text, []byte(`\\u0000`)) {
			t.Fatalf("%q holds a NUL and was let through", text)
		}
	})
}

// Strings are read as encoding/json reads them, and written so that it reads them back.
func FuzzScannerString(f *testing.F) {
	for _, text := range []string{`"plain"`, `"\"\\\/\b\f\n\r\t"`, `"\u00e9\u20ac\ud83d\ude00"`, `"é€😀"`, `"\ud83d"`, `"\ude00\ud83d"`, `"\u0000"`} {
		f.Add([]byte(text))
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		var want string
		if len(text) == 0 || text[0] != '"' || json.Unmarshal(text, &want) != nil {
			return
		}
		s := scanner{buf: text}
		got, err := s.str()
		if err != nil {
			t.Fatalf("%q: %v", text, err)
		}
		if record.TextProblem(got) != "" { // broken UTF-8, lone surrogates, NUL: encoding/json replaces or keeps these
			if utf8.Valid(text) && !strings.ContainsRune(want, utf8.RuneError) && !strings.ContainsRune(want, 0) {
				t.Fatalf("%q was refused: %s", text, record.TextProblem(got))
			}
			return
		}
		if string(got) != want {
			t.Fatalf("%q is read as %q, want %q", text, got, want)
		}
		var again string
		if err := json.Unmarshal(record.AppendJSONString(nil, got), &again); err != nil || again != want {
			t.Fatalf("%q is written as %s", want, record.AppendJSONString(nil, got))
		}
	})
}

func checkNumber(t *testing.T, text string) {
	t.Helper()
	want, rangeErr := strconv.ParseFloat(text, 64)
	s := scanner{buf: []byte(text + ",")}
	got, ok, err := s.number()
	if err != nil || s.pos != len(text) {
		t.Fatalf("%q: read to %d, %v", text, s.pos, err)
	}
	if ok != (rangeErr == nil) {
		t.Fatalf("%q: finite is %v, want %v", text, ok, rangeErr)
	}
	if ok && math.Float64bits(got) != math.Float64bits(want) {
		t.Fatalf("%q: %x, want %x", text, math.Float64bits(got), math.Float64bits(want))
	}
	cell, ok := parseCell([]byte(text))
	if ok != (rangeErr == nil) || ok && math.Float64bits(cell) != math.Float64bits(want) {
		t.Fatalf("cell %q: %v %v, want %v", text, cell, ok, want)
	}
}

// Numbers are read bit for bit as strconv reads them, on the fast way and the slow one.
func TestNumbersBitForBit(t *testing.T) {
	t.Parallel()
	random := rand.New(rand.NewPCG(5, 6))
	for _, text := range []string{"0", "-0", "0.0", "-0.0", "5e-324", "4.9e-324", "2.2250738585072011e-308", "1.7976931348623157e308", "1.7976931348623159e308",
		"999999999999999", "9999999999999999", "0.000000000000001", "123456789012345.5", "0.6000000000000001", "9007199254740993", "1e400", "-1e400", "1e-400", "1E5", "1e+05"} {
		checkNumber(t, text)
	}
	for range 200_000 {
		var text string
		switch random.IntN(4) {
		case 0: // any float in its shortest form
			v := math.Float64frombits(random.Uint64())
			if math.IsNaN(v) || math.IsInf(v, 0) {
				continue
			}
			text = string(record.AppendJSONFloat(nil, v))
		case 1: // a decimal around the limits of the fast way
			text = strconv.FormatFloat(random.Float64()*math.Pow10(random.IntN(18)), 'f', random.IntN(18), 64)
		case 2: // digits
			text = strconv.FormatUint(random.Uint64()>>random.IntN(64), 10) + "." + fmt.Sprintf("%0*d", 1+random.IntN(18), random.Uint32())
		default:
			text = strconv.Itoa(random.IntN(1000)) + "e" + strconv.Itoa(random.IntN(700)-350)
		}
		if random.IntN(3) == 0 && text[0] != '-' {
			text = "-" + text
		}
		checkNumber(t, text)
	}
}

func FuzzNumber(f *testing.F) {
	for _, text := range []string{"0", "-1.5", "1e308", "123456789.123456789", "00", "1.e5"} {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		if json.Valid([]byte(text)) && len(text) > 0 && (text[0] == '-' || text[0]-'0' <= 9) && strings.TrimSpace(text) == text {
			checkNumber(t, text)
		}
	})
}

// As long as a value is cut short, the scanner asks for more; it never takes
// the first part of a value for the whole.
func TestScannerWantsTheWholeValue(t *testing.T) {
	t.Parallel()
	const whole = ` {"a" : [ 1.25e+3 , -0.5, "x\u00e9\ud83d\ude00\n\"" , true,false,null,NaN,-Infinity, {} , [] ] } `
	for cut := range len(whole) - 2 {
		s := scanner{buf: []byte(whole[:cut])}
		if _, _, err := s.value(); !errors.Is(err, errShort) {
			t.Errorf("after %q: %v", whole[:cut], err)
		}
	}
	s := scanner{buf: []byte(whole)}
	if _, reason, err := s.value(); err != nil || reason != "holds a number that is not finite" {
		t.Errorf("whole: %q, %v", reason, err)
	}
}

func TestNesting(t *testing.T) {
	t.Parallel()
	for n, good := range map[int]bool{maxNesting: true, maxNesting + 1: true, maxNesting + 2: false, 100_000: false} {
		text := strings.Repeat("[", n) + strings.Repeat("]", n)
		if _, err := scanWhole([]byte(text)); (err == nil) != good {
			t.Errorf("%d levels: %v", n, err)
		}
	}
	endless := strings.Repeat(`{"a":`, 1_000_000)
	s := scanner{buf: []byte(endless)}
	if _, _, err := s.value(); !errors.Is(err, errSyntax) || s.pos > 1000 {
		t.Errorf("read to byte %d of endless nesting: %v", s.pos, err)
	}
}

func TestTagged(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]any{
		`{"$float":"AAAAAAAA+H8="}`:         math.NaN(),
		`{"$float":"AAAAAAAA8D8="}`:         1.0,
		` { "$float" : "AAAAAAAA8L8=" } `:   -1.0,
		`{"$integer":"//////////8="}`:       -1.0,
		`{"$integer":"AQAAAAAAAAA="}`:       1.0,
		`{"$integer":"AQAAAAAA"}`:           nil,
		`{"$integer":"AQAAAAAAAAAAAAAA"}`:   nil,
		`{"$float":1}`:                      nil,
		`{"$float":"AAAAAAAA8D8=","b":1}`:   nil,
		`{"$bytes":"AAAAAAAA8D8="}`:         nil,
		`{}`:                                nil,
		`{"$float":"AAAAAAAA8D8=AAAAAAAA"}`: nil,
	} {
		v, ok := tagged([]byte(text))
		var got any
		if ok {
			got = v
		}
		if f, isFloat := want.(float64); isFloat && math.IsNaN(f) {
			if !ok || !math.IsNaN(v) {
				t.Errorf("%s: %v %v", text, v, ok)
			}
			continue
		}
		if !reflect.DeepEqual(got, want) {
			t.Errorf("%s: %v, want %v", text, got, want)
		}
	}
}

func TestStorableNumber(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]bool{
		"1": true, "1e308": true, "1e-400": true, "1e-20000": false, "0." + strings.Repeat("0", 2000) + "1": false, "1E99999999999999999999": false,
	} {
		if _, got := storableNumber([]byte(text)); got != want {
			t.Errorf("%.30s: %v", text, got)
		}
	}
}

// What a record takes where its numbers are written out is bounded, too.
func TestNumbersWrittenOut(t *testing.T) {
	t.Parallel()
	record := func(n int) string {
		return `{"session_id":"s","timestamp":"2026-03-21T21:41:10Z","note":[` + strings.Repeat("1e308,", n) + `1]}`
	}
	for n, want := range map[int]int{10_000: 1, 30_000: 0} {
		b := NewBatch()
		err := New(strings.NewReader(record(n)+"\n"+record(1)), Options{}).Next(b, 10)
		if b.Len() != want+1 || want == 0 && !strings.Contains(fmt.Sprint(b.Err()), "written out") {
			t.Errorf("%d numbers: %d records, %v, %v", n, b.Len(), err, b.Err())
		}
		b.Release()
	}
}
