package foreign

import (
	"fmt"
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
