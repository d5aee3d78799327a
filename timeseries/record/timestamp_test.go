package record

import (
	"math/rand/v2"
	"strings"
	"testing"
	"time"
)

func TestTimestampForms(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		text  string
		want  string // in the usual form
		usual bool
	}{
		{"2026-03-21T21:41:10.272851+00:00", "2026-03-21T21:41:10.272851+00:00", true},
		{"2026-03-21T21:41:10+00:00", "2026-03-21T21:41:10+00:00", true},
		{"2026-03-21T21:41:10.000000+00:00", "2026-03-21T21:41:10+00:00", false},
		{"2026-03-21T21:41:10.272Z", "2026-03-21T21:41:10.272000+00:00", false}, // the importer's form
		{"2026-03-21T21:41:10.272851", "2026-03-21T21:41:10.272851+00:00", false},
		{"2026-03-21 21:41:10", "2026-03-21T21:41:10+00:00", false},
		{"2026-03-21t21:41:10z", "2026-03-21T21:41:10+00:00", false},
		{"2026-03-21T23:41:10.5+02:00", "2026-03-21T21:41:10.500000+00:00", false},
		{"2026-03-21T23:41:10.5+0200", "2026-03-21T21:41:10.500000+00:00", false},
		{"2026-03-21T23:41:10.5+02", "2026-03-21T21:41:10.500000+00:00", false},
		{"2026-03-21T17:11:10-04:30", "2026-03-21T21:41:10+00:00", false},
		{"2026-03-21T21:41:10-00:00", "2026-03-21T21:41:10+00:00", false},
		{"2026-03-21T21:41:10.123456789Z", "2026-03-21T21:41:10.123456+00:00", false},
		{"2026-03-21T21:41:10,25+00:00", "2026-03-21T21:41:10.250000+00:00", false},
		{"2024-02-29T00:00:00+00:00", "2024-02-29T00:00:00+00:00", true},
	} {
		micros, usual, err := ParseTimestamp([]byte(test.text))
		if err != nil {
			t.Errorf("%q: %v", test.text, err)
			continue
		}
		if got := string(AppendTimestamp(nil, micros)); got != test.want || usual != test.usual {
			t.Errorf("%q: %s, usual %v; want %s, usual %v", test.text, got, usual, test.want, test.usual)
		}
	}
	for _, text := range []string{
		"", "now", "2026-03-21", "2026-03-21T21:41", "1742593270", "2026-03-21T21:41:10.+00:00", "2026-03-21T21:41:10.1234567890Z",
		"2026-13-01T00:00:00Z", "2026-02-29T00:00:00Z", "2026-00-10T00:00:00Z", "2026-01-00T00:00:00Z", "2026-01-32T00:00:00Z",
		"2026-03-21T24:00:00Z", "2026-03-21T21:60:00Z", "2026-03-21T21:41:60Z", "2026-03-21T21:41:10+24:00", "2026-03-21T21:41:10+01:60",
		"2026-03-21T21:41:10+1", "2026-03-21T21:41:10 UTC", "2026/03/21T21:41:10Z", "2026-03-21T21-41-10Z", "-026-03-21T21:41:10Z",
		"2026-03-21T21:41:10.272851+00:00 ", strings.Repeat("2", 1000), "２026-03-21T21:41:10",
	} {
		if micros, _, err := ParseTimestamp([]byte(text)); err == nil {
			t.Errorf("%q was read as %s", text, AppendTimestamp(nil, micros))
		}
	}
}

// Any text in the form that the store calls usual comes back byte for byte, and
// whatever Go reads, the store reads as the same instant.
func TestTimestampsAgreeWithGo(t *testing.T) {
	t.Parallel()
	random := rand.New(rand.NewPCG(1, 2))
	layouts := []string{
		time.RFC3339Nano, "2006-01-02T15:04:05.000Z07:00", "2006-01-02T15:04:05Z07:00", "2006-01-02T15:04:05.000000-07:00",
		"2006-01-02T15:04:05.000000000-0700", "2006-01-02 15:04:05.000000-07", "2006-01-02T15:04:05.000000",
	}
	for range 50_000 {
		at := time.Unix(random.Int64N(200*365*86400)-50*365*86400, random.Int64N(1e9)).UTC()
		if random.IntN(3) == 0 {
			at = at.Truncate(time.Second)
		}
		layout := layouts[random.IntN(len(layouts))]
		zone := time.UTC
		if strings.Contains(layout, "07") && random.IntN(2) == 0 {
			minutes := random.IntN(2*1439) - 1439
			if strings.HasSuffix(layout, "-07") {
				minutes -= minutes % 60
			}
			zone = time.FixedZone("", minutes*60)
		}
		text := at.In(zone).Format(layout)
		want, err := time.Parse(layout, text)
		if err != nil {
			t.Fatal(err)
		}
		micros, usual, err := ParseTimestamp([]byte(text))
		if err != nil || micros != want.UnixMicro() {
			t.Fatalf("%q: %d, %v; want %d", text, micros, err, want.UnixMicro())
		}
		written := string(AppendTimestamp(nil, micros))
		if usual != (written == text) {
			t.Fatalf("%q: usual is %v, but it is written as %q", text, usual, written)
		}
		again, usual, err := ParseTimestamp([]byte(written))
		if err != nil || !usual || again != micros {
			t.Fatalf("%q is written as %q, which is read as %d, usual %v, %v", text, written, again, usual, err)
		}
	}
}

func FuzzTimestamp(f *testing.F) {
	for _, text := range []string{"2026-03-21T21:41:10.272851+00:00", "2026-03-21T21:41:10.272Z", "2000-02-29 00:00:00-0130", "9999-12-31T23:59:59,1", "0000-01-01T00:00:00,0Z"} {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		micros, usual, err := ParseTimestamp([]byte(text))
		if err != nil {
			return
		}
		if written := string(AppendTimestamp(nil, micros)); usual != (written == text) {
			t.Errorf("%q: usual is %v, but it is written as %q", text, usual, written)
		}
		if want, err := time.Parse(time.RFC3339Nano, text); err == nil && want.UnixMicro() != micros {
			t.Errorf("%q: %d, but Go reads %d", text, micros, want.UnixMicro())
		}
	})
}

func TestCursor(t *testing.T) {
	t.Parallel()
	random := rand.New(rand.NewPCG(3, 4))
	for range 1000 {
		want := Cursor{random.Int64() - random.Int64(), random.Int32() - random.Int32(), random.Int32()}
		got, err := ParseCursor(want.String())
		if err != nil || got != want {
			t.Fatalf("%v is given out as %q and read as %v, %v", want, want, got, err)
		}
	}
}

// Whoever makes a cursor up gets an error or a place, and a place has one text.
func FuzzCursor(f *testing.F) {
	f.Add(Cursor{1, 2, 3}.String())
	f.Add("")
	f.Add("AAAAAAAAAAAAAAAAAAAAAAA")
	f.Fuzz(func(t *testing.T, text string) {
		cursor, err := ParseCursor(text)
		if err != nil {
			return
		}
		if again, err := ParseCursor(cursor.String()); err != nil || again != cursor {
			t.Errorf("%q: %v, then %v, %v", text, cursor, again, err)
		}
	})
}
