package foreign

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/ecovolt/telemetryd/internal/fault"
	"github.com/ecovolt/telemetryd/timeseries/decode/foreign/label"
	"github.com/ecovolt/telemetryd/timeseries/record"
)

// values returns the cells of one column, and what the file was refused for.
func values(t *testing.T, text, column string, opt Options) (string, string) {
	t.Helper()
	got, err := readTable(t, strings.NewReader(text), opt)
	if err != nil {
		f := fault.As(err)
		if f == nil {
			t.Fatalf("%q: %v", text, err)
		}
		return "", f.Error()
	}
	var cells []string
	for _, r := range got.records {
		cells = append(cells, r[column])
	}
	return strings.Join(cells, " "), ""
}

// timed puts a time before each line.
func timed(sep, header string, lines ...string) string {
	var b strings.Builder
	b.WriteString("timestamp" + sep + header + "\n")
	for i, l := range lines {
		fmt.Fprintf(&b, "2026-06-03T10:00:%02dZ%s%s\n", i, sep, l)
	}
	return b.String()
}

// A sign before three digits is a decimal one or parts thousands. What the file
// does not tell is asked for.
func TestThousands(t *testing.T) {
	t.Parallel()
	const asked = "--decimal comma"
	for _, test := range []struct {
		text, column, decimal, want, refused string
	}{
		{text: timed(";", "motor_rpm", "999", "1,000", "1,234"), refused: `line 3, column "motor_rpm": "1,000"`},
		{text: timed("\t", "RPM", "999", "1,000", "1,234"), refused: asked},
		{text: timed("\t", "motor_rpm", "999", "1.000", "1.234"), refused: asked},
		{text: timed(";", "Nm", "999", "1.000"), refused: asked},
		{text: timed(";", "motor_rpm", "999", "1,000", "1,234"), decimal: "point", column: "motor_rpm", want: "999 1000 1234"},
		{text: timed(";", "motor_rpm", "999", "1,000", "1,234"), decimal: "comma", column: "motor_rpm", want: "999 1.000 1.234"},
		{text: timed(";", "Nm", "999", "1.000"), decimal: "comma", column: "Nm", want: "999 1000"},
		{text: timed(";", "Nm", "999", "1.000"), decimal: "both", refused: "neither comma nor point"},
		{text: timed(";", "motor_rpm", "999", "1,000", "1,234,567"), column: "motor_rpm", want: "999 1000 1234567"},
		{text: timed(";", "motor_rpm", "999", "1,000", "1,234.5"), column: "motor_rpm", want: "999 1000 1234.5"},
		{text: timed(";", "motor_rpm", "999", "-1.000", "1.234,5"), column: "motor_rpm", want: "999 -1000 1234.5"},
		{text: timed(";", "voltage_v;motor_rpm;current_a", "48,25;2.500;234,5"), column: "motor_rpm", want: "2500"},
		{text: timed(";", "voltage_v;motor_rpm", "48,25;900", "48,25;2.500"), column: "voltage_v", want: "48.25 48.25"},
		{text: timed(";", "voltage_v;RPM", "48.25;999", "48.5;1,000"), column: "motor_rpm", want: "999 1000"},
		{text: timed(";", "voltage_v;RPM", "48,25;999", "48,5;1,000"), column: "motor_rpm", want: "999 1.000"},
		{text: timed(";", "voltage_v;current_a;RPM", "48,25;1.5;999", "48,5;1.5;1,000"), refused: asked},
		{text: timed(",", "voltage_v,RPM", `48.25,"1,234"`), column: "motor_rpm", want: "1234"},
		{text: timed(",", "voltage_v,motor_rpm", `48.25,"1,234"`), column: "motor_rpm", want: "1234"},
		{text: timed(",", "voltage_v", "48", "48.125"), column: "voltage_v", want: "48 48.125"},
		{text: timed(";", "voltage_v", "48,125", "47,500"), column: "voltage_v", want: "48.125 47.500"},
		{text: timed(";", "voltage_v", "48,125", "0,500", "47"), column: "voltage_v", want: "48.125 0.500 47"},
		{text: timed(";", "power_w", "1500", "1,500"), column: "power_w", want: "1500 1.500"},
		{text: timed(";", "firmware", "1.234.567"), column: "firmware", want: "1.234.567"},
	} {
		got, refused := values(t, test.text, test.column, Options{Decimal: test.decimal})
		if got != test.want || (refused == "") != (test.refused == "") || !strings.Contains(refused, test.refused) {
			t.Errorf("%s: %q, %s; want %q, %s", test.text, got, refused, test.want, test.refused)
		}
	}
}

// What a head of small numbers leaves open, the file's decimal comma tells.
func TestThousandsAfterTheHead(t *testing.T) {
	t.Parallel()
	lines := make([]string, headRecords+1)
	for i := range lines {
		lines[i] = "48,25;900"
	}
	lines[headRecords] = "48,25;1.234"
	got, refused := values(t, timed(";", "voltage_v;motor_rpm", lines...), "motor_rpm", Options{})
	if !strings.HasSuffix(got, "900 1234") || refused != "" {
		t.Errorf("%.20s..., %s; want 1234 at the end", got, refused)
	}
}

// Records in front of another header are a table of their own, however few.
func TestSecondTable(t *testing.T) {
	t.Parallel()
	second := func(columns string, records int) string {
		return strings.Replace(timed(",", "speed_ms,voltage_v"+columns, slices.Repeat([]string{"1.5,48.5" + strings.Repeat(",2", strings.Count(columns, ","))}, records)...), "timestamp", "time", 1)
	}
	for _, first := range []int{1, 2, 20, 29, 60} {
		for _, columns := range []string{"", ",power_w", ",power_w,current_a"} {
			text := timed(",", "speed_ms,voltage_v", slices.Repeat([]string{"1.5,48.5"}, first)...) + second(columns, 60)
			_, refused := values(t, text, "", Options{})
			if want := fmt.Sprintf("line %d begins another table", first+2); !strings.Contains(refused, want) {
				t.Errorf("%d records, then%s: %q, want %q", first, columns, refused, want)
			}
		}
	}
	for _, text := range []string{
		"Date,Driver,Time\n2026-06-03,Ann,10:00:00\n\n" + second(",power_w", 2), // one line about the run
		"Date,Driver\n2026-06-03,Ann\n" + second(",power_w", 2),
		second("", 2) + second("", 3)[:0] + strings.SplitAfter(second("", 1), "\n")[0] + "2026-06-03T10:01:00Z,2,3\n",
	} {
		if _, refused := values(t, text, "", Options{}); refused != "" {
			t.Errorf("%s: %s", text, refused)
		}
	}
}

// A file without a header is refused, not short of a record.
func TestNoHeader(t *testing.T) {
	t.Parallel()
	for _, text := range []string{
		strings.Repeat("2026-06-03T10:00:00+00:00,10.000,47.00\n", 50),
		strings.Repeat("2026-06-03T10:00:00+00:00,eco,on,left,a,b,c\n", 2),
		"1780480800,10.5\n1780480801,10.5\n",
	} {
		if _, refused := values(t, text, "", Options{}); !strings.Contains(refused, "line 1 looks like a record") {
			t.Errorf("%q: %q", text, refused)
		}
	}
	if got, refused := values(t, "timestamp,1,2,3\n2026-06-03T10:00:00Z,5,6,7\n", "2", Options{}); got != "6" {
		t.Errorf("columns with numbers for names: %q, %s", got, refused)
	}
}

// Times count in the unit that the header or the mapping names.
func TestTimeUnits(t *testing.T) {
	t.Parallel()
	for _, test := range []struct{ header, mapped, cell, want string }{
		{"ms_today", "timestamp [ms]", "1500", "10:00:01.500000"},
		{"ms_today", "timestamp[us]", "1500000", "10:00:01.500000"},
		{"clock", "timestamp [min]", "1.5", "10:01:30"},
		{"clock", "timestamp [h]", "0.5", "10:30:00"},
		{"clock", "timestamp [s]", "2", "10:00:02"},
		{"time (ms)", "", "1500", "10:00:01.500000"},
		{"time [us]", "", "1200000000", "10:20:00"}, // as seconds it would be in 2008
		{"time (min)", "", "1.5", "10:01:30"},
		{"time (h)", "", "0.5", "10:30:00"},
	} {
		opt := Options{Start: "2026-06-03T10:00:00Z"}
		if test.mapped != "" {
			opt.Map = map[string]string{test.header: test.mapped}
		}
		got, refused := values(t, test.header+",speed_ms\n"+test.cell+",1\n", label.Time, opt)
		if got != "2026-06-03T"+test.want+"+00:00" {
			t.Errorf("%s as %q: %s, %s; want %s", test.header, test.mapped, got, refused, test.want)
		}
	}
}

// A mapping to what is no channel is refused by its name.
func TestMapTargets(t *testing.T) {
	t.Parallel()
	for mapped, want := range map[string]string{
		"speed_ms km/h": `"speed_ms km/h"`, "speed_ms (km/h)": `"speed_ms (km/h)"`, "timestamp [km/h]": `"km/h"`, "speed_ms[km/h]": "", "my-speed": "",
	} {
		_, refused := values(t, timed(",", "x", "36"), "", Options{Map: map[string]string{"x": mapped, "timestamp": "timestamp"}})
		if mapped == "timestamp [km/h]" {
			_, refused = values(t, "t0,x\n1,36\n", "", Options{Map: map[string]string{"t0": mapped}})
		}
		if (refused == "") != (want == "") || !strings.Contains(refused, want) {
			t.Errorf("%q: %s, want %s", mapped, refused, want)
		}
	}
}

// The times that loggers write are read, and what their numbers count or their
// digits mean is asked for where the file does not tell.
func TestTimesOfLoggers(t *testing.T) {
	t.Parallel()
	start, yes, no := Options{Start: "2026-06-03T10:00:00Z"}, true, false
	as := func(unit string) Options {
		return Options{Start: start.Start, Map: map[string]string{"time": "timestamp [" + unit + "]"}}
	}
	for _, test := range []struct {
		name, header string
		cells        []string
		opt          Options
		want         string // of the last record
		refused      string
	}{
		{name: "minutes", header: "Time (minutes)", cells: []string{"0", "1.5"}, opt: start, want: "2026-06-03T10:01:30"},
		{name: "nanoseconds", header: "elapsed (ns)", cells: []string{"0", "1500000000"}, opt: start, want: "2026-06-03T10:00:01.500000"},
		{name: "days", header: "time [days]", cells: []string{"0", "0.5"}, opt: start, want: "2026-06-03T22:00:00"},
		{name: "an unknown unit", header: "Time (ticks)", cells: []string{"1", "2"}, opt: start, refused: "--map 'Time (ticks)=timestamp [ms]'"},
		{name: "milliseconds at 10 Hz", header: "time", cells: []string{"0", "100", "200"}, opt: start, refused: "--map 'time=timestamp [ms]'"},
		{name: "and said to be", header: "time", cells: []string{"0", "100", "200"}, opt: as("ms"), want: "2026-06-03T10:00:00.200000"},
		{name: "a slow logger", header: "time", cells: []string{"0", "60", "120"}, opt: as("s"), want: "2026-06-03T10:02:00"},
		{name: "parts of a day", header: "time", cells: []string{"0.4166666667", "0.4166782407", "0.4166898148"}, opt: start, refused: "[ms]"},
		{name: "and said to be days", header: "time", cells: []string{"0", "0.25"}, opt: as("day"), want: "2026-06-03T16:00:00"},
		{name: "microseconds since the board was switched on", header: "timestamp", cells: []string{"1200000000", "1200100000", "1200200000"}, refused: "'timestamp=timestamp [ms]'"},
		{name: "seconds since 1970", header: "timestamp", cells: []string{"1780480800", "1780480860"}, want: "2026-06-03T10:01:00"},
		{name: "one a day", header: "time", cells: []string{"1780480800", "1780567200"}, opt: Options{Map: map[string]string{"time": "timestamp [s]"}}, want: "2026-06-04T10:00:00"},
		{name: "digits of a clock", header: "UTC", cells: []string{"095958.5", "100000.0"}, opt: start, refused: "hhmmss"},
		{name: "and said to be", header: "time", cells: []string{"235959.5", "000000.5"}, opt: Options{Start: "2026-06-03", Map: map[string]string{"time": "timestamp [hhmmss]"}}, want: "2026-06-04T00:00:00.500000"},
		{name: "a stopwatch", header: "Time", cells: []string{"0:59.9", "61:00.5"}, opt: start, want: "2026-06-03T11:01:00.500000"},
		{name: "more than a day", header: "Time", cells: []string{"23:59:59", "25:00:01"}, opt: Options{Start: "2026-06-03"}, want: "2026-06-04T01:00:01"},
		{name: "Europe's zones", header: "Time", cells: []string{"2026-06-03 12:00:00 CEST"}, want: "2026-06-03T10:00:00"},
		{name: "date(1)", header: "Time", cells: []string{"Wed Jun  3 12:00:00 CEST 2026"}, want: "2026-06-03T10:00:00"},
		{name: "a zone in the header", header: "Time (UTC+2)", cells: []string{"2026-06-03 12:00:00"}, want: "2026-06-03T10:00:00"},
		{name: "a place in the header", header: "Time [Europe/Berlin]", cells: []string{"2026-06-03 12:00:00"}, want: "2026-06-03T10:00:00"},
		{name: "and another that is said", header: "Time (UTC+2)", cells: []string{"2026-06-03T12:00:00"}, opt: Options{Timezone: "UTC"}, want: "2026-06-03T12:00:00"},
		{name: "day or year", header: "Date", cells: []string{"24-06-03 10:00:00"}, refused: "--day-first"},
		{name: "the day", header: "Date", cells: []string{"24-06-03 10:00:00"}, opt: Options{DayFirst: &yes}, want: "2003-06-24T10:00:00"},
		{name: "the year", header: "Date", cells: []string{"24-06-03 10:00:00"}, opt: Options{DayFirst: &no}, want: "2024-06-03T10:00:00"},
		{name: "no year yet", header: "Date", cells: []string{"31.05.26 10:00:00"}, want: "2026-05-31T10:00:00"},
		{name: "one date tells", header: "Date", cells: []string{"24-06-03 10:00:00", "06-01-80 00:00:00"}, want: "2080-01-06T00:00:00"},
		{name: "six digits", header: "date,time", cells: []string{"030626,100000"}, want: "2026-06-03T10:00:00"},
		{name: "six digits, either way", header: "date,time", cells: []string{"260603,100000"}, refused: "--day-first"},
		{name: "six digits, the year first", header: "date,time", cells: []string{"260603,100000"}, opt: Options{DayFirst: &no}, want: "2026-06-03T10:00:00"},
		{name: "InfluxDB", header: ",result,table,_start,_stop,_time,_value,_field", cells: []string{",,0,2026-06-03T09:00:00Z,2026-06-03T11:00:00Z,2026-06-03T10:00:00Z,36,speed"}, want: "2026-06-03T10:00:00"},
		{name: "colons in the date", header: "timestamp", cells: []string{"2026:06:03 10:00:00.5"}, want: "2026-06-03T10:00:00.500000"},
		{name: "a form that nobody knows", header: "timestamp", cells: []string{"2026/154 10h00", "2026/154 10h01"}, refused: `such as "2026/154 10h00" in line 2`},
		{name: "several", header: "begin,end,speed_kmh", cells: []string{"2026-06-03T10:00:00Z,2026-06-03T10:00:01Z,36"}, refused: "--time-column end"},
	} {
		got, refused := values(t, test.header+",x\n"+strings.Join(test.cells, ",1\n")+",1\n", label.Time, test.opt)
		at, err := time.Parse("2006-01-02T15:04:05.999999", test.want)
		last, err2 := record.ParseTime(got[strings.LastIndexByte(got, ' ')+1:])
		if test.refused == "" && (err != nil || err2 != nil || !last.Equal(at)) || (refused == "") != (test.refused == "") || !strings.Contains(refused, test.refused) {
			t.Errorf("%s: %s, %s; want %s, %s", test.name, got, refused, test.want, test.refused)
		}
	}
}

// A browser takes a text without a zone for one of its own; the vehicle's own
// column is given back as it was sent.
func TestTimesWithoutZone(t *testing.T) {
	t.Parallel()
	for header, want := range map[string]string{
		"Time":      "2026-06-03T10:00:00+00:00 2026-06-03T10:00:00.500000+00:00",
		"timestamp": "2026-06-03 10:00:00 2026-06-03T10:00:00.5",
	} {
		if got, refused := values(t, header+",x\n2026-06-03 10:00:00,1\n2026-06-03T10:00:00.5,1\n", label.Time, Options{}); got != want {
			t.Errorf("%s: %s %s; want %s", header, got, refused, want)
		}
	}
}

// What loggers number is no run, and what they say is missing no text.
func TestColumnsOfLoggers(t *testing.T) {
	t.Parallel()
	for _, test := range []struct{ text, column, want string }{
		{timed(",", "Session,speed_ms", "1,5", "2,6"), "Session", "1 2"},
		{timed(",", "Session,speed_ms", "M233,5", "M233,6"), "session_id", "M233 M233"},
		{timed(",", "session_id,speed_ms", "1,5"), "session_id", "1"},
		{timed(",", "voltage_v", `"48,25"`, `"47,5"`), "voltage_v", "48.25 47.5"},
		{timed(",", "speed_ms,power", "1,#DIV/0!", `2,\N`, "3,(null)", "4,-nan(ind)", "5,1.#QNAN", "6,-1.#IND"), "power_w", "     "},
		{timed("\t", "speed_ms", "5") + "MARK 001 - manual - Wed Jun 03 10:01:00 CEST 2026\n2026-06-03T10:00:09Z\t6\n", "speed_ms", "5 6"}, // TunerStudio
		{timed(",", "speed_ms", "5") + "\x1a", "speed_ms", "5"},
		{timed(",", "speed_ms", "5") + strings.Repeat("\x00", 5000), "speed_ms", "5"},
	} {
		if got, refused := values(t, test.text, test.column, Options{}); got != test.want || refused != "" {
			t.Errorf("%q: %q, %s; want %q", test.text, got, refused, test.want)
		}
	}
}

// A header is found below lines that look like one, and the one that has the
// columns which somebody names, wherever it stands.
func TestHeaderBelowOthers(t *testing.T) {
	t.Parallel()
	pairs := "\"Product\",\"flight data\"\n\"Log start datetime\",\"2026-06-03T10:00:00.000+00:00\"\n\"rates\",\"7,7,7\"\n"
	for i := range 120 {
		pairs += fmt.Sprintf("\"param %d\",\"%d\"\n", i, i)
	}
	labview := "Date\t2026/06/03\nTime\t10:00:00,0\n***End_of_Header***\t\t\nTime\t10:00:00,0\t10:00:00,0\nX_Dimension\tTime\tTime\nX0\t0,0E+0\t0,0E+0\nDelta_X\t0,2\t0,2\n***End_of_Header***\t\t\t\n" +
		"X_Value\tSpeed\tVoltage\tComment\n" + strings.Repeat("0,000000\t8,000\t48,000\n", 60)
	start := "2026-06-03T10:00:00Z"
	for _, test := range []struct {
		name, text string
		opt        Options
		want       int
		refused    string
	}{
		{name: "pairs of names and values", text: pairs + "\"loopIteration\",\"time (us)\",\"GPS_speed (m/s)\"\n0,120000000,8\n1,120200000,8.1\n", opt: Options{Start: start}, want: 2},
		{name: "a header that is named", text: labview, opt: Options{Start: start, TimeColumn: "X_Value"}, want: 60},
		{name: "a header that is mapped", text: labview, opt: Options{Start: start, Map: map[string]string{"X_Value": "timestamp [s]"}}, want: 60},
		{name: "a date and a clock that are named", text: "Time,10:00\nDay,Clock,v\n2026-06-03,10:00:01,3\n", opt: Options{TimeColumn: "Day+Clock"}, want: 1},
		{name: "blanks between columns", text: "time speed\n2026-06-03T10:00:00Z 8\n", refused: "commas, semicolons, tabs or bars"},
	} {
		got, err := readTable(t, strings.NewReader(test.text), test.opt)
		if (err != nil) != (test.refused != "") || err != nil && !strings.Contains(err.Error(), test.refused) || len(got.records) != test.want {
			t.Errorf("%s: %d records, %v; want %d, %s", test.name, len(got.records), err, test.want, test.refused)
		}
	}
}
