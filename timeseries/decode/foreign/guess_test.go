package foreign

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/ecovolt/telemetryd/internal/fault"
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
		got, refused := values(t, test.header+",speed_ms\n"+test.cell+",1\n", timeName, opt)
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
