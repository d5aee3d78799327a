package decode

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math"
	"strings"
	"testing"
	"testing/iotest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/ecovolt/telemetryd/internal/fault"
	"github.com/ecovolt/telemetryd/timeseries/channel"
	"github.com/ecovolt/telemetryd/timeseries/record"
)

var testNow = time.Date(2026, 3, 22, 0, 0, 0, 0, time.UTC)

// flat returns the good records of a batch in the form that encoding/json reads
// records in.
func flat(b *Batch) []map[string]any {
	all := []map[string]any{}
	for i := range b.Len() {
		v := b.Record(i)
		members := map[string]any{"session_id": b.Sessions()[b.Session(i)], "timestamp": string(record.AppendTimestamp(nil, v.Micros))}
		if len(v.TimeText) > 0 {
			members["timestamp"] = string(v.TimeText)
		}
		if len(v.Extra) > 0 {
			var extra map[string]any
			if err := json.Unmarshal(v.Extra, &extra); err != nil {
				panic(err)
			}
			for name, value := range extra {
				members[name] = value
			}
		}
		for c, ch := range channel.All {
			if !v.Present.Has(c) {
				continue
			}
			switch ch.Type {
			case channel.Float:
				members[ch.Name] = math.Float64frombits(v.Values[c])
			case channel.Int:
				members[ch.Name] = float64(int64(v.Values[c]))
			case channel.Text:
				members[ch.Name] = string(v.Bytes(c))
			case channel.JSON:
				var value any
				if err := json.Unmarshal(v.Bytes(c), &value); err != nil {
					panic(err)
				}
				members[ch.Name] = value
			}
		}
		all = append(all, members)
	}
	return all
}

// readAll decodes a stream to its end, chunk by chunk, into one batch.
func readAll(src io.Reader, opt Options, chunk int) (*Batch, error) {
	opt.Now = testNow
	dec := New(src, opt)
	whole := new(Batch)
	whole.Reset()
	for {
		err := dec.Next(whole, whole.Len()+whole.Rejected()+chunk)
		if err == io.EOF {
			return whole, nil
		}
		if err != nil {
			return whole, err
		}
	}
}

func reasons(problems []fault.Problem) string {
	var list []string
	for _, p := range problems {
		list = append(list, p.String())
	}
	return strings.Join(list, "\n")
}

const at = `"session_id":"s","timestamp":"2026-03-21T21:41:10+00:00"`

func TestGoodRecords(t *testing.T) {
	t.Parallel()
	base := map[string]any{"session_id": "s", "timestamp": "2026-03-21T21:41:10+00:00"}
	for _, test := range []struct {
		members string
		want    map[string]any
	}{
		{``, nil},
		{`,"speed_ms":1.5,"message_id":7`, map[string]any{"speed_ms": 1.5, "message_id": 7.0}},
		{`,"speed_ms":1,"message_id":7.0`, map[string]any{"speed_ms": 1.0, "message_id": 7.0}},
		{`,"message_id":-9007199254740991`, map[string]any{"message_id": -9007199254740991.0}},
		{`,"message_id":{"$integer":"BwAAAAAAAAA="},"speed_ms":{"$float":"AAAAAAAA8D8="}`, map[string]any{"message_id": 7.0, "speed_ms": 1.0}},
		{`,"speed_ms":null,"session_name":null,"outliers":null,"what":null`, nil},
		{`,"speed_ms":1,"speed_ms":null`, nil},
		{`,"speed_ms":1,"speed_ms":2`, map[string]any{"speed_ms": 2.0}},
		{`,"altitude":3`, map[string]any{"altitude_m": 3.0}},
		{`,"altitude":3,"altitude_m":4`, map[string]any{"altitude_m": 4.0}},
		{`,"altitude_m":4,"altitude":3`, map[string]any{"altitude_m": 4.0}},
		{`,"_id":"1.2.3","_creationTime":12.5`, nil},
		{`,"g_lat":0.25,"pit":{"stop":[1,2]},"note":"é\n","ok":true`, map[string]any{"g_lat": 0.25, "pit": map[string]any{"stop": []any{1.0, 2.0}}, "note": "é\n", "ok": true}},
		{`,"outliers":{"flagged_fields":["speed_ms"],"severity":"info"}`, map[string]any{"outliers": map[string]any{"flagged_fields": []any{"speed_ms"}, "severity": "info"}}},
		{`,"outliers":"any","optimal_speed_range":[1]`, map[string]any{"outliers": "any", "optimal_speed_range": []any{1.0}}},
		{`,"session_name":"\u00dcb\ud83d\ude00","driver_mode":""`, map[string]any{"session_name": "Üb😀", "driver_mode": ""}},
		{`,"timestamp":"2026-03-21T21:41:11.5Z"`, map[string]any{"timestamp": "2026-03-21T21:41:11.5Z"}},
		{`,"timestamp":"2000-01-02T00:00:00Z"`, map[string]any{"timestamp": "2000-01-02T00:00:00Z"}},
		{`,"timestamp":"2026-03-23T00:00:00+00:00"`, map[string]any{"timestamp": "2026-03-23T00:00:00+00:00"}}, // a day ahead
		{`,"session_id":""`, map[string]any{"session_id": ""}},
	} {
		want := map[string]any{}
		for _, part := range []map[string]any{base, test.want} {
			for name, value := range part {
				want[name] = value
			}
		}
		b, err := readAll(strings.NewReader(`{`+at+test.members+`}`), Options{}, 100)
		if err != nil || b.Rejected() > 0 {
			t.Errorf("%s: %v, %s", test.members, err, reasons(b.Problems()))
			continue
		}
		if diff := cmp.Diff([]map[string]any{want}, flat(b)); diff != "" {
			t.Errorf("%s: (-want +got)\n%s", test.members, diff)
		}
	}
}

func TestBadRecords(t *testing.T) {
	t.Parallel()
	for _, test := range []struct{ record, want string }{
		{`{"timestamp":"2026-03-21T21:41:10Z"}`, "record 1, field session_id: is missing"},
		{`{"session_id":null,"timestamp":"2026-03-21T21:41:10Z"}`, "record 1, field session_id: is missing"},
		{`{"session_id":"s"}`, "record 1, field timestamp: is missing"},
		{`{"session_id":5,"timestamp":"2026-03-21T21:41:10Z"}`, "record 1, field session_id: is a number, not text"},
		{`{"session_id":"s","timestamp":1742593270}`, "record 1, field timestamp: is a number, not text"},
		{`{"session_id":"` + strings.Repeat("x", 10_000) + `","timestamp":"2026-03-21T21:41:10Z"}`, "record 1, field session_id: is 10000 bytes long; at most 256 are allowed"},
		{`{"session_id":"a\u0000b","timestamp":"2026-03-21T21:41:10Z"}`, "record 1, field session_id: holds a NUL character, which cannot be stored"},
		{`{"session_id":"a\nb","timestamp":"2026-03-21T21:41:10Z"}`, "record 1, field session_id: holds a control character"},
		{`{` + at + `,"speed_ms":"12"}`, "record 1, field speed_ms: is text, not a number"},
		{`{` + at + `,"speed_ms":true}`, "record 1, field speed_ms: is a boolean, not a number"},
		{`{` + at + `,"speed_ms":{}}`, "record 1, field speed_ms: is an object, not a number"},
		{`{` + at + `,"speed_ms":[1]}`, "record 1, field speed_ms: is an array, not a number"},
		{`{` + at + `,"speed_ms":NaN}`, "record 1, field speed_ms: is not a finite number"},
		{`{` + at + `,"speed_ms":-Infinity}`, "record 1, field speed_ms: is not a finite number"},
		{`{` + at + `,"speed_ms":1e999}`, "record 1, field speed_ms: is not a finite number"},
		{`{` + at + `,"speed_ms":-1.1e100}`, "record 1, field speed_ms: is out of range"},
		{`{` + at + `,"speed_ms":{"$float":"AAAAAAAA+H8="}}`, "record 1, field speed_ms: is not a finite number"},
		{`{` + at + `,"message_id":1.5}`, "record 1, field message_id: is not a whole number between -2^53 and 2^53"},
		{`{` + at + `,"message_id":9007199254740993}`, "record 1, field message_id: is not a whole number between -2^53 and 2^53"},
		{`{` + at + `,"message_id":"7"}`, "record 1, field message_id: is text, not an integer"},
		{`{` + at + `,"session_name":5}`, "record 1, field session_name: is a number, not text"},
		{`{` + at + `,"session_name":"a\u0000"}`, "record 1, field session_name: holds a NUL character, which cannot be stored"},
		{`{` + at + `,"session_name":"` + "\xff" + `"}`, "record 1, field session_name: is not valid UTF-8"},
		{`{` + at + `,"session_name":"\ud800"}`, "record 1, field session_name: is not valid UTF-8"},
		{`{` + at + `,"session_name":"` + strings.Repeat("x", maxTextBytes+1) + `"}`, "record 1, field session_name: is 65537 bytes long; at most 65536 are allowed"},
		{`{` + at + `,"outliers":{"a":"\u0000"}}`, "record 1, field outliers: holds a NUL character, which cannot be stored"},
		{`{` + at + `,"outliers":{"a":NaN}}`, "record 1, field outliers: holds a number that is not finite"},
		{`{` + at + `,"outliers":{"a":1e-20000}}`, "record 1, field outliers: holds a number with too many digits"},
		{`{` + at + `,"what":"` + "\xff" + `"}`, "record 1, field what: is not valid UTF-8"},
		{`{` + at + `,"wh\u0000at":1}`, "record 1, field wh\x00at: the name holds a NUL character, which cannot be stored"},
		{`{` + at + `,"` + strings.Repeat("n", 300) + `":1}`, "record 1, field " + strings.Repeat("n", 80) + "...: the name is 300 bytes long; at most 256 are allowed"},
		{`5`, "record 1: is a number, not an object"},
		{`"text"`, "record 1: is text, not an object"},
		{`null`, "record 1: is null, not an object"},
		{`[]`, "record 1: is an array, not an object"},
	} {
		good := `{` + at + `}`
		for form, text := range map[string]string{
			"array": "[" + good + "," + test.record + "," + good + "]", "NDJSON": good + "\n" + test.record + "\n" + good + "\n",
		} {
			b, err := readAll(strings.NewReader(text), Options{}, 100)
			if err != nil || b.Len() != 2 || b.Rejected() != 1 {
				t.Errorf("%s %.100s: %d good, %d bad, %v", form, test.record, b.Len(), b.Rejected(), err)
				continue
			}
			if got := reasons(b.Problems()); got != test.want {
				t.Errorf("%s %.100s:\n got %s\nwant %s", form, test.record, got, test.want)
			}
			if !fault.Is(b.Err(), fault.Invalid) {
				t.Errorf("%s %.100s: %v", form, test.record, b.Err())
			}
		}
	}
}

func TestManyUnknownFields(t *testing.T) {
	t.Parallel()
	text := func(n int) string {
		var b strings.Builder
		b.WriteString("{" + at)
		for i := range n {
			fmt.Fprintf(&b, `,"field%d":%d`, i, i)
		}
		return b.String() + "}"
	}
	b, err := readAll(strings.NewReader(text(record.MaxMembers)), Options{}, 100)
	if err != nil || b.Len() != 1 || len(flat(b)[0]) != record.MaxMembers+2 {
		t.Errorf("at the limit: %d good, %v", b.Len(), err)
	}
	b, err = readAll(strings.NewReader(text(10_000)), Options{}, 100)
	if err != nil || b.Len() != 1 || len(flat(b)[0]) != record.MaxMembers+2 || !strings.HasPrefix(string(b.Record(0).Surplus), `{"field1024":1024,`) {
		t.Errorf("10,000 fields: %d good, %v, %s", b.Len(), err, reasons(b.Problems()))
	}
}

func TestUnreadableText(t *testing.T) {
	t.Parallel()
	good := `{` + at + `}`
	for _, text := range []string{
		"[" + good, "[" + good + ",", "[" + good + ",]", "[" + good + good + "]", "[" + good + "] x", "[" + good + "]" + strings.Repeat(" ", 3*readSize) + "x",
		good + "{", good + "\n" + `{"session_id":`, "{" + at, "{" + at + ",}", "{'session_id':'s'}", "[", "]", "}", `{"a":tru}`, "\x00", "\xff", `{"a":"` + "\n" + `"}`,
		`{"deep":` + strings.Repeat("[", 100) + strings.Repeat("]", 100) + "}", strings.Repeat(`{"deep":`, 1000), strings.Repeat("[", 1000),
		`{"long":"` + strings.Repeat("x", 3*MaxRecordBytes) + `"}`, `{"long":"` + strings.Repeat("x", 3*MaxRecordBytes),
	} {
		b, err := readAll(strings.NewReader(text), Options{}, 100)
		if !fault.Is(err, fault.Invalid) {
			t.Errorf("%.60q: %d good, %v", text, b.Len(), err)
		}
		if strings.HasPrefix(text, "[") && !strings.HasPrefix(text, "[[") && len(text) < 1000 {
			if err := Records([]byte(text), NewBatch(), testNow); !fault.Is(err, fault.Invalid) {
				t.Errorf("Records %.60q: %v", text, err)
			}
		}
	}
	// Longer than a record may be, but readable: bad, and the rest goes on.
	b, err := readAll(strings.NewReader(`{`+at+`,"outliers":"`+strings.Repeat("x", MaxRecordBytes)+`"}`+"\n"+good), Options{}, 100)
	if err != nil || b.Len() != 1 || b.Rejected() != 1 {
		t.Errorf("one record too long: %d good, %d bad, %v", b.Len(), b.Rejected(), err)
	}
}

func TestSkippingWhatCannotBeRead(t *testing.T) {
	t.Parallel()
	good := `{` + at + `}`
	for _, test := range []struct {
		format    Format
		text      string
		good, bad int
	}{
		{FormatJSON, good + "\n{nonsense\n" + good + "\n", 2, 1},
		{FormatJSON, good + "\n{nonsense\n\n\n" + good, 2, 1},
		{FormatJSON, good + "\n" + `{"session_id":"s`, 1, 1},
		{FormatJSON, "x\ny\n\n" + good + "\nz", 1, 3},
		{FormatJSON, good + "\n" + `{"a":` + strings.Repeat("[", 50) + "\n" + good, 2, 1},
		{FormatJSON, good + "\n" + strings.Repeat("x", readSize+5) + "\n" + good, 2, 1},
		{FormatCSV, "session_id,timestamp,speed_ms\ns,2026-03-21T21:41:10Z,1\ns,2026-03-21T21:41:10Z,\"x\"y\ns,2026-03-21T21:41:10Z,3\n", 2, 1},
		{FormatCSV, "session_id,timestamp,speed_ms\ns,2026-03-21T21:41:10Z,1,2\ns,2026-03-21T21:41:10Z\ns,2026-03-21T21:41:10Z,fast\ns,2026-03-21T21:41:10Z,3\n", 1, 3},
		{FormatCSV, "session_id,timestamp,speed_ms\n\"s,2026-03-21T21:41:10Z,1\ns,2026-03-21T21:41:10Z,3", 1, 1},
		{FormatCSV, "session_id,timestamp,speed_ms\n" + strings.Repeat("x", MaxRecordBytes+2*readSize) + "\ns,2026-03-21T21:41:10Z,3", 1, 1},
	} {
		for _, chunk := range []int{1, 100} {
			b, err := readAll(strings.NewReader(test.text), Options{Format: test.format, SkipBad: true}, chunk)
			if err != nil || b.Len() != test.good || b.Rejected() != test.bad || len(b.Problems()) != test.bad {
				t.Errorf("%.80q: %d good, %d bad, %v\n%s", test.text, b.Len(), b.Rejected(), err, reasons(b.Problems()))
			}
		}
	}
}

// sample is the same records in every form in which they can arrive.
var sample = []struct {
	format Format
	text   string
}{
	{FormatJSON, `[{"session_id":"a","timestamp":"2026-03-21T21:41:10.272851+00:00","speed_ms":14.43,"message_id":1,"outliers":{"severity":"info"},"g_lat":0.5,"note":"x, \"y\""},
		{"session_id":"b","timestamp":"2026-03-21T21:41:10.5Z","session_name":"M 233\n","uptime_seconds":0.6000000000000001}]`},
	{FormatJSON, `{"session_id":"a","timestamp":"2026-03-21T21:41:10.272851+00:00","speed_ms":14.43,"message_id":1.0,"outliers":{"severity":"info"},"g_lat":0.5,"note":"x, \"y\""}
		{"session_id":"b","timestamp":"2026-03-21T21:41:10.5Z","session_name":"M 233\n","uptime_seconds":0.6000000000000001}`},
	{FormatJSON, `{"message_id":1,"speed_ms":14.430,"timestamp":"2026-03-21T21:41:10.272851+00:00","g_lat":0.5,"note":"x, \"y\"","session_id":"a","outliers":{"severity":"info"},"voltage_v":null}{"session_name":"M 233\n","uptime_seconds":6.000000000000001E-1,"session_id":"b","timestamp":"2026-03-21T21:41:10.5Z"}`},
	{FormatCSV, "session_id,session_name,timestamp,speed_ms,message_id,outliers,uptime_seconds,g_lat,note\n" +
		"a,,2026-03-21T21:41:10.272851+00:00,14.43,1,\"{\"\"severity\"\":\"\"info\"\"}\",,0.5,\"x, \"\"y\"\"\"\r\nb,\"M 233\n\",2026-03-21T21:41:10.5Z,,,,0.6000000000000001,,\r\n"},
	{FormatCSV, "\xef\xbb\xbfSession,Time,Speed (m/s),msg_id,outliers,uptime,session_name,extra,_id,\n" +
		"a,2026-03-21T21:41:10.272851+00:00,14.43,1.0,\"{\"\"severity\"\":\"\"info\"\"}\",,,\"{\"\"g_lat\"\":0.5,\"\"note\"\":\"\"x, \\\"\"y\\\"\"\"\"}\",9,1\n\nb,2026-03-21T21:41:10.5Z,,,,.6000000000000001,\"M 233\n\",{},9,2"},
}

// The same records give the same batch and the same digests, whatever form
// they came in.
func TestFormsAreOne(t *testing.T) {
	t.Parallel()
	first, err := readAll(strings.NewReader(sample[0].text), Options{}, 100)
	if err != nil || first.Len() != 2 {
		t.Fatalf("%d records, %v, %s", first.Len(), err, reasons(first.Problems()))
	}
	for i, form := range sample {
		b, err := readAll(strings.NewReader(form.text), Options{Format: form.format}, 100)
		if err != nil || b.Rejected() > 0 {
			t.Errorf("form %d: %v, %s", i, err, reasons(b.Problems()))
			continue
		}
		if diff := cmp.Diff(flat(first), flat(b)); diff != "" {
			t.Errorf("form %d: (-first +got)\n%s", i, diff)
		}
		for r := range first.Len() {
			want, got := first.Record(r), b.Record(r)
			if sum(want) != sum(got) || !bytes.Equal(want.AppendCanonical(nil), got.AppendCanonical(nil)) {
				t.Errorf("form %d: the digests of record %d differ", i, r)
			}
		}
	}
}

func sum(v record.Values) [32]byte {
	d := record.NewDigest()
	d.Add(&v)
	return d.Sum()
}

// Wherever a read ends, the records are the same.
func TestReadsOfAnySize(t *testing.T) {
	t.Parallel()
	for i, form := range sample {
		want, err := readAll(strings.NewReader(form.text), Options{Format: form.format}, 100)
		if err != nil {
			t.Fatal(err)
		}
		for name, src := range map[string]io.Reader{
			"one byte": iotest.OneByteReader(strings.NewReader(form.text)), "half": iotest.HalfReader(strings.NewReader(form.text)),
			"data with EOF": iotest.DataErrReader(strings.NewReader(form.text)),
		} {
			b, err := readAll(src, Options{Format: form.format}, 1)
			if err != nil || !cmp.Equal(flat(want), flat(b)) {
				t.Errorf("form %d, %s: %d records, %v", i, name, b.Len(), err)
			}
		}
		_, err = readAll(iotest.TimeoutReader(iotest.OneByteReader(strings.NewReader(form.text))), Options{Format: form.format}, 1)
		if !errors.Is(err, iotest.ErrTimeout) {
			t.Errorf("form %d: a failing source gave %v", i, err)
		}
	}
}

// The decoders' buffers end inside of a record at every place that there is.
func TestRecordsAcrossBuffers(t *testing.T) {
	t.Parallel()
	for i, form := range sample {
		if form.format == FormatCSV {
			continue // package foreign cuts those, and has a test of its own
		}
		want, err := readAll(strings.NewReader(form.text), Options{Format: form.format}, 100)
		if err != nil {
			t.Fatal(err)
		}
		for step := 1; step <= len(form.text)+1; step++ {
			b := new(Batch)
			b.Reset()
			d := &jsonStream{src: strings.NewReader(form.text), step: step}
			d.now = testNow
			err = d.next(b, 100)
			if err != io.EOF || b.Rejected() > 0 {
				t.Fatalf("form %d, step %d: %v, %s", i, step, err, reasons(b.Problems()))
			}
			if diff := cmp.Diff(flat(want), flat(b)); diff != "" {
				t.Fatalf("form %d, step %d: (-want +got)\n%s", i, step, diff)
			}
		}
	}
	// The usual step, with some thousand records, against encoding/json.
	var text strings.Builder
	for i := range 5000 {
		fmt.Fprintf(&text, `{%s,"message_id":%d,"note":"%s"}`+"\n", at, i, strings.Repeat("x", i%301))
	}
	b, err := readAll(strings.NewReader(text.String()), Options{}, 777)
	if err != nil || b.Len() != 5000 {
		t.Fatalf("%d records, %v", b.Len(), err)
	}
	for i, record := range flat(b) {
		if record["message_id"] != float64(i) || len(record["note"].(string)) != i%301 {
			t.Fatalf("record %d: %v", i, record)
		}
	}
}

// A chunk of large records ends early, always at the same record.
func TestChunksAreBoundedInBytes(t *testing.T) {
	t.Parallel()
	record := `{` + at + `,"note":"` + strings.Repeat("x", 200_000) + `"}` + "\n"
	text := strings.Repeat(record, 200)
	var before []int
	for _, src := range []io.Reader{strings.NewReader(text), iotest.HalfReader(strings.NewReader(text))} {
		dec := New(src, Options{Now: testNow})
		var sizes []int
		for err := error(nil); err == nil; {
			b := NewBatch()
			err = dec.Next(b, 5000)
			if b.Memory() > MaxChunkBytes+MaxRecordBytes {
				t.Errorf("a chunk holds %d bytes", b.Memory())
			}
			if err != nil && err != io.EOF {
				t.Fatal(err)
			}
			sizes = append(sizes, b.Len())
			b.Release()
		}
		if before != nil && !cmp.Equal(before, sizes) {
			t.Errorf("chunks of %v records, then of %v", before, sizes)
		}
		before = sizes
	}
	if len(before) < 4 {
		t.Errorf("chunks of %v records", before)
	}
}

// White space, however much, takes no memory.
func TestWhiteSpaceIsFree(t *testing.T) {
	t.Parallel()
	spaces := io.LimitReader(constant(' '), 50<<20)
	dec := &jsonStream{src: io.MultiReader(spaces, strings.NewReader("{"+at+"}"), io.LimitReader(constant('\n'), 50<<20))}
	dec.now = testNow
	b := new(Batch)
	b.Reset()
	if err := dec.next(b, 10); err != io.EOF || b.Len() != 1 {
		t.Errorf("%d records, %v", b.Len(), err)
	}
	if cap(dec.scan.buf) > 4*readSize {
		t.Errorf("the buffer grew to %d bytes", cap(dec.scan.buf))
	}
}

type constant byte

func (c constant) Read(p []byte) (int, error) {
	for i := range p {
		p[i] = byte(c)
	}
	return len(p), nil
}

// What the decoder takes without complaint is what encoding/json reads.
func FuzzDecodeJSON(f *testing.F) {
	for _, form := range sample {
		if form.format == FormatJSON {
			f.Add([]byte(form.text))
		}
	}
	f.Add([]byte(`[{` + at + `,"speed_ms":1e5,"outliers":[null,{"a":1}]}]`))
	f.Fuzz(func(t *testing.T, text []byte) {
		b, err := readAll(iotest.HalfReader(bytes.NewReader(text)), Options{}, 3)
		again, err2 := readAll(bytes.NewReader(text), Options{}, 1000)
		if (err == nil) != (err2 == nil) || b.Len() != again.Len() || b.Rejected() != again.Rejected() {
			t.Fatalf("%q: %d records, %v; then %d, %v", text, b.Len(), err, again.Len(), err2)
		}
		if err != nil {
			return
		}
		var want []map[string]any
		if trimmed := bytes.TrimLeft(text, " \t\r\n"); len(trimmed) > 0 && trimmed[0] == '[' {
			err = json.Unmarshal(text, &want)
		} else {
			dec := json.NewDecoder(bytes.NewReader(text))
			for err == nil {
				var record map[string]any
				if err = dec.Decode(&record); err == nil {
					want = append(want, record)
				}
			}
			if err == io.EOF {
				err = nil
			}
		}
		if b.Rejected() > 0 {
			return
		}
		if err != nil {
			t.Fatalf("%q: encoding/json says %v", text, err)
		}
		if len(want) != b.Len() {
			t.Fatalf("%q: %d records, want %d", text, b.Len(), len(want))
		}
		for i, got := range flat(b) {
			expect := map[string]any{}
			for name, value := range want[i] {
				switch {
				case value == nil || name == "_id" || name == "_creationTime":
				case name == "altitude":
					if want[i]["altitude_m"] == nil {
						expect["altitude_m"] = got["altitude_m"]
					}
				default:
					expect[name] = value
				}
			}
			for name := range got { // written as Convex's tagged numbers, or a repeated name
				if _, isObject := expect[name].(map[string]any); isObject {
					if field, ok := channel.ByName(name); ok && field.Type <= channel.Int {
						expect[name] = got[name]
					}
				}
			}
			if repeated(text) {
				continue
			}
			if diff := cmp.Diff(expect, got); diff != "" {
				t.Fatalf("%q: (-want +got)\n%s", text, diff)
			}
		}
	})
}

// repeated reports whether a name might stand twice in an object, where null
// and the alias of altitude make the outcome depend on the order.
func repeated(text []byte) bool {
	return bytes.Count(text, []byte("null")) > 0 || bytes.Count(text, []byte("altitude")) > 0 || bytes.Contains(text, []byte(`\u`))
}

func TestCSVHeaders(t *testing.T) {
	t.Parallel()
	const when = "2026-03-21T21:41:10Z"
	decode := func(opt Options, lines ...string) (*Batch, error) {
		opt.Format = FormatCSV
		return readAll(strings.NewReader(strings.Join(lines, "\n")), opt, 100)
	}
	for _, test := range []struct {
		header, line string
		opt          Options
		want         map[string]any // besides session_id s and timestamp
	}{
		{"session_id,timestamp,voltage,current,energy,distance,lat,lng,alt", "s," + when + ",1,2,3,4,5,6,7", Options{},
			map[string]any{"voltage_v": 1.0, "current_a": 2.0, "energy_j": 3.0, "distance_m": 4.0, "latitude": 5.0, "longitude": 6.0, "altitude_m": 7.0}},
		{"session_id,timestamp,altitude,total_accel,msg_id,uptime,max_current,s_gyro_x,s_accel_z,lon", "s," + when + ",1,2,3,4,5,6,7,8", Options{},
			map[string]any{"altitude_m": 1.0, "total_acceleration": 2.0, "message_id": 3.0, "uptime_seconds": 4.0, "max_current_a": 5.0, "steering_gyro_x": 6.0, "steering_accel_z": 7.0, "longitude": 8.0}},
		{"Session ID,Timestamp,Speed (m/s),Voltage [V],Gyro X (deg/s)", "s," + when + ",1,2,3", Options{},
			map[string]any{"speed_ms": 1.0, "voltage_v": 2.0, "gyro_x": 3.0}},
		{"session_id,timestamp,altitude,altitude_m", "s," + when + ",1,2", Options{}, map[string]any{"altitude_m": 2.0, "altitude": 1.0}},
		{"session_id,timestamp,lat,latitude", "s," + when + ",1,2", Options{}, map[string]any{"latitude": 2.0, "lat": 1.0}},
		{"session_id,timestamp,avg_power", "s," + when + ",5", Options{}, map[string]any{"avg_power": 5.0, "power_w": 5.0}},
		{"session_id,timestamp,avg_power,power_w", "s," + when + ",5,", Options{}, map[string]any{"avg_power": 5.0}},
		{"session_id,timestamp,,odd name", "s," + when + ",5,6x", Options{}, map[string]any{"odd name": "6x"}},
		{"session_id,timestamp,outliers", "s," + when + ",[object Object]", Options{}, map[string]any{"outliers": "[object Object]"}},
		{"session_id,timestamp,outliers", "s," + when + ",5", Options{}, map[string]any{"outliers": 5.0}},
		{"session_id,timestamp,speed_ms", "s," + when + `," 5 "`, Options{}, map[string]any{"speed_ms": 5.0}},
		{"session_id,timestamp,speed_ms,speed_ms", "s," + when + ",5,6", Options{}, map[string]any{"speed_ms": 5.0, "speed_ms (2)": 6.0}},
		{"session_id,timestamp,odd,odd", "s," + when + ",5,6", Options{}, map[string]any{"odd": 5.0, "odd (2)": 6.0}},
		{"session_id,timestamp,timestamp", "s," + when + ",x", Options{}, map[string]any{"timestamp (2)": "x"}},
		{"session_id,timestamp,speed_ms,voltage_v,odd", "s," + when + ",nan,n/a,-", Options{}, nil},
		{"timestamp,speed_ms", when + ",5", Options{SessionID: "s", SessionName: "N"}, map[string]any{"speed_ms": 5.0, "session_name": "N"}},
		{"session_id,session_name,timestamp", "other,O," + when, Options{SessionID: "s", SessionName: "N"}, map[string]any{"session_name": "N"}},
	} {
		want := map[string]any{"session_id": "s", "timestamp": when}
		for name, value := range test.want {
			want[name] = value
		}
		b, err := decode(test.opt, test.header, test.line)
		if err != nil || b.Rejected() > 0 {
			t.Errorf("%s: %v, %s", test.header, err, reasons(b.Problems()))
			continue
		}
		if diff := cmp.Diff([]map[string]any{want}, flat(b)); diff != "" {
			t.Errorf("%s: (-want +got)\n%s", test.header, diff)
		}
	}
	many := "session_id,timestamp"
	for i := range 20_000 {
		many += fmt.Sprintf(",c%d", i)
	}
	for _, header := range []string{
		"timestamp,speed_ms", "session_id,speed_ms",
		"session_id,timestamp,a\xff", "session_id,timestamp,a\x00", many, "session_id,timestamp,\"a", strings.Repeat("x", 2*MaxRecordBytes),
	} {
		if b, err := decode(Options{}, header, "s,"+when+",5"); !fault.Is(err, fault.Invalid) {
			t.Errorf("%.80q: %d records, %v", header, b.Len(), err)
		}
	}
	for header, named := range map[string]bool{"timestamp,Session ID": true, "timestamp,session_name": false} {
		asked := false
		unnamed := func() (string, string, error) { asked = true; return "s", "", nil }
		if b, err := decode(Options{Unnamed: unnamed}, header, when+",s"); err != nil || b.Len() != 1 || asked == named {
			t.Errorf("%s: %d records, asked for the session: %v, %v", header, b.Len(), asked, err)
		}
	}
}

func TestBadCells(t *testing.T) {
	t.Parallel()
	const head = "session_id,timestamp,speed_ms,message_id,session_name,odd\n"
	const good = "s,2026-03-21T21:41:10Z,,,,\n"
	for line, want := range map[string]string{
		"s,2026-03-21T21:41:10Z,fast,,,":    `record 1, field speed_ms: "fast" is not a number (line 3, column "speed_ms")`,
		"s,2026-03-21T21:41:10Z,1e999,,,":   `record 1, field speed_ms: "1e999" is not a number (line 3, column "speed_ms")`,
		"s,2026-03-21T21:41:10Z,-inf,,,":    `record 1, field speed_ms: "-inf" is not a number (line 3, column "speed_ms")`,
		"s,2026-03-21T21:41:10Z,0x10,,,":    `record 1, field speed_ms: "0x10" is not a number (line 3, column "speed_ms")`,
		"s,2026-03-21T21:41:10Z,1_0,,,":     `record 1, field speed_ms: "1_0" is not a number (line 3, column "speed_ms")`,
		"s,2026-03-21T21:41:10Z,,1.5,,":     `record 1, field message_id: is not a whole number between -2^53 and 2^53 (line 3, column "message_id")`,
		"s,2026-03-21T21:41:10Z,,,\x00,":    `record 1, field session_name: holds a NUL character, which cannot be stored (line 3, column "session_name")`,
		"s,2026-03-21T21:41:10Z,,,,\xff":    `record 1, field odd: is not valid UTF-8 (line 3, column "odd")`,
		"s,,,,,":                            `record 1, field timestamp: is missing (line 3, column "timestamp")`,
		",2026-03-21T21:41:10Z,,,,":         `record 1, field session_id: is missing (line 3, column "session_id")`,
		"s,2026-03-21T21:41:10Z,,,":         "record 1: line 3 has 5 cells where the header has 6",
		"s,2026-03-21T21:41:10Z,,,,,":       "record 1: line 3 has 7 cells where the header has 6",
		"\"a\nb\",2026-03-21T21:41:10Z,,,,": `record 1, field session_id: holds a control character (line 4, column "session_id")`,
	} {
		b, err := readAll(strings.NewReader(head+good+line+"\n"+good), Options{Format: FormatCSV}, 100)
		if err != nil || b.Len() != 2 || b.Rejected() != 1 || reasons(b.Problems()) != want {
			t.Errorf("%q: %d good, %v\n got %s\nwant %s", line, b.Len(), err, reasons(b.Problems()), want)
		}
	}
}

// Only the first problems are listed, and all are counted.
func TestProblemsAreBounded(t *testing.T) {
	t.Parallel()
	b, err := readAll(strings.NewReader(strings.Repeat("{}\n", 100_000)), Options{SkipBad: true}, 5000)
	if err != nil || b.Rejected() != 100_000 || len(b.Problems()) != MaxProblems {
		t.Errorf("%d rejected, %d problems, %v", b.Rejected(), len(b.Problems()), err)
	}
}

// A time that cannot be right keeps no record out: it is told apart.
func TestOddTimes(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]record.Oddity{
		"soon": record.NoTime, "": record.NoTime, "2026-02-30T00:00:00Z": record.NoTime,
		"1980-01-06T00:00:03+00:00": record.TooEarly, "2000-01-01T23:59:59.999999Z": record.TooEarly,
		"2000-01-02T00:00:00Z": "", "2026-03-23T00:00:00+00:00": "", "2026-03-23T00:00:00.000001+00:00": record.TooLate,
	} {
		b := NewBatch()
		err := Records(fmt.Appendf(nil, `[{"session_id":"s","timestamp":%q,"speed_ms":5,"odd":"x"}]`, text), b, time.Date(2026, 3, 22, 0, 0, 0, 0, time.UTC))
		if err != nil || b.Len() != 1 {
			t.Fatalf("%q: %d records, %v", text, b.Len(), err)
		}
		v := b.Record(0)
		if v.Odd != want || string(v.AppendJSON(nil)) != `{"speed_ms":5,"odd":"x"}` {
			t.Errorf("%q: %q, %s, want %q", text, v.Odd, v.AppendJSON(nil), want)
		}
		if got := string(v.TimeText); v.Odd == record.NoTime && got != text {
			t.Errorf("%q is kept as %q", text, got)
		}
	}
}
