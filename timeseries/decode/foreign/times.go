package foreign

import (
	"bytes"
	"slices"
	"strconv"
	"strings"
	"time"
	_ "time/tzdata" // small images have no zones of their own

	"github.com/ecovolt/telemetryd/internal/fault"
	"github.com/ecovolt/telemetryd/timeseries/channel/unit"
	"github.com/ecovolt/telemetryd/timeseries/decode/foreign/label"
	"github.com/ecovolt/telemetryd/timeseries/decode/foreign/moment"
	"github.com/ecovolt/telemetryd/timeseries/decode/foreign/number"
	"github.com/ecovolt/telemetryd/timeseries/record"
)

// candidate is a column that may hold the records' times.
type candidate struct {
	column int
	rank   int // 0: by its content alone
	kind   kind
	micros float64 // of one unit, of epochTime
	unit   float64 // micros of the unit that its header or the mapping names; 0 without one
	excel  float64 // a number that may be one of the days that Excel counts; 0 for none
	line   int     // of the first number
	vague  bool    // numbers of a unit that nothing tells
	comma  bool
	filled int
	usual  int    // in a form that records may have
	alien  int    // texts with a date or a time in a form that nobody knows
	text   string // the first of these
	// dayFirst and monthFirst say that some date can only be read so.
	ambiguous, dayFirst, monthFirst, unzoned, zoned bool
	// yearFirst says that some date may be read so, notYear that some may not, and
	// digits that dates have nothing between their numbers.
	yearFirst, notYear, digits bool
}

func digits(text string) (n int) {
	for _, c := range []byte(text) {
		if c-'0' <= 9 {
			n++
		}
	}
	return n
}

// order notes whether a date may begin with its year.
func (c *candidate) order(m moment.Moment) {
	may := m.MayBeginWithYear()
	c.yearFirst, c.notYear = c.yearFirst || may, c.notYear || !may
}

// look judges a column by the head's records.
func (p *plan) look(i, rank int) candidate {
	c := candidate{column: i, rank: rank}
	name := p.labels[i].Name
	isDate := strings.Contains(name, "date") || strings.Contains(name, "datum")
	// Beside a date, 100000.2 is ten o'clock.
	beside := rank > 0 && slices.ContainsFunc(p.labels, func(l label.Label) bool { return label.TimeRank(l.Name) == label.DateRank })
	_, named, _ := p.mapped(i)
	var counts [5]int
	var numbers []float64
	clocks := 0
	cells := p.samples(i)
	if rank == 0 { // only a column of whole times counts
		var plain seen
		plain, cells = p.seen(i)
		if c.filled = plain.numbers; plain.numbers >= len(plain.odd) {
			return c
		}
	}
	for cell, line := range cells {
		if cell = number.Trim(cell); number.IsMissing(cell) {
			continue
		}
		c.filled++
		if isDate {
			if m, ok := moment.GPSDate(string(cell)); ok {
				counts[dateOnly]++
				c.digits = true
				c.order(m)
				continue
			}
		}
		if _, _, err := record.ParseTimestamp(cell); err == nil {
			counts[wholeTime]++
			c.usual++
			zoned := cell[len(cell)-1]|0x20 == 'z' || bytes.LastIndexAny(cell, "+-") > 10
			c.zoned, c.unzoned = c.zoned || zoned, c.unzoned || !zoned
			continue
		}
		text := string(cell)
		n, ok := number.Parse(cell, false, true)
		if !ok && number.HasComma(cell) {
			c.comma = true
			n, ok = number.Parse(cell, true, true)
		}
		if rank > 0 {
			if _, clock := moment.ParseDigits(text); clock {
				clocks++
			}
		}
		if (p.layout.vbo || beside || moment.IsClock(named)) && moment.IsDigits(text) {
			counts[clockOnly]++
			continue
		}
		if ok && !(isDate && moment.IsCompactDate(text)) {
			v, _ := strconv.ParseFloat(string(n), 64)
			if numbers = append(numbers, v); len(numbers) == 1 {
				c.line = line
			}
			continue
		}
		if rank == 0 && cell[0]-'0' > 9 {
			continue
		}
		m, ok := moment.Parse(text)
		switch {
		case !ok:
			if strings.ContainsAny(text, "123456789") && digits(text) >= 6 {
				if c.alien++; c.alien == 1 {
					c.text, c.line = text, line
				}
			}
			continue
		case m.HasDate() && m.Clock:
			counts[wholeTime]++
		case m.HasDate():
			counts[dateOnly]++
		default:
			counts[clockOnly]++
		}
		c.zoned, c.unzoned = c.zoned || m.Zoned, c.unzoned || !m.Zoned
		if m.First != 0 {
			c.ambiguous = true
			c.dayFirst = c.dayFirst || m.First > 12
			c.monthFirst = c.monthFirst || m.Second > 12
			c.order(m)
		}
	}
	for k, n := range counts {
		if n*2 > c.filled {
			c.kind = kind(k)
		}
	}
	if len(numbers)*2 > c.filled {
		c.kind = elapsed
		c.unit = p.timeUnit(i)
		step := number.UsualStep(numbers)
		if moment.IsExcel(named) {
			c.kind = excelTime
			return c
		}
		if c.unit == 0 && p.opt.Start == "" && moment.LikelyExcel(numbers) {
			c.excel = numbers[0]
			return c
		}
		if real := slices.DeleteFunc(slices.Clone(numbers), func(v float64) bool { return v <= 0 }); len(real) > 0 {
			slices.Sort(real)
			if c.micros = moment.EpochUnit(real[len(real)/2]); c.micros != 0 && (c.unit == c.micros || c.unit == 0 && step*c.micros < 3600e6) {
				c.kind = epochTime
			}
		}
		// Seconds are neither 10 s apart nor as close as parts of a day, as a rule.
		header := p.columns[i].unit
		c.vague = c.unit == 0 && (step >= 10 || step > 0 && (step < 1e-5 || step < 1e-4 && slices.Max(numbers) < 1) || clocks > 0 && clocks == len(numbers) || header != "" && !label.IsTimeUnit(header))
	}
	return c
}

// timeUnit returns the microseconds of the unit that a column counts in: the
// mapping's, else that of the header or at the end of its name; 0 if it has none.
func (p *plan) timeUnit(i int) float64 {
	_, named, _ := p.mapped(i)
	if named == "" {
		named = p.columns[i].unit
	}
	if name := p.labels[i].Name; named == "" {
		if at := strings.LastIndexByte(name, '_'); at >= 0 || strings.HasPrefix(name, "milli") {
			named = name[at+1:]
		}
	}
	if u, ok := unit.Lookup(named); ok && u.Dimension == "time" {
		return u.Num / u.Den * 1e6
	}
	return 0
}

// findTimes decides which columns tell the time, and how.
func (p *plan) findTimes() error {
	zone := time.UTC
	if p.opt.Timezone != "" {
		var err error
		if zone, err = time.LoadLocation(p.opt.Timezone); err != nil || p.opt.Timezone == "Local" {
			return fault.Field("timezone", "%q is no time zone such as Europe/Berlin or UTC", fault.Clip(p.opt.Timezone))
		}
	}
	p.times = times{zone: zone, micros: 1e6}
	chosen, err := p.chooseTime()
	if err != nil {
		return err
	}
	first := chosen[0]
	for _, c := range chosen { // a header may name the zone
		if named, ok := moment.Zone(p.columns[c.column].unit); ok && p.opt.Timezone == "" {
			zone, p.zoned = named, true
			p.times.zone = zone
		}
	}
	if first.alien > 0 && first.alien == first.filled {
		return fault.Field("time_column", "the column %q holds no times in a form that is known, such as %q in line %d: write them as 2026-06-03T10:00:00Z, or name another column with %s",
			fault.Clip(p.labels[first.column].Text), fault.Clip(first.text), first.line, p.ask("time_column", ""))
	}
	p.times.kind, p.times.comma = first.kind, first.comma
	// A browser takes a text without a zone for its own. The vehicle's own column
	// keeps such texts nevertheless: records are given back as they were sent.
	p.times.verbatim = !first.unzoned || p.labels[first.column].Text == label.Time
	p.times.asWritten = p.times.verbatim && zone == time.UTC && len(chosen) == 1 && first.usual == first.filled
	for _, c := range chosen {
		p.times.columns = append(p.times.columns, c.column)
		p.columns[c.column].Name, p.columns[c.column].Known = label.Time, true
	}
	p.times.dateColumn = len(chosen) == 2
	switch first.kind {
	case epochTime:
		p.times.micros = first.micros
	case excelTime:
		p.warnUnzoned()
		return nil
	case elapsed:
		if first.excel != 0 {
			label := fault.Clip(p.labels[first.column].Text)
			day := time.UnixMicro(moment.ExcelMicros(first.excel, nil)).UTC()
			return fault.Field("map", "the column %q looks like the days that Excel counts, of which %v in line %d is %s: write it as date and time into the file, or say so with %s",
				label, first.excel, first.line, day.Format(time.DateTime), p.ask("map", label+"=timestamp [Excel]"))
		}
		if first.vague {
			label := fault.Clip(p.labels[first.column].Text)
			return fault.Field("map", "nothing tells what the numbers of the column %q count: say so with %s, or with s, us, ns, min, h, day, or hhmmss for times of the day, in the place of ms",
				label, p.ask("map", label+"=timestamp [ms]"))
		}
		if first.unit != 0 {
			p.times.micros = first.unit
		}
		return p.startAt(first, zone, "counts the time since the log began: say when that was, such as "+p.ask("start", "2026-06-03T10:00:00Z"))
	case clockOnly:
		return p.startAt(first, zone, "tells the time of the day alone: give the day, such as "+p.ask("start", "2026-06-03")+" (with a time of its own, "+p.ask("start", "2026-06-03T10:00:00Z")+", the column counts from there)")
	}
	return p.orderDays(chosen)
}

// chooseTime returns one column, or the date's and the clock's.
func (p *plan) chooseTime() ([]candidate, error) {
	if name := p.opt.TimeColumn; name != "" {
		return p.namedTime(name)
	}
	var all []candidate
	for i, l := range p.labels {
		if to, _, ok := p.mapped(i); ok && to != label.Time {
			continue
		} else if ok {
			if _, named, _ := p.mapped(i); named != "" {
				if u, ok := unit.Lookup(named); (!ok || u.Dimension != "time") && !moment.IsExcel(named) && !moment.IsClock(named) {
					return nil, fault.Field("map", "%q is no unit of the times of the column %q: write s, ms, us, ns, min, h, day, hhmmss or Excel", fault.Clip(named), fault.Clip(l.Text))
				}
			}
			return p.namedTime(l.Text)
		}
		rank := label.TimeRank(l.Name)
		if to, _, ok := label.Target(l.Name); rank == 0 && ok && to != label.Time || l.Text == "" {
			continue
		}
		if c := p.look(i, rank); rank > 0 || c.kind == wholeTime {
			all = append(all, c)
		}
	}
	best := func(allowed ...kind) *candidate {
		var found *candidate
		for i := range all {
			c := &all[i]
			if !slices.Contains(allowed, c.kind) || c.filled*2 < p.mostFilled(all) {
				continue
			}
			if found == nil || c.rank > 0 && (found.rank == 0 || c.rank < found.rank) {
				found = c
			}
		}
		return found
	}
	whole, date, clock := best(wholeTime, epochTime), best(dateOnly), best(clockOnly)
	if whole != nil && whole.rank == 0 {
		for _, c := range all {
			if c.column > whole.column && c.kind == wholeTime && c.filled*2 >= p.mostFilled(all) && (date == nil || clock == nil) {
				return nil, fault.Field("time_column", "the columns %q and %q hold times: say which is the records' with %s",
					fault.Clip(p.labels[whole.column].Text), fault.Clip(p.labels[c.column].Text), p.ask("time_column", p.labels[c.column].Text))
			}
		}
	}
	if whole != nil && (whole.rank > 0 || date == nil || clock == nil) {
		return []candidate{*whole}, nil
	}
	if date != nil && clock != nil {
		return []candidate{*date, *clock}, nil
	}
	// A column named timestamp is the time, whatever its records say.
	for _, c := range all {
		if name := p.labels[c.column].Name; c.kind == notTime && (c.rank == 1 || name == "time" || name == "datetime") {
			return []candidate{c}, nil
		}
	}
	if clock != nil {
		return []candidate{*clock}, nil
	}
	if c := best(elapsed); c != nil {
		return []candidate{*c}, nil
	}
	if date != nil {
		return []candidate{*date}, nil
	}
	if len(p.labels) == 1 && strings.ContainsRune(p.labels[0].Text, ' ') {
		return nil, fault.Field(label.Time, "the header %s is one column: columns are parted by commas, semicolons, tabs or bars", p.headerList())
	}
	return nil, fault.Field(label.Time, "the header has no column of that name, nor another one of times; name it with %s; the columns are %s", p.ask("time_column", ""), p.headerList())
}

func (p *plan) mostFilled(all []candidate) int {
	most := 0
	for _, c := range all {
		most = max(most, c.filled)
	}
	return most
}

// namedTime is the column of Options.TimeColumn, or two of them, as in Date+Time.
func (p *plan) namedTime(name string) ([]candidate, error) {
	if i := p.column(name); i >= 0 {
		c := p.look(i, 1)
		if c.kind == notTime && c.filled > 0 {
			return nil, fault.Field("time_column", "the column %q holds no times", fault.Clip(name))
		}
		return []candidate{c}, nil
	}
	if date, clock, ok := strings.Cut(name, "+"); ok {
		if i, j := p.column(date), p.column(clock); i >= 0 && j >= 0 {
			return []candidate{p.look(i, 1), p.look(j, 1)}, nil
		}
	}
	return nil, fault.Field("time_column", "the file has no column %q; it has %s", fault.Clip(name), p.headerList())
}

// startAt sets the start of a log whose times do not tell it.
func (p *plan) startAt(c candidate, zone *time.Location, ask string) error {
	text, from := p.opt.Start, p.ask("start", "")
	if text == "" && p.layout.vbo {
		text, from = p.vboDay(), "the file's first line"
	}
	if text == "" {
		return fault.Field("start", "the column %q %s", fault.Clip(p.labels[c.column].Text), ask+p.hint())
	}
	m, ok := moment.Parse(text)
	if !ok || !m.HasDate() || m.First != 0 {
		return fault.Field("start", "%q is no date and time such as 2026-06-03T10:00:00Z", fault.Clip(text))
	}
	if p.layout.vbo {
		m.Zoned = true // its times are UTC
		m.Micros = 0
	}
	p.times.start = m.At(zone)
	note := "times start at " + record.FormatTime(time.UnixMicro(p.times.start)) + ", by " + from
	if !m.Zoned && p.opt.Timezone == "" && !p.zoned {
		note += ", taken as UTC"
	}
	p.warnings = append(p.warnings, note)
	return nil
}

// hint repeats what the lines above the header say of dates and times.
func (p *plan) hint() string {
	var said []string
	for _, r := range p.layout.rows[:max(p.layout.header, 0)] {
		low := strings.ToLower(string(r.raw))
		if len(r.raw) < 120 && (strings.Contains(low, "date") || strings.Contains(low, "time") || strings.Contains(low, "created")) && strings.ContainsAny(low, "0123456789") {
			said = append(said, strings.ReplaceAll(string(number.Trim(r.raw)), `"`, ""))
		}
	}
	if len(said) == 0 {
		return ""
	}
	return " (above the header the file says: " + strings.Join(said[:min(len(said), 4)], "; ") + ")"
}

// vboDay reads the day of "File created on 14/11/2005 @ 13:57:42"; Racelogic
// writes the day first.
func (p *plan) vboDay() string {
	for _, r := range p.layout.rows[:min(len(p.layout.rows), 5)] {
		fields := strings.Fields(string(r.raw))
		if len(fields) >= 4 && strings.EqualFold(strings.Join(fields[:3], " "), "file created on") {
			if m, ok := moment.Parse(fields[3]); ok && m.Order(moment.DayFirst) {
				return time.UnixMicro(m.At(nil)).UTC().Format(time.DateOnly)
			}
		}
	}
	return ""
}

func (p *plan) warnUnzoned() {
	if p.opt.Timezone == "" && !p.zoned {
		p.warnings = append(p.warnings, "times name no zone and are taken as UTC; "+p.ask("timezone", "")+" says otherwise")
	}
}

// orderDays settles whether days or months come first.
func (p *plan) orderDays(chosen []candidate) error {
	first := chosen[0]
	if first.kind != wholeTime && first.kind != dateOnly && first.kind != notTime {
		return nil
	}
	unzoned := first.unzoned
	if len(chosen) == 2 {
		unzoned = !chosen[1].zoned
		if first.kind != dateOnly || chosen[1].kind != clockOnly {
			return fault.Field("time_column", "%q and %q are not a date and a time of the day", fault.Clip(p.labels[first.column].Text), fault.Clip(p.labels[chosen[1].column].Text))
		}
	}
	if unzoned && first.kind != notTime {
		p.warnUnzoned()
	}
	said := p.opt.DayFirst
	if first.digits || first.yearFirst && !first.notYear {
		if said == nil && !first.notYear {
			return fault.Field("day_first", "the dates of the column %q may begin with the day or with the year: say %s for the day, or %s",
				fault.Clip(p.labels[first.column].Text), p.ask("day_first", "true"), p.ask("day_first", "false"))
		}
		if said != nil && !*said {
			p.times.order, p.warnings = moment.YearFirst, append(p.warnings, "dates are taken as year, month and day")
			return nil
		}
		p.warnings = append(p.warnings, "dates are taken as day, month and year")
	}
	if !first.ambiguous {
		return nil
	}
	switch {
	case first.dayFirst && first.monthFirst:
		return fault.Field("day_first", "the dates of the column %q begin with the day here and with the month there", fault.Clip(p.labels[first.column].Text))
	case said == nil && !first.dayFirst && !first.monthFirst:
		return fault.Field("day_first", "day and month of the column %q cannot be told apart: say which comes first with %s or %s",
			fault.Clip(p.labels[first.column].Text), p.ask("day_first", "true"), p.ask("day_first", "false"))
	case said != nil && (*said && first.monthFirst || !*said && first.dayFirst):
		return fault.Field("day_first", "the dates of the column %q are the other way round", fault.Clip(p.labels[first.column].Text))
	case said != nil && *said, said == nil && first.dayFirst:
		p.times.order = moment.DayFirst
	}
	return nil
}
