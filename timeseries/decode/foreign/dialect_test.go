package foreign

import (
	"bytes"
	"fmt"
	"io"
	"math"
	"math/rand/v2"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"golang.org/x/text/encoding/charmap"
	"golang.org/x/text/encoding/unicode"

	"github.com/ecovolt/telemetryd/internal/fault"
	"github.com/ecovolt/telemetryd/timeseries/decode/foreign/label"
	"github.com/ecovolt/telemetryd/timeseries/record"
)

// dialect is one way in which a program may write a table.
type dialect struct {
	*rand.Rand
	sep      string
	comma    bool
	quoted   bool
	newline  string
	encoding string
	trailing bool
	opt      Options
}

func pick[T any](d *dialect, of ...T) T { return of[d.IntN(len(of))] }

// timeForm writes times in one of the usual forms.
type timeForm struct {
	headers []string
	unit    string
	write   func(at time.Time) []string
}

func (d *dialect) timeForm(start time.Time) timeForm {
	zone := time.UTC
	layout := func(headers string, layouts ...string) timeForm {
		return timeForm{strings.Split(headers, "+"), "", func(at time.Time) (cells []string) {
			for _, layout := range layouts {
				cells = append(cells, at.In(zone).Format(layout))
			}
			return cells
		}}
	}
	number := func(header, unit string, per float64, from time.Time) timeForm {
		return timeForm{[]string{header}, unit, func(at time.Time) []string {
			return []string{d.number(float64(at.Sub(from).Microseconds())/per, 6)}
		}}
	}
	switch d.IntN(12) {
	case 0:
		return layout("timestamp", "2006-01-02T15:04:05.000Z07:00")
	case 1:
		return layout(pick(d, "Time", "DateTime"), "2006-01-02 15:04:05.000")
	case 2:
		return number("timestamp", "", 1e6, time.Unix(0, 0))
	case 3:
		return number("Unix Time", "", 1e3, time.Unix(0, 0))
	case 4:
		return number("utc", "", 1, time.Unix(0, 0))
	case 5:
		if start.Day() < 13 {
			d.opt.DayFirst = new(bool)
			*d.opt.DayFirst = true
		}
		return layout("Zeit", "02.01.2006 15:04:05.000")
	case 6:
		if start.Day() < 13 {
			d.opt.DayFirst = new(bool)
		}
		return layout("Date Time", "1/2/2006 3:04:05.000 PM")
	case 7:
		return layout("Date+Time", pick(d, "2006-01-02", "2006/01/02", "02-Jan-2006", "20060102"), pick(d, "15:04:05.000", "150405.000"))
	case 8:
		d.opt.Timezone = "America/New_York"
		zone, _ = time.LoadLocation(d.opt.Timezone)
		return layout("Time", "2006-01-02 15:04:05.000")
	case 9:
		d.opt.Start = start.Format(time.RFC3339Nano)
		return number("Time", pick(d, "s", ""), 1e6, start)
	case 10:
		d.opt.Start = start.Format(time.RFC3339Nano)
		return number("Elapsed", "ms", 1e3, start)
	default:
		return layout("Device Time", "02-Jan-2006 15:04:05.000")
	}
}

func (d *dialect) number(v float64, digits int) string {
	text := strconv.FormatFloat(v, 'f', digits, 64)
	if d.comma {
		text = strings.Replace(text, ".", ",", 1)
	}
	return text
}

func (d *dialect) line(cells []string) string {
	out := make([]string, len(cells))
	for i, c := range cells {
		if out[i] = c; d.quoted || strings.Contains(c, d.sep) || strings.Contains(c, `"`) {
			out[i] = `"` + strings.ReplaceAll(c, `"`, `""`) + `"`
		}
	}
	text := strings.Join(out, d.sep)
	if d.trailing {
		text += d.sep
	}
	return text + d.newline
}

// dialectOf makes up a dialect and a table in it, and returns what it holds.
func dialectOf(seed uint64) (d *dialect, text []byte, truth []map[string]string) {
	d = &dialect{Rand: rand.New(rand.NewPCG(seed, 11))}
	d.sep = pick(d, ",", ";", "\t", "|")
	d.comma = d.sep != "," && d.IntN(2) == 0
	d.quoted = d.IntN(4) == 0
	d.newline = pick(d, "\n", "\r\n", "\r")
	d.encoding = pick(d, "UTF-8", "UTF-8", "BOM", "UTF-16LE", "UTF-16BE", "UTF-16LE without BOM", "Latin-1")
	d.trailing = d.IntN(4) == 0
	start := time.Date(2026, time.Month(1+d.IntN(12)), 1+d.IntN(28), d.IntN(24), 0, 0, 0, time.UTC)
	when := d.timeForm(start)

	type quantity struct {
		header, unit, becomes string
		per                   float64
	}
	speed := pick(d, quantity{"Speed", "km/h", "speed_ms", 1 / 3.6}, quantity{"GPS Speed", "mph", "speed_ms", 0.44704}, quantity{"speed_ms", "m/s", "speed_ms", 1}, quantity{"Velocity", "kn", "speed_ms", 1852. / 3600})
	voltage := pick(d, quantity{"Voltage", "mV", "voltage_v", 1e-3}, quantity{"Spannung", "V", "voltage_v", 1}, quantity{"Pack Voltage", "V", "voltage_v", 1})
	lat := pick(d, quantity{"lat", "deg E7", "latitude", 1e-7}, quantity{"Latitude", "deg", "latitude", 1})
	known := []quantity{speed, voltage, lat}
	unitsAt := pick(d, "header", "brackets", "row")
	header := slices.Clone(when.headers)
	units := make([]string, len(header))
	units[0] = when.unit
	if when.unit != "" && unitsAt != "row" {
		header[0] += " (" + when.unit + ")"
	}
	for _, q := range known {
		name := q.header
		switch unitsAt {
		case "header":
			name += " (" + q.unit + ")"
		case "brackets":
			name += " [" + q.unit + "]"
		}
		header, units = append(header, name), append(units, q.unit)
	}
	header, units = append(header, "Öl", "frame", "Öl", "cells"), append(units, "", "", "", "")

	var b strings.Builder
	if d.IntN(5) == 0 {
		b.WriteString("sep=" + d.sep + d.newline)
	}
	for range d.IntN(4) {
		b.WriteString(pick(d, "# logger 3, car 7", "Logger 3", "Session title"+d.sep+"Morning", "// made by hand", "Sample rate"+d.sep+"50") + d.newline)
	}
	if d.IntN(3) == 0 {
		b.WriteString(d.newline)
	}
	head := d.line(header)
	b.WriteString(head)
	if unitsAt == "row" {
		b.WriteString(d.line(units))
		if d.IntN(2) == 0 {
			sources := make([]string, len(header))
			sources[len(when.headers)] = "100: gps"
			b.WriteString(d.line(sources))
		}
	}
	n := 1 + d.IntN(40)
	for i := range n {
		at := start.Add(time.Duration(1+i*200) * time.Millisecond)
		want := map[string]string{label.Time: record.FormatTime(at)}
		cells := when.write(at)
		for _, q := range known {
			if i > 0 && d.IntN(5) == 0 {
				cells = append(cells, pick(d, "", "nan", "NaN", "n/a", "-"))
				continue
			}
			v, digits := math.Round((3+d.Float64())*1000)/1000, 3
			if q.per == 1e-7 {
				v, digits = 481007186+float64(i), 0
			}
			cells = append(cells, d.number(v, digits))
			want[q.becomes] = strconv.FormatFloat(v*q.per, 'g', 15, 64)
		}
		note, id := pick(d, "Größe", "ok", ""), pick(d, "18E5", "0012", "7")
		if i == 0 {
			note, id = "Öl", "0012"
		}
		count := strconv.Itoa(i * 10)
		cells = append(cells, note, id, count, strconv.Itoa(100+i))
		want["Öl"], want["frame"], want["Öl (2)"], want["cells"] = note, id, count, strconv.Itoa(100+i)
		b.WriteString(d.line(cells))
		truth = append(truth, want)
		switch d.IntN(30) {
		case 0:
			b.WriteString(head)
		case 1:
			b.WriteString("# lap" + d.newline)
		case 2:
			b.WriteString(d.newline)
		}
	}
	text = []byte(b.String())
	switch d.encoding {
	case "BOM":
		text = append([]byte("\xef\xbb\xbf"), text...)
	case "UTF-16LE":
		text, _ = unicode.UTF16(unicode.LittleEndian, unicode.UseBOM).NewEncoder().Bytes(text)
	case "UTF-16BE":
		text, _ = unicode.UTF16(unicode.BigEndian, unicode.UseBOM).NewEncoder().Bytes(text)
	case "UTF-16LE without BOM":
		text, _ = unicode.UTF16(unicode.LittleEndian, unicode.IgnoreBOM).NewEncoder().Bytes(text)
	case "Latin-1":
		text, _ = charmap.ISO8859_1.NewEncoder().Bytes(text)
	}
	return d, text, truth
}

// A table in any dialect is read as what it holds.
func TestDialects(t *testing.T) {
	t.Parallel()
	for seed := range uint64(400) {
		d, text, truth := dialectOf(seed)
		got, err := readTable(t, bytes.NewReader(text), d.opt)
		complain := func(format string, args ...any) {
			t.Fatalf("seed %d: %s\nseparator %q, %s, line end %q\n%s\n%.1500s", seed, fmt.Sprintf(format, args...), d.sep, d.encoding, d.newline, got.Table, strings.ReplaceAll(string(text), "\r", "\n"))
		}
		if err != nil || len(got.records) != len(truth) {
			complain("%d records of %d, %v", len(got.records), len(truth), err)
		}
		for i, want := range truth {
			for name, value := range want {
				if name == label.Time {
					a, err := record.ParseTime(got.records[i][name])
					b, _ := record.ParseTime(value)
					if err != nil || !a.Equal(b) {
						complain("record %d: time %q, want %q", i, got.records[i][name], value)
					}
				} else if !same(got.records[i][name], value) {
					complain("record %d: %s is %q, want %q", i, name, got.records[i][name], value)
				}
			}
			for name, value := range got.records[i] {
				if _, ok := want[name]; !ok {
					complain("record %d has %s = %q", i, name, value)
				}
			}
		}
	}
}

// What a table in any dialect does not tell is asked for by name, and never
// guessed; a column of another name becomes what somebody says.
func TestDialectsAsk(t *testing.T) {
	t.Parallel()
	for seed := range uint64(400) {
		d, text, truth := dialectOf(seed)
		unsaid, asked := d.opt, ""
		if unsaid.Start, unsaid.DayFirst = "", nil; d.opt.Start != "" {
			asked = "--start"
		} else if d.opt.DayFirst != nil {
			asked = "--day-first"
		}
		if asked != "" {
			if _, err := readTable(t, bytes.NewReader(text), unsaid); !fault.Is(err, fault.Invalid) || !strings.Contains(err.Error(), asked) {
				t.Errorf("seed %d: %v, want it to ask for %s", seed, err, asked)
			}
		}
		mapped := d.opt
		mapped.Map = map[string]string{"cells": "motor_rpm"}
		got, err := readTable(t, bytes.NewReader(text), mapped)
		if err != nil || len(got.records) != len(truth) {
			t.Errorf("seed %d: %d records of %d, %v", seed, len(got.records), len(truth), err)
			continue
		}
		for i, want := range truth {
			if r := got.records[i]; r["motor_rpm"] != want["cells"] || r["cells"] != "" {
				t.Errorf("seed %d: record %d has %q rpm, want %q", seed, i, r["motor_rpm"], want["cells"])
			}
		}
	}
}

// Whatever the bytes, the recogniser ends, asks for an option or reads cells of
// valid width; it holds no more than its bound.
func FuzzReader(f *testing.F) {
	// Short tables do: the fuzzer shortens whatever is of interest byte by byte,
	// for up to a minute each, and tries nothing else meanwhile.
	for seed := range uint64(400) {
		if _, text, _ := dialectOf(seed); len(text) < 512 {
			f.Add(text)
		}
	}
	f.Add([]byte("\xff\xfea"))
	f.Add([]byte("[column names]\n[data]\n1 2\n"))
	f.Add([]byte("sep=\n"))
	f.Add([]byte("a|\"ms\"|0|0|1,b\n1,\"x\"y\n"))
	dayFirst := true
	f.Fuzz(func(t *testing.T, text []byte) {
		for _, opt := range []Options{{}, {Start: "2026-06-03T10:00:00Z", DayFirst: &dayFirst, Tally: true}} {
			r, err := NewReader(bytes.NewReader(text), opt)
			if err != nil {
				if fault.As(err) == nil {
					t.Fatalf("%q: %v", text, err)
				}
				continue
			}
			for err == nil {
				var cells [][]byte
				cells, err = r.Read()
				if err == nil && len(cells) != len(r.Columns()) {
					t.Fatalf("%q: %d cells for %d columns", text, len(cells), len(r.Columns()))
				}
				if _, ok := err.(*WidthError); ok {
					err = nil
				}
			}
			if err != io.EOF && fault.As(err) == nil && r.SkipLine() != nil {
				t.Fatalf("%q: %v", text, err)
			}
			_ = r.Table().String()
			if cap(r.buf) > 2*len(text)+2*readSize+4096 {
				t.Fatalf("%d bytes held for a text of %d", cap(r.buf), len(text))
			}
		}
	})
}
