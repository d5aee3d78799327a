// Package moment reads dates and times as people and loggers write them. It holds
// no state and is safe for concurrent use.
package moment

import (
	"math"
	"regexp"
	"strconv"
	"strings"
	"time"
)

// Moment is a date and time as it stands in a cell.
type Moment struct {
	year, month, day int // year 0: no date
	// First and Second are the first two numbers of a date such as 03.06.2026,
	// whose order is not known, and third the year's two digits in 03.06.26.
	First, Second int
	third         int
	Clock         bool
	Micros        int64 // of the day
	Zoned         bool
	offset        int // minutes east
}

// HasDate reports whether it has a date.
func (m Moment) HasDate() bool { return m.year != 0 }

var (
	clockPattern = regexp.MustCompile(`(?i)(?:^|[T ])(\d{1,2}):(\d{2})(?::(\d{2})(?:[.,:](\d{1,9}))?)?(?: ?([ap])\.?m\.?)?`)
	// Digits without colons, as GPS receivers write the time: hhmmss.sss.
	bareClock   = regexp.MustCompile(`^(\d{2})(\d{2})(\d{2})(?:\.(\d{1,9}))?$`)
	basicFormat = regexp.MustCompile(`^(\d{8})[T ](\d{2})(\d{2})(\d{2})((?:\.\d+)? ?[Z+-]?.*)$`)
	yearFirst   = regexp.MustCompile(`^(\d{4})[-/.:](\d{1,2})[-/.:](\d{1,2})$`)
	compactDate = regexp.MustCompile(`^(20\d{2})(\d{2})(\d{2})$`)
	yearLast    = regexp.MustCompile(`^(\d{1,2})[-/. ](\d{1,2})[-/. ](\d{4}|\d{2})$`)
	namedMonth  = regexp.MustCompile(`^(\d{1,2})[-/. ]{1,2}([A-Za-z]{3,9})[-/., ]{1,2}(\d{4}|\d{2})$`)
	monthFirst  = regexp.MustCompile(`^([A-Za-z]{3,9})\.? (\d{1,2}),? (\d{4})$`)
	weekday     = regexp.MustCompile(`^(?i)(?:mon|tue|wed|thu|fri|sat|sun)[a-z]*,? `)
	zonePattern = regexp.MustCompile(`^(?i)(?:(z|utc|gmt)|(?:utc|gmt)?([+-])(\d{1,2}):?(\d{2})?)$`)
	gpsDate     = regexp.MustCompile(`^(\d{2})(\d{2})(\d{2})$`) // ddmmyy, of NMEA 0183's RMC
	stopwatch   = regexp.MustCompile(`^(\d{1,3}):(\d{2})[.,](\d{1,9})$`)
)

// zones are the abbreviations that mean one thing only, in hours east: Europe's.
var zones = map[string]int{"wet": 0, "west": 1, "cet": 1, "cest": 2, "mez": 1, "mesz": 2, "eet": 2, "eest": 3}

const dayMicros = 86400e6

// Parse reads a date, a time of the day, or both.
func Parse(text string) (m Moment, ok bool) {
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
	} else if c := stopwatch.FindStringSubmatch(text); c != nil { // 1:23.4, minutes and seconds
		minutes, _ := strconv.Atoi(c[1])
		if m, ok = clockOf("0", "0", c[2], c[3], ""); ok {
			m.Micros += int64(minutes) * 60e6
		}
		return m, ok
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
		hours, named := zones[strings.ToLower(zone)]
		z := zonePattern.FindStringSubmatch(zone)
		switch {
		case named:
			m.offset = hours * 60
		case z == nil:
			return m, false
		case z[2] != "":
			hours, _ = strconv.Atoi(z[3])
			minutes, _ := strconv.Atoi(z[4])
			if hours > 23 || minutes > 59 {
				return m, false
			}
			m.offset = hours*60 + minutes
			if z[2] == "-" {
				m.offset = -m.offset
			}
		}
		m.Zoned = true
	}
	if m.Micros >= dayMicros && (m.HasDate() || m.Zoned) { // 25:10:00 has passed since a start
		return m, false
	}
	return m, m.Clock || m.HasDate()
}

func clockOf(hour, minute, second, fraction, half string) (m Moment, ok bool) {
	h, _ := strconv.Atoi(hour)
	min, _ := strconv.Atoi(minute)
	s, _ := strconv.Atoi(second)
	switch strings.ToLower(half) {
	case "a":
		h %= 12
	case "p":
		h = h%12 + 12
	}
	if min > 59 || s > 59 {
		return m, false
	}
	f, _ := strconv.Atoi((fraction + "000000")[:6])
	m.Clock = true
	m.Micros = int64(h*3600+min*60+s)*1e6 + int64(f)
	return m, true
}

func (m *Moment) readDate(text string) bool {
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
		if len(d[3]) == 2 {
			m.third = m.year - 2000
		}
		m.First, _ = strconv.Atoi(d[1])
		m.Second, _ = strconv.Atoi(d[2])
		return m.First >= 1 && m.Second >= 1 && (m.First <= 12 || m.Second <= 12) && m.First <= 31 && m.Second <= 31
	}
	if d := namedMonth.FindStringSubmatch(text); d != nil {
		return m.setDate(d[3], monthNumber(d[2]), d[1])
	}
	return false
}

func (m *Moment) setDate(year, month, day string) bool {
	m.year = fullYear(year)
	m.month, _ = strconv.Atoi(month)
	m.day, _ = strconv.Atoi(day)
	return isDay(m.year, m.month, m.day)
}

// Zone reads a time zone: UTC, GMT+2, +02:00, CEST or Europe/Berlin.
func Zone(text string) (zone *time.Location, ok bool) {
	if m, ok := Parse("00:00 " + text); ok && m.Zoned {
		if m.offset == 0 {
			return time.UTC, true
		}
		return time.FixedZone(text, m.offset*60), true
	}
	if !strings.Contains(text, "/") {
		return nil, false
	}
	zone, err := time.LoadLocation(text)
	return zone, err == nil
}

// Order is what the numbers of a date are, where that does not show.
type Order int

// The orders.
const (
	MonthFirst Order = iota
	DayFirst
	YearFirst // of two digits, then month and day
)

// MayBeginWithYear reports whether a date's first number may be its year, as in
// 26-06-03: one that is not to come.
func (m Moment) MayBeginWithYear() bool {
	return m.First > 12 && m.third > 0 && m.Order(YearFirst) && m.year <= time.Now().Year()
}

// Order settles which of a date's numbers is the day.
func (m *Moment) Order(o Order) bool {
	if m.First == 0 {
		return true
	}
	if o == YearFirst && m.third > 0 {
		m.year, m.month, m.day = 2000+m.First, m.Second, m.third
		return isDay(m.year, m.month, m.day)
	}
	m.day, m.month = m.First, m.Second
	if o != DayFirst {
		m.day, m.month = m.Second, m.First
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

// At returns the moment as microseconds since 1970; zone is used where it has none.
func (m Moment) At(zone *time.Location) int64 {
	t := time.Date(m.year, time.Month(m.month), m.day, 0, 0, 0, 0, time.UTC).UnixMicro() + m.Micros
	if m.Zoned {
		return t - int64(m.offset)*60e6
	}
	if zone == nil || zone == time.UTC {
		return t
	}
	s := m.Micros / 1e6
	return time.Date(m.year, time.Month(m.month), m.day, int(s/3600), int(s/60%60), int(s%60), int(m.Micros%1e6)*1000, zone).UnixMicro()
}

// EpochUnit tells, from a usual value, in which unit a number counts the time
// since 1970: microseconds each, or 0 if it can be no time of this century.
func EpochUnit(v float64) float64 {
	for _, micros := range []float64{1e6, 1e3, 1, 1e-3} { // s, ms, us, ns
		if s := v * micros / 1e6; s >= 946684800 && s < 4102444800 { // 2000 to 2100
			return micros
		}
	}
	return 0
}

// IsExcel reports whether a unit is the days that Excel counts.
func IsExcel(unit string) bool { return strings.EqualFold(strings.TrimSpace(unit), "excel") }

// IsClock reports whether a unit is the digits of a time of the day.
func IsClock(unit string) bool { return strings.EqualFold(strings.TrimSpace(unit), "hhmmss") }

// LikelyExcel reports whether numbers may be days of this century as Excel counts
// them, as close together as records are. Seconds since a start would be a
// thousand times as dense.
func LikelyExcel(numbers []float64) bool {
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
	return near > 0 && 2*near >= len(numbers)-1
}

// ExcelMicros returns microseconds since 1970, to the millisecond that Excel
// keeps, of days since 1899-12-30 on the clocks of a zone; nil is UTC.
func ExcelMicros(days float64, zone *time.Location) int64 {
	t := time.UnixMilli(int64(math.Round(days*86400e3))).UTC().AddDate(0, 0, -25569)
	if zone == nil {
		zone = time.UTC
	}
	return time.Date(t.Year(), t.Month(), t.Day(), t.Hour(), t.Minute(), t.Second(), t.Nanosecond(), zone).UnixMicro()
}

// ParseDigits reads a time of the day as GPS receivers write it, hhmmss.sss.
func ParseDigits(text string) (m Moment, ok bool) {
	c := bareClock.FindStringSubmatch(text)
	if c == nil {
		return m, false
	}
	m, ok = clockOf(c[1], c[2], c[3], c[4], "")
	return m, ok && m.Micros < dayMicros
}

// IsDigits reports whether a cell has that form.
func IsDigits(text string) bool { return bareClock.MatchString(text) }

// IsCompactDate reports whether a cell is a date of eight digits.
func IsCompactDate(text string) bool { return compactDate.MatchString(text) }

// GPSDate reads six digits as a date whose order is not settled.
func GPSDate(text string) (m Moment, ok bool) {
	d := gpsDate.FindStringSubmatch(text)
	if d == nil {
		return m, false
	}
	m.First, _ = strconv.Atoi(d[1])
	m.Second, _ = strconv.Atoi(d[2])
	m.third, _ = strconv.Atoi(d[3])
	m.year = 2000 + m.third
	return m, true
}

// SetGPSDate sets the date of ddmmyy, of NMEA 0183's RMC, or of yymmdd.
func (m *Moment) SetGPSDate(text string, o Order) bool {
	date, ok := GPSDate(text)
	if o != YearFirst {
		o = DayFirst
	}
	ok = ok && date.Order(o)
	m.year, m.month, m.day = date.year, date.month, date.day
	return ok
}

// SetDate sets the date of a text, which may begin with the day of the week.
func (m *Moment) SetDate(text string) bool { return m.readDate(weekday.ReplaceAllString(text, "")) }
