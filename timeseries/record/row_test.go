package record_test

import (
	"bytes"
	"encoding/binary"
	"encoding/json"
	"io"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/ecovolt/telemetryd/timeseries/channel"
	"github.com/ecovolt/telemetryd/timeseries/decode"
	"github.com/ecovolt/telemetryd/timeseries/record"
)

var now = time.Date(2026, 3, 22, 0, 0, 0, 0, time.UTC)

const sample = `{"session_id":"s","timestamp":"2026-03-21T21:41:10.272851+00:00","session_name":"M \"233\", \n","speed_ms":14.43,"power_w":1e-7,"message_id":7,"outliers":{"severity":"info"},"latitude":-0.0,"tyre":[1,2],"pit":"in \"box\""}`

// everything makes all columns part of a row, as a query for record.All does.
func everything() (l record.Layout) {
	for i := range channel.All {
		l.Channels.Set(i)
	}
	l.TimeText, l.Extra = true, true
	return l
}

// stored turns a decoded record into what a query for record.All gives: the
// database sends a column back as COPY brought it.
func stored(v record.Values, batch, ord int32) [][]byte {
	l := everything()
	row := l.AppendCopy(nil, &v, uint32(ord))
	record.Stamp(row, 1, batch)
	var columns [][]byte
	for rest := row[2:]; len(rest) > 0; {
		size := int32(binary.BigEndian.Uint32(rest))
		rest = rest[4:]
		if size < 0 {
			columns = append(columns, nil)
			continue
		}
		columns = append(columns, rest[:size:size])
		rest = rest[size:]
	}
	key, at := columns[1:3], columns[3] // the session's key comes first
	channels, text, extra := columns[4:4+len(channel.All)], columns[len(columns)-2], columns[len(columns)-1]
	return slices.Concat([][]byte{at}, key, [][]byte{text}, channels, [][]byte{extra, nil})
}

// read decodes records of one session.
func read(t testing.TB, text []byte, format decode.Format) []record.Values {
	t.Helper()
	b := decode.NewBatch()
	err := decode.New(bytes.NewReader(text), decode.Options{Format: format, Now: now}).Next(b, 1000)
	if err != io.EOF || b.Rejected() > 0 {
		t.Fatalf("%s: %v, %v", text, err, b.Err())
	}
	all := make([]record.Values, b.Len())
	for i := range all {
		all[i] = b.Record(i)
	}
	return all
}

// What was decoded, stored and written as JSON or CSV is decoded as the same record.
func FuzzRowComesBack(f *testing.F) {
	f.Add([]byte(sample))
	f.Add([]byte(`{"session_id":"a,\"b","timestamp":"2026-03-21 21:41:10.5Z","optimal_speed_range":null,"x":{"y":[1e2]}}`))
	f.Add([]byte(`{"session_id":"s","timestamp":"2026-03-21T21:41:10","driver_mode":"\"","extra":"\r\n"}`))
	f.Fuzz(func(t *testing.T, text []byte) {
		b := decode.NewBatch()
		defer b.Release()
		if decode.New(bytes.NewReader(text), decode.Options{Now: now}).Next(b, 10) != io.EOF {
			return
		}
		for i := range b.Len() {
			want := b.Record(i)
			row := record.NewRow(record.All, 1, b.Sessions()[b.Session(i)])
			if err := row.Read(stored(want, 3, 4)); err != nil {
				t.Fatalf("%s: %v", text, err)
			}
			got := read(t, row.AppendJSON(nil), decode.FormatJSON)
			if len(got) != 1 || !bytes.Equal(want.AppendCanonical(nil), got[0].AppendCanonical(nil)) {
				t.Fatalf("%s comes back as %s", text, row.AppendJSON(nil))
			}
			buf, encoded := row.Encode([]byte("before"))
			members := encoded.AppendJSON(nil, buf, record.All, record.All, 1)
			whole := row.AppendJSON(nil)
			if at := bytes.Index(whole, []byte(`"timestamp":`)); !bytes.HasSuffix(whole, members[1:]) || at < 0 {
				t.Fatalf("encoded by members as %s, whole as %s", members, whole)
			}
		}
	})
}

// Columns that do not fit the selection are an error, and never a panic.
func FuzzRowColumns(f *testing.F) {
	whole := stored(read(f, []byte(sample), decode.FormatJSON)[0], 3, 4)
	f.Add(bytes.Join(whole, []byte{'|'}), uint8(0))
	f.Add([]byte("||||"), uint8(2))
	f.Fuzz(func(t *testing.T, text []byte, kind uint8) {
		selection := []*record.Selection{record.All, record.Select("timestamp"), record.Select("speed_ms", "outliers", "tyre")}[kind%3]
		var raw [][]byte
		for _, column := range bytes.Split(text, []byte{'|'}) {
			if len(column) == 0 {
				column = nil
			}
			raw = append(raw, column)
		}
		row := record.NewRow(selection, 1, "s")
		if kind&4 != 0 {
			row.WithCreated("_creationTime")
		}
		if row.Read(raw) != nil {
			return
		}
		row.AppendJSON(nil)
		row.AppendCSV(nil)
		buf, encoded := row.Encode(nil)
		encoded.AppendJSON(nil, buf, selection, selection, 1)
	})
}

func TestRowForms(t *testing.T) {
	t.Parallel()
	raw := stored(read(t, []byte(sample), decode.FormatJSON)[0], 3, 4)
	row := record.NewRow(record.All.WithID("_id"), 2, "s").WithCreated("_creationTime")
	if err := row.Read(append(slices.Clone(raw), binary.BigEndian.AppendUint64(nil, 1500))); err != nil {
		t.Fatal(err)
	}
	want := `{"session_id":"s","timestamp":"2026-03-21T21:41:10.272851+00:00","session_name":"M \"233\", \n","speed_ms":14.43,"power_w":1e-07,"latitude":-0,"message_id":7,` +
		`"outliers":{"severity":"info"},"tyre":[1,2],"pit":"in \"box\"","_id":"2.3.4","_creationTime":946684800001.5}`
	if diff := cmp.Diff(want, string(row.AppendJSON(nil))); diff != "" {
		t.Errorf("JSON (-want +got)\n%s", diff)
	}
	if !json.Valid(row.AppendJSON(nil)) {
		t.Error("not JSON")
	}
	if got := row.Cursor(); got != (record.Cursor{Micros: 1774129270272851, Batch: 3, Ord: 4}) || row.Timestamp() != "2026-03-21T21:41:10.272851+00:00" {
		t.Errorf("the record is %v, %s", got, row.Timestamp())
	}
	if err := row.Read(raw); err == nil {
		t.Error("a row without the time of storage was read")
	}

	some := record.Select("message_id", "speed_ms", "session_name")
	row = record.NewRow(some, 2, "s")
	if err := row.Read(slices.Concat(raw[:4], raw[4:6], [][]byte{raw[4+slices.IndexFunc(channel.All, func(c channel.Channel) bool { return c.Name == "message_id" })]})); err != nil {
		t.Fatal(err)
	}
	csv := string(row.AppendCSV(some.CSVHeader()))
	if diff := cmp.Diff("session_id,timestamp,session_name,speed_ms,message_id\ns,2026-03-21T21:41:10.272851+00:00,\"M \"\"233\"\", \n\",14.43,7\n", csv); diff != "" {
		t.Errorf("CSV (-want +got)\n%s", diff)
	}
}

func TestSelections(t *testing.T) {
	t.Parallel()
	a, b := record.Select("speed_ms", "tyre"), record.Select("voltage_v", "speed_ms").WithID("_id")
	if diff := cmp.Diff([]string{"_id", "speed_ms", "voltage_v", "tyre"}, a.Union(b).Names()); diff != "" {
		t.Error(diff)
	}
	for _, test := range []struct {
		read, want *record.Selection
		covers     bool
	}{
		{record.All, a, true}, {a, record.All, false}, {record.All, record.All, true},
		{a.Union(b), b, true}, {a, b, false}, {b, a, false},
		{a, record.Select("pit"), true}, // reading one member without a channel reads all of them
		{record.Select("timestamp"), record.Select("timestamp"), true},
	} {
		if got := test.read.Covers(test.want); got != test.covers {
			t.Errorf("%v covers %v: %v", test.read.Names(), test.want.Names(), got)
		}
	}
	if record.Select() != record.All || a.Union(record.All) != record.All || a.Union(nil) != record.All {
		t.Error("everything is not one selection")
	}
}

func BenchmarkRow(b *testing.B) {
	raw := stored(read(b, []byte(sample), decode.FormatJSON)[0], 3, 4)
	row := record.NewRow(record.All, 1, "s")
	var out []byte
	for name, write := range map[string]func(){
		"json":    func() { out = row.AppendJSON(out[:0]) },
		"csv":     func() { out = row.AppendCSV(out[:0]) },
		"members": func() { out, _ = row.Encode(out[:0]) },
	} {
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				if err := row.Read(raw); err != nil {
					b.Fatal(err)
				}
				write()
			}
		})
	}
}
