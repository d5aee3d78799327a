package foreign

import (
	"bytes"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"text/tabwriter"

	"github.com/ecovolt/telemetryd/timeseries/channel"
	"github.com/ecovolt/telemetryd/timeseries/decode/foreign/label"
	"github.com/ecovolt/telemetryd/timeseries/decode/foreign/number"
)

// Table is what a person is shown before a file is stored: how it was read, and
// what becomes of each column.
type Table struct {
	Format   string        `json:"format"`            // such as "separator ;, decimal comma, header on line 4"
	Profile  string        `json:"profile,omitempty"` // the kind of file that it was taken for
	Records  int           `json:"records"`
	Columns  []TableColumn `json:"columns"`
	Warnings []string      `json:"warnings,omitempty"`
}

// TableColumn is one column of the file.
type TableColumn struct {
	Column     string   `json:"column"`               // as the header has it
	Becomes    string   `json:"becomes"`              // member of the record; "" where the column is left out
	Channel    bool     `json:"channel"`              // whether that is a known channel, session_id or timestamp
	Conversion string   `json:"conversion,omitempty"` // such as "km/h to m/s"
	Filled     float64  `json:"filled"`               // share of the records that have a value, 0 to 1
	First      string   `json:"first,omitempty"`      // as stored
	Last       string   `json:"last,omitempty"`
	Min        *float64 `json:"min,omitempty"`
	Max        *float64 `json:"max,omitempty"`
	Warnings   []string `json:"warnings,omitempty"`
}

// tally is what was seen of each column's values.
type tally struct {
	filled      []int
	first, last [][]byte
}

// shown bounds a value in the table.
const shown = 40

func (t *tally) add(columns []Column, cells [][]byte, saw func(i int, v float64)) {
	for i, cell := range cells {
		c := &columns[i]
		if len(cell) == 0 || c.numeric && number.IsMissing(cell) {
			continue
		}
		if t.filled[i]++; t.filled[i] == 1 {
			t.first[i] = bytes.Clone(cell[:min(len(cell), 4*shown)])
		}
		t.last[i] = append(t.last[i][:0], cell[:min(len(cell), 4*shown)]...)
		if c.Text || c.Name == label.Time || c.Known && !c.numeric {
			continue
		}
		if v, err := strconv.ParseFloat(string(number.Trim(cell)), 64); err == nil {
			saw(i, v)
		}
	}
}

// Saw notes a value of a column, for Table.
func (r *Reader) Saw(column int, v float64) {
	if s := r.seen[column]; s != nil {
		s[0], s[1] = min(s[0], v), max(s[1], v)
		return
	}
	r.seen[column] = []float64{v, v}
}

// Expected reports whether Table knows in which range values of a channel are expected.
func Expected(name string) bool { return expected[name] != [2]float64{} }

func clip(cell []byte) string {
	if text := bytes.Runes(cell); len(text) > shown {
		return string(text[:shown]) + "..."
	}
	return string(cell)
}

// Table tells what becomes of the file; of its values, as far as it was read
// with Options.Tally or Saw was told of them.
func (r *Reader) Table() Table {
	p := r.plan
	t := Table{Format: r.format(), Profile: p.profile, Records: r.records, Warnings: slices.Clone(p.warnings)}
	for i := range p.columns {
		c := &p.columns[i]
		if c.Name == "" && c.Label == "" {
			continue
		}
		row := TableColumn{Column: c.Label, Becomes: c.Name, Channel: c.Known}
		row.Conversion = p.conversionOf(i)
		at := i
		if c.Name == label.Time { // a date and a time of the day are one value
			at = p.times.columns[0]
		}
		if r.tally != nil && r.records > 0 {
			row.Filled, row.First, row.Last = float64(r.tally.filled[at])/float64(r.records), clip(r.tally.first[at]), clip(r.tally.last[at])
		}
		if s := r.seen[at]; s != nil {
			row.Min, row.Max = &s[0], &s[1]
		}
		row.Warnings = p.warn(i, row.Min, row.Max)
		t.Columns = append(t.Columns, row)
	}
	return t
}

// format describes the dialect.
func (r *Reader) format() string {
	l := r.plan.layout
	name := map[byte]string{',': "comma", ';': "semicolon", '\t': "tab", '|': "bar", ' ': "blank"}[l.sep]
	if name == "" {
		name = strconv.QuoteRune(rune(l.sep))
	}
	parts := []string{r.encoding, "separator " + name}
	if slices.ContainsFunc(r.plan.columns, func(c Column) bool { return c.comma }) || r.plan.times.comma {
		parts = append(parts, "decimal comma")
	}
	if l.header >= 0 {
		parts = append(parts, fmt.Sprintf("header on line %d", l.headerLine))
	}
	return strings.Join(parts, ", ")
}

// conversionOf says in words what is done to a column's cells.
func (p *plan) conversionOf(i int) string {
	c := &p.columns[i]
	if c.Name == label.Time {
		t := &p.times
		switch {
		case t.dateColumn:
			return "date and time of the day"
		case t.kind == epochTime:
			return map[float64]string{1e6: "seconds", 1e3: "milliseconds", 1: "microseconds", 1e-3: "nanoseconds"}[t.micros] + " since 1970"
		case t.kind == elapsed:
			return map[float64]string{1e6: "seconds", 1e3: "milliseconds", 1: "microseconds", 6e7: "minutes", 36e8: "hours"}[t.micros] + " since the start"
		case t.kind == excelTime:
			return "days since 1899-12-30"
		case t.kind == clockOnly:
			return "time of the day"
		}
		return ""
	}
	var said []string
	switch h := c.hemisphere; {
	case h != nil && h.column == i:
		said = append(said, "sign by its letter")
	case h != nil:
		said = append(said, fmt.Sprintf("sign by column %q", p.columns[h.column].Label))
	}
	switch {
	case c.convert != nil:
		said = append(said, c.unit+" to "+c.toUnit)
	case !c.Known && c.Text:
		said = append(said, "text")
	}
	return strings.Join(said, ", ")
}

// expected is the range in which values of a channel are believed without a
// word, in its own unit, for a small electric car. It only warns: whoever
// exports km/h under a bare "Speed" is told before anything is stored.
var expected = map[string][2]float64{
	"speed_ms": {-1, 20}, "voltage_v": {0, 120}, "current_a": {-300, 300}, "power_w": {-2e4, 2e4},
	"latitude": {-90, 90}, "longitude": {-180, 180}, "altitude_m": {-500, 9000}, "vehicle_heading": {-180, 360},
	"accel_x": {-60, 60}, "accel_y": {-60, 60}, "accel_z": {-60, 60}, "motor_temp_c": {-40, 200}, "motor_rpm": {-2e4, 2e4},
	"throttle_pct": {0, 100}, "brake_pct": {0, 100}, "brake2_pct": {0, 100}, "throttle": {0, 1}, "brake": {0, 1}, "brake2": {0, 1},
}

// warn says what a person should know of a column.
func (p *plan) warn(i int, lowest, highest *float64) (out []string) {
	c := &p.columns[i]
	switch {
	case c.Name == "" && c.Label != "":
		return []string{"left out"}
	case c.Name == label.Time || c.Name == label.Session:
		return nil
	case !c.Known:
		if strings.HasPrefix(c.Name, "_") {
			return nil
		}
		return []string{"no known channel; kept under its own name"}
	}
	ch, ok := channel.ByName(c.Name)
	if !ok || !c.numeric {
		return nil
	}
	if c.unit == "" && c.Name != p.labels[i].Name {
		out = append(out, "names no unit; taken as "+unitName(ch.Unit))
	}
	if limits, ok := expected[c.Name]; ok && lowest != nil && (*lowest < limits[0] || *highest > limits[1]) {
		out = append(out, fmt.Sprintf("%g..%g %s is more than expected (%g..%g): is it in another unit?", *lowest, *highest, ch.Unit, limits[0], limits[1]))
		if c.Name == "latitude" || c.Name == "longitude" {
			out[len(out)-1] += " Say so with " + p.ask("map", c.Label+"="+c.Name+" [ddmm]") + " for degrees and minutes, or [degE7]"
		}
	}
	return out
}

// Notes are the lines of the table that a person should see after an import:
// columns that changed their name or unit, or that no channel stands for.
func (t Table) Notes() (notes []string) {
	for _, c := range t.Columns {
		parts := slices.Clone(c.Warnings)
		if c.Conversion != "" && c.Channel {
			parts = slices.Insert(parts, 0, c.Conversion)
		}
		if c.Channel && c.Becomes != label.Normal(c.Column) {
			parts = slices.Insert(parts, 0, "becomes "+c.Becomes)
		}
		if len(parts) > 0 {
			notes = append(notes, fmt.Sprintf("column %q: %s", flat(c.Column), strings.Join(parts, "; ")))
		}
	}
	return append(notes, t.Warnings...)
}

// String is the table for a terminal.
func (t Table) String() string {
	var b strings.Builder
	b.WriteString(t.Format)
	if t.Profile != "" {
		fmt.Fprintf(&b, "; %s", t.Profile)
	}
	b.WriteByte('\n')
	w := tabwriter.NewWriter(&b, 0, 0, 2, ' ', 0)
	fmt.Fprintln(w, "COLUMN\tBECOMES\tCONVERSION\tFILLED\tFIRST\tLAST\tMIN..MAX\tWARNINGS")
	for _, c := range t.Columns {
		bounds := ""
		if c.Min != nil {
			bounds = fmt.Sprintf("%g..%g", *c.Min, *c.Max)
		}
		fmt.Fprintf(w, "%s\t%s\t%s\t%.0f %%\t%s\t%s\t%s\t%s\n", flat(c.Column), flat(c.Becomes), flat(c.Conversion), 100*c.Filled, flat(c.First), flat(c.Last), bounds, strings.Join(c.Warnings, "; "))
	}
	_ = w.Flush() // into memory
	for _, warning := range t.Warnings {
		fmt.Fprintf(&b, "%s\n", warning)
	}
	return b.String()
}

// flat keeps a text of the file on its line and out of the terminal's control.
func flat(text string) string {
	return strings.Map(func(r rune) rune {
		if r < ' ' || r == 0x7f {
			return ' '
		}
		return r
	}, text)
}
