package foreign

import (
	"math"
	"regexp"
	"strconv"
	"strings"
	"time"

	"github.com/ecovolt/telemetryd/timeseries/record"
)

// kind is what the cells of a column say about time.
type kind int

const (
	notTime kind = iota
	wholeTime
	dateOnly
	clockOnly
	epochTime // a number since 1970
	elapsed   // a number since the log's start
	excelTime // days as Excel counts them
)

// moment is a date and time as it stands in a cell.
type moment struct {
	year, month, day int // year 0: no date
	// first and second are the first two numbers of a date such as 03.06.2026,
	// whose order is not known.
	first, second int
	clock         bool
	micros        int64 // of the day
	zoned         bool
	offset        int // minutes east
}

func (m moment) hasDate() bool { return m.year != 0 }

var (
	clockPattern = regexp.MustCompile(`(?i)(?:^|[T ])(\d{1,2}):(\d{2})(?::(\d{2})(?:[.,:](\d{1,9}))?)?(?: ?([ap])\.?m\.?)?`)
	// Digits without colons, as GPS receivers write the time: hhmmss.sss.
	bareClock   = regexp.MustCompile(`^(\d{2})(\d{2})(\d{2})(?:\.(\d{1,9}))?$`)
	basicFormat = regexp.MustCompile(`^(\d{8})[T ](\d{2})(\d{2})(\d{2})((?:\.\d+)? ?[Z+-]?.*)$`)
	yearFirst   = regexp.MustCompile(`^(\d{4})[-/.](\d{1,2})[-/.](\d{1,2})$`)
	compactDate = regexp.MustCompile(`^(20\d{2})(\d{2})(\d{2})$`)
	yearLast    = regexp.MustCompile(`^(\d{1,2})[-/. ](\d{1,2})[-/. ](\d{4}|\d{2})$`)
	namedMonth  = regexp.MustCompile(`^(\d{1,2})[-/. ]{1,2}([A-Za-z]{3,9})[-/., ]{1,2}(\d{4}|\d{2})$`)
	monthFirst  = regexp.MustCompile(`^([A-Za-z]{3,9})\.? (\d{1,2}),? (\d{4})$`)
	weekday     = regexp.MustCompile(`^(?i)(?:mon|tue|wed|thu|fri|sat|sun)[a-z]*,? `)
	zonePattern = regexp.MustCompile(`^(?i)(?:(z|utc|gmt)|(?:utc|gmt)?([+-])(\d{1,2}):?(\d{2})?)$`)
	gpsDate     = regexp.MustCompile(`^(\d{2})(\d{2})(\d{2})$`) // ddmmyy, of NMEA 0183's RMC
)

// parse reads a date, a time of the day, or both.
func parse(text string) (m moment, ok bool) {
	if len(text) > 64 {
		return m, false
	}
	if text = strings.Join(strings.Fields(text), " "); len(text) < 4 || !strings.ContainsAny(text, "0123456789") {
		return m, false
	}
	if len(text) > 14 && (text[8] == 'T' || text[8] == ' ') {
		text = basicFormat.ReplaceAllString(text, "$1 $2:$3:$4$5")
	}
	date, zone := text, ""
	if strings.IndexByte(text, ':') < 0 { // a day alone, which is shorter than most words
		if len(text) > 20 {
			return m, false
		}
	} else if at := clockPattern.FindStringSubmatchIndex(text); at != nil {
		part := func(i int) string {
			if at[2*i] < 0 {
				return ""
			}
			return text[at[2*i]:at[2*i+1]]
		}
		if m, ok = clockOf(part(1), part(2), part(3), part(4), part(5)); !ok {
			return m, false
		}
		date, zone = strings.TrimRight(text[:at[0]], " ,T"), strings.TrimSpace(text[at[1]:])
		// Java's Date: Wed Jun 03 10:00:00 GMT+02:00 2026.
		if i := strings.LastIndexByte(zone, ' '); i >= 0 && len(zone)-i == 5 && weekday.MatchString(date) {
			date, zone = date+" "+zone[i+1:], zone[:i]
		}
	}
	if date != "" {
		if date[0]-'0' > 9 {
			date = weekday.ReplaceAllString(date, "")
		}
		if ok = m.readDate(date); !ok {
			return m, false
		}
	}
	if zone != "" {
		z := zonePattern.FindStringSubmatch(zone)
		if z == nil {
			return m, false
		}
		m.zoned = true
		if z[2] != "" {
			hours, _ := strconv.Atoi(z[3])
			minutes, _ := strconv.Atoi(z[4])
			if hours > 23 || minutes > 59 {
				return m, false
			}
			m.offset = hours*60 + minutes
			if z[2] == "-" {
				m.offset = -m.offset
			}
		}
	}
	return m, m.clock || m.hasDate()
}

func clockOf(hour, minute, second, fraction, half string) (m moment, ok bool) {
	h, _ := strconv.Atoi(hour)
	min, _ := strconv.Atoi(minute)
	s, _ := strconv.Atoi(second)
	switch strings.ToLower(half) {
	case "a":
		h %= 12
	case "p":
		h = h%12 + 12
	}
	if h > 23 || min > 59 || s > 59 {
		return m, false
	}
	f, _ := strconv.Atoi((fraction + "000000")[:6])
	m.clock = true
	m.micros = int64(h*3600+min*60+s)*1e6 + int64(f)
	return m, true
}

func (m *moment) readDate(text string) bool {
	if text == "" || text[0]-'0' > 9 {
		d := monthFirst.FindStringSubmatch(text)
		return d != nil && m.setDate(d[3], monthNumber(d[1]), d[2])
	}
	if d := yearFirst.FindStringSubmatch(text); d != nil {
		return m.setDate(d[1], d[2], d[3])
	}
	if d := compactDate.FindStringSubmatch(text); d != nil {
		return m.setDate(d[1], d[2], d[3])
	}
	if d := yearLast.FindStringSubmatch(text); d != nil {
		m.year = fullYear(d[3])
		m.first, _ = strconv.Atoi(d[1])
		m.second, _ = strconv.Atoi(d[2])
		return m.first >= 1 && m.second >= 1 && (m.first <= 12 || m.second <= 12) && m.first <= 31 && m.second <= 31
	}
	if d := namedMonth.FindStringSubmatch(text); d != nil {
		return m.setDate(d[3], monthNumber(d[2]), d[1])
	}
	return false
}

func (m *moment) setDate(year, month, day string) bool {
	m.year = fullYear(year)
	m.month, _ = strconv.Atoi(month)
	m.day, _ = strconv.Atoi(day)
	return isDay(m.year, m.month, m.day)
}

// order settles which of a date's numbers is the day.
func (m *moment) order(dayFirst bool) bool {
	if m.first == 0 {
		return true
	}
	m.day, m.month = m.first, m.second
	if !dayFirst {
		m.day, m.month = m.second, m.first
	}
	return isDay(m.year, m.month, m.day)
}

func isDay(year, month, day int) bool {
	return month >= 1 && month <= 12 && day >= 1 && time.Date(year, time.Month(month), day, 0, 0, 0, 0, time.UTC).Day() == day
}

// fullYear reads a year; one of two digits is of this century.
func fullYear(text string) int {
	year, _ := strconv.Atoi(text)
	if len(text) == 2 {
		year += 2000
	}
	return year
}

// monthNumber turns an English or German month, or its first three letters,
// into digits.
func monthNumber(name string) string {
	if len(name) >= 3 {
		name = strings.ToLower(name[:3])
		switch name {
		case "mai":
			name = "may"
		case "okt":
			name = "oct"
		case "dez":
			name = "dec"
		}
		if i := strings.Index("janfebmaraprmayjunjulaugsepoctnovdec", name); i >= 0 && i%3 == 0 {
			return strconv.Itoa(i/3 + 1)
		}
	}
	return ""
}

// at returns the moment as microseconds since 1970; zone is used where it has none.
func (m moment) at(zone *time.Location) int64 {
	t := time.Date(m.year, time.Month(m.month), m.day, 0, 0, 0, 0, time.UTC).UnixMicro() + m.micros
	if m.zoned {
		return t - int64(m.offset)*60e6
	}
	if zone == nil || zone == time.UTC {
		return t
	}
	s := m.micros / 1e6
	return time.Date(m.year, time.Month(m.month), m.day, int(s/3600), int(s/60%60), int(s%60), int(m.micros%1e6)*1000, zone).UnixMicro()
}

// epochUnit tells, from a usual value, in which unit a number counts the time
// since 1970: microseconds each, or 0 if it can be no time of this century.
func epochUnit(v float64) float64 {
	for _, micros := range []float64{1e6, 1e3, 1, 1e-3} { // s, ms, us, ns
		if s := v * micros / 1e6; s >= 946684800 && s < 4102444800 { // 2000 to 2100
			return micros
		}
	}
	return 0
}

// excelDays says whether a column's numbers are the days that Excel counts.
type excelDays struct {
	named  bool    // somebody said so
	sample float64 // one of them, where they may be; else 0
}

func isExcel(unit string) bool { return strings.EqualFold(strings.TrimSpace(unit), "excel") }

// likely reports whether numbers may be days of this century, as close together
// as records are. Seconds since a start would be a thousand times as dense.
func (e *excelDays) likely(numbers []float64) bool {
	const first, last, step = 36526, 73051, 100.0 / 86400 // 2000, 2100, and 100 s
	near := 0
	for i, v := range numbers {
		if v < first || v >= last {
			return false
		}
		if i > 0 && math.Abs(v-numbers[i-1]) < step {
			near++
		}
	}
	if near == 0 || 2*near < len(numbers)-1 {
		return false
	}
	e.sample = numbers[0]
	return true
}

// excelMicros returns microseconds since 1970, to the millisecond that Excel
// keeps, of days since 1899-12-30 on the clocks of a zone; nil is UTC.
func excelMicros(days float64, zone *time.Location) int64 {
	t := time.UnixMilli(int64(math.Round(days*86400e3))).UTC().AddDate(0, 0, -25569)
	if zone == nil {
		zone = time.UTC
	}
	return time.Date(t.Year(), t.Month(), t.Day(), t.Hour(), t.Minute(), t.Second(), t.Nanosecond(), zone).UnixMicro()
}

// times turns the cells of the time's columns into the usual form.
type times struct {
	columns    []int // one, or the date's and the clock's
	kind       kind
	micros     float64 // of one unit of a number
	start      int64   // micros: when the log began, or the midnight before
	dayFirst   bool
	zone       *time.Location // of texts without one; nil is UTC
	comma      bool
	gpsDate    bool  // the date's column is ddmmyy
	last       int64 // the newest clock, to notice midnight
	days       int64 // midnights passed
	asWritten  bool  // every text of the head has a form that records may have
	buf        []byte
	dateColumn bool // columns[0] is a date and columns[1] a time of the day
}

// text returns the time of a record in the usual form, or the cell as it is
// where that is none: what is odd in one record is not for us to say.
func (t *times) text(cells [][]byte) []byte {
	cell := trim(cells[t.columns[0]])
	if IsMissing(cell) {
		return nil
	}
	if t.asWritten {
		return cell
	}
	if t.kind == wholeTime && (t.zone == nil || t.zone == time.UTC) {
		if _, _, err := record.ParseTimestamp(cell); err == nil {
			return cell
		}
	}
	micros, ok := int64(0), false
	switch t.kind {
	case epochTime, elapsed, excelTime:
		micros, ok = t.number(cell)
	case clockOnly:
		micros, ok = t.clock(string(cell))
	default:
		text := string(cell)
		if t.dateColumn {
			if IsMissing(cells[t.columns[1]]) {
				return nil
			}
			text += " " + string(trim(cells[t.columns[1]]))
			cell = append(append([]byte(nil), cell...), text[len(cell):]...)
		}
		micros, ok = t.moment(text)
	}
	if !ok {
		return cell
	}
	t.buf = record.AppendTimestamp(t.buf[:0], micros)
	return t.buf
}

func (t *times) number(cell []byte) (int64, bool) {
	if t.micros < 1 { // nanoseconds have more digits than a float64
		if v, err := strconv.ParseInt(string(cell), 10, 64); err == nil {
			return v / 1000, true
		}
	}
	text, ok := number(cell, t.comma, true)
	if !ok {
		return 0, false
	}
	v, err := strconv.ParseFloat(string(text), 64)
	if t.kind == excelTime {
		return excelMicros(v, t.zone), err == nil && math.Abs(v) < 1e6
	}
	micros := math.Round(v * t.micros)
	if err != nil || math.Abs(micros) > 1e17 {
		return 0, false
	}
	return t.start + int64(micros), true
}

func (t *times) moment(text string) (int64, bool) {
	m, ok := t.read(text)
	if !ok || !m.hasDate() || !m.order(t.dayFirst) {
		return 0, false
	}
	return m.at(t.zone), true
}

// read is parse, and knows the forms that only a column's name tells.
func (t *times) read(text string) (moment, bool) {
	if t.dateColumn {
		date, clock, _ := strings.Cut(text, " ")
		if c := bareClock.FindStringSubmatch(clock); c != nil {
			m, ok := clockOf(c[1], c[2], c[3], c[4], "")
			if d := gpsDate.FindStringSubmatch(date); d != nil && t.gpsDate {
				return m, ok && m.setDate(d[3], d[2], d[1])
			}
			return m, ok && m.readDate(weekday.ReplaceAllString(date, ""))
		}
		if d := gpsDate.FindStringSubmatch(date); d != nil && t.gpsDate {
			m, ok := parse(clock)
			return m, ok && m.clock && m.setDate(d[3], d[2], d[1])
		}
	}
	return parse(text)
}

// clock reads a time of the day, or hours, minutes and seconds since the start.
func (t *times) clock(text string) (int64, bool) {
	m, ok := parse(text)
	if c := bareClock.FindStringSubmatch(text); c != nil {
		m, ok = clockOf(c[1], c[2], c[3], c[4], "")
	}
	if !ok || !m.clock || m.hasDate() {
		return 0, false
	}
	if m.micros < t.last-12*3600e6 {
		t.days++
	}
	t.last = m.micros
	return t.start + m.micros + t.days*86400e6, true
}
