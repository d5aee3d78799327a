package foreign

import (
	"fmt"
	"iter"
	"maps"
	"math"
	"slices"
	"strconv"
	"strings"
	"unicode"

	"github.com/ecovolt/telemetryd/internal/fault"
	"github.com/ecovolt/telemetryd/timeseries/channel"
	"github.com/ecovolt/telemetryd/timeseries/channel/unit"
	"github.com/ecovolt/telemetryd/timeseries/decode/foreign/label"
	"github.com/ecovolt/telemetryd/timeseries/decode/foreign/number"
)

// Column is what becomes of one column of the file.
type Column struct {
	Label string // its header, as written
	// Name is the member of the record that it becomes: a channel, session_id,
	// timestamp, or a name of its own. It is empty for what is left out.
	Name string
	// Text says that cells of a column of its own are texts, even where one
	// looks like a number.
	Text bool
	// Known says that Name is one that records have, such as a channel's.
	Known bool

	numeric    bool // a channel of numbers
	unit       string
	source     string
	convert    *unit.Conversion
	comma      bool
	hemisphere *hemisphere // tells its sign
	group      byte        // the sign that parts thousands, if any
	toUnit     string
	plain      bool // a usual number stays as it is
}

// plan decides what becomes of the columns.
type plan struct {
	opt      Options
	layout   *layout
	records  []*row // the head's
	counts   []seen // nil before they are counted
	labels   []label.Label
	columns  []Column
	times    times
	zoned    bool // a header says in which zone
	warnings []string
	profile  string
}

// newPlan returns an Invalid fault where something has to be asked for.
func newPlan(l *layout, opt Options) (*plan, error) {
	p := &plan{opt: opt, layout: l}
	for _, cell := range l.names {
		p.labels = append(p.labels, label.Read(string(cell)))
	}
	p.columns = make([]Column, len(p.labels))
	for i, l := range p.labels {
		p.columns[i] = Column{Label: l.Text, unit: l.Unit}
	}
	p.asides()
	if err := p.checkMap(); err != nil {
		return nil, err
	}
	if err := p.useProfile(); err != nil {
		return nil, err
	}
	if err := p.findTimes(); err != nil {
		return nil, err
	}
	if err := p.findChannels(); err != nil {
		return nil, err
	}
	p.nameOwn()
	p.findHemispheres()
	if err := p.findDecimals(); err != nil {
		return nil, err
	}
	for i := range p.columns {
		p.judge(i)
	}
	return p, nil
}

// asides takes units and sources from the rows between header and records.
func (p *plan) asides() {
	haveUnits := false
	for _, at := range p.layout.between {
		cells := p.layout.rows[at].cells
		units, others := unitCells(cells), 0
		for _, c := range cells {
			if label.IsSource(string(number.Trim(c))) {
				others++
			}
		}
		isUnits := !haveUnits && (units > others || others == 0)
		haveUnits = haveUnits || isUnits
		for i := range p.columns {
			if i >= len(cells) {
				break
			}
			text := strings.Trim(string(number.Trim(cells[i])), "[]()")
			switch {
			case text == "":
			case isUnits:
				p.columns[i].unit = text
			case label.IsSource(text):
				p.columns[i].source = strings.TrimSpace(text[strings.IndexByte(text, ':')+1:])
			}
		}
	}
}

// column finds a column by what a person calls it: its header, even without
// its unit, in any case; -1 if there is none.
func (p *plan) column(name string) int {
	name = strings.TrimSpace(name)
	for i, l := range p.labels {
		if l.Text == name {
			return i
		}
	}
	for i, l := range p.labels {
		if l.Name == label.Normal(name) || strings.EqualFold(l.Text, name) {
			return i
		}
	}
	return -1
}

// mapped returns what the options say of a column: the channel, and the unit
// that follows it in brackets.
func (p *plan) mapped(i int) (to, unit string, ok bool) {
	what, ok := p.opt.Map[p.labels[i].Text]
	if !ok || p.column(p.labels[i].Text) != i {
		return "", "", false
	}
	to, unit, _ = strings.Cut(what, "[")
	return strings.TrimSpace(to), strings.TrimSpace(strings.TrimSuffix(strings.TrimSpace(unit), "]")), true
}

// checkMap refuses what the caller says of columns where that cannot be meant,
// whatever a profile adds, and has the others go by their headers.
func (p *plan) checkMap() error {
	byHeader, said := map[string]string{}, map[int]string{}
	for _, from := range slices.Sorted(maps.Keys(p.opt.Map)) {
		to, i := p.opt.Map[from], p.column(from)
		if i < 0 {
			return fault.Field("map", "the file has no column %q; it has %s", fault.Clip(from), p.headerList())
		}
		if name, _, _ := strings.Cut(to, "["); strings.TrimSpace(name) == "" {
			return fault.Field("map", "%q is mapped to nothing: write %s", fault.Clip(from), p.ask("map", fault.Clip(from)+"=voltage_v"))
		}
		if other, ok := said[i]; ok {
			return fault.Field("map", "%q and %q are one column, %q: map it once", fault.Clip(other), fault.Clip(from), fault.Clip(p.labels[i].Text))
		}
		said[i], byHeader[p.labels[i].Text] = from, to
	}
	p.opt.Map = byHeader
	return nil
}

func (p *plan) headerList() string {
	var names []string
	for _, l := range p.labels {
		if l.Text != "" {
			names = append(names, fmt.Sprintf("%q", fault.Clip(l.Text)))
		}
	}
	if len(names) > 12 {
		names = append(names[:12], "...")
	}
	if len(names) == 0 {
		return "no header"
	}
	return strings.Join(names, ", ")
}

// findChannels says which columns are channels. Of two for one channel the
// channel's own name wins, else the first.
func (p *plan) findChannels() error {
	taken, sure := map[string]int{}, map[string]bool{}
	for i := range p.columns {
		c := &p.columns[i]
		if c.Name == label.Time {
			continue
		}
		to, in, ok := p.mapped(i)
		exact := ok
		if ok {
			if strings.ContainsFunc(to, func(r rune) bool {
				return !unicode.IsLetter(r) && !unicode.IsDigit(r) && !strings.ContainsRune("_-.", r)
			}) {
				return fault.Field("map", "%q, which the column %q is mapped to, is no name of a channel; a unit stands in brackets: %s", fault.Clip(to), fault.Clip(c.Label), p.ask("map", "Speed=speed_ms[km/h]"))
			}
			if in != "" {
				c.unit = in
			}
		} else {
			if to, in, ok = label.Target(p.labels[i].Name); !ok && (c.unit == "" || label.IsSource(c.unit)) {
				to, in, ok = label.Worded(p.labels[i].Text)
			}
			// What loggers number is no run.
			if !ok || to == label.Time || to == label.Session && p.labels[i].Name != label.Session && p.numbered(i) {
				continue
			}
			exact = to == p.labels[i].Name
			if c.unit == "" || label.IsSource(c.unit) {
				c.unit = in
			}
		}
		if before, ok := taken[to]; ok {
			if !exact || sure[to] {
				continue
			}
			p.columns[before].Name, p.columns[before].Known = "", false
		}
		taken[to], sure[to] = i, exact
		c.Name, c.Known = to, label.IsMember(to)
	}
	for i := range p.columns {
		c := &p.columns[i]
		ch, ok := channel.ByName(c.Name)
		if !ok {
			c.numeric = p.layout.vbo && c.Name == "" // Racelogic pads all numbers with zeros
			continue
		}
		if c.numeric = ch.Type == channel.Float || ch.Type == channel.Int; !c.numeric {
			continue
		}
		c.toUnit = ch.Unit
		if p.layout.vbo {
			p.vboUnit(i)
		}
		if c.unit == "" || c.unit == ch.Unit {
			continue
		}
		conversion, same, ok := unit.Convert(c.unit, ch.Unit)
		if !ok {
			return fault.Field(fault.Clip(c.Label), "the unit %q of this column cannot be turned into %s's, %s; if it is another one, name it: %s",
				fault.Clip(c.unit), c.Name, unitName(ch.Unit), p.ask("map", fmt.Sprintf("%s=%s [%s]", fault.Clip(c.Label), c.Name, unitName(ch.Unit))))
		}
		if !same {
			c.convert = &conversion
		}
	}
	return nil
}

// numbered reports whether a column's cells are whole numbers below a million.
func (p *plan) numbered(i int) bool {
	for cell := range p.samples(i) {
		if n, err := strconv.ParseFloat(string(number.Trim(cell)), 64); !number.IsMissing(cell) && (err != nil || n != math.Trunc(n) || n > 1e6) {
			return false
		}
	}
	return true
}

func unitName(unit string) string {
	if unit == "" {
		return "none"
	}
	return unit
}

// vboUnit sets what Racelogic's format says of its columns: positions are in
// minutes, west is positive, and speed is in km/h.
func (p *plan) vboUnit(i int) {
	c := &p.columns[i]
	switch p.labels[i].Name {
	case "lat":
		c.unit = "arcmin"
	case "long":
		c.unit = "arcmin-west"
	case "velocity":
		c.unit = "km/h"
	}
}

// nameOwn names the columns that are no channel. No two have one name.
func (p *plan) nameOwn() {
	count := map[string]int{}
	for _, c := range p.columns {
		count[c.Label]++
	}
	used := map[string]bool{label.Extra: true}
	for _, c := range p.columns {
		used[c.Name] = c.Name != ""
	}
	tried := map[string]int{} // by label: the numbers below are taken, so many columns of one label do not try them all
	for i := range p.columns {
		c := &p.columns[i]
		if c.Name != "" || c.Label == "" {
			continue
		}
		if strings.HasPrefix(c.Label, "_") { // no measurement, but what an answer of ours had
			c.Name = c.Label
			continue
		}
		if p.inOwnUnit(c, used) {
			continue
		}
		name := c.Label
		if count[name] > 1 && c.source != "" {
			name = fmt.Sprintf("%s (%s)", c.Label, c.source)
		}
		for n := max(2, tried[c.Label]); used[name] || label.IsMember(name); n++ {
			name = fmt.Sprintf("%s (%d)", c.Label, n)
			tried[c.Label] = n
		}
		used[name] = true
		c.Name = name
	}
}

// inOwnUnit makes a column whose header has another unit than the member it names
// that member, unless another column has its name.
func (p *plan) inOwnUnit(c *Column, used map[string]bool) bool {
	member, ok := strings.CutSuffix(c.Label, " ("+c.unit+")")
	if !ok || c.unit == "" || p.opt.Unit == nil || used[member] {
		return false
	}
	to := p.opt.Unit(member)
	conversion, same, ok := unit.Convert(c.unit, to)
	if !ok || same {
		return false
	}
	c.Name, c.toUnit, c.convert = member, to, &conversion
	used[member] = true
	return true
}

// samples are the cells of a column in the head's records, and their lines.
func (p *plan) samples(i int) iter.Seq2[[]byte, int] {
	if p.records == nil {
		p.records = p.layout.records()
	}
	return func(yield func(cell []byte, line int) bool) {
		for _, r := range p.records {
			if i < len(r.cells) && !yield(r.cells[i], r.line) {
				return
			}
		}
	}
}

// judge looks at a column's cells: whether they have a decimal comma, and, in a
// column of its own, whether they are numbers or texts.
func (p *plan) judge(i int) {
	c := &p.columns[i]
	if c.Known && !c.numeric || c.Name == "" || c.Name == label.Time {
		return
	}
	if c.numeric && p.layout.sep == ',' && !p.layout.quoted && c.convert == nil && c.Name == c.Label && c.group == 0 {
		return // as the bridge and our own exports have it
	}
	plain, cells := p.seen(i)
	points := plain.n[number.Decimal][pointSign]
	if c.group != '.' {
		points += plain.n[number.OneGroup][pointSign]
	}
	numbers, commas, ids, capitals, words := plain.numbers, 0, 0, 0, 0
	for cell := range cells {
		cell = c.ungroup(cell)
		switch {
		case number.IsMissing(cell):
		case number.Is(cell), c.numeric && number.IsLoose(cell):
			numbers++
			if strings.ContainsAny(string(cell), ".eE") {
				points++
			}
		case number.HasComma(cell):
			commas++
		case number.HasLeadingZero(cell):
			ids++
		case number.IsHex(cell):
			if strings.ContainsAny(string(cell), "0123456789") {
				ids++
			} else {
				capitals++
			}
		default:
			words++
		}
	}
	c.comma = commas > 0 && points == 0 || c.group == '.'
	if c.comma {
		numbers += commas
	} else {
		words += commas
	}
	if points == 0 && commas == 0 {
		ids += capitals
	} else {
		words += capitals
	}
	c.Text = ids > 0 || words > numbers
}
