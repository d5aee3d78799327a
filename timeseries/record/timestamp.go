package record

import (
	"errors"
	"time"
)

// Times are kept as microseconds since the Unix epoch, the resolution of
// PostgreSQL's timestamptz.

var errTimestamp = errors.New("not an ISO 8601 time such as 2026-03-21T21:41:10.272851+00:00")

// ParseTimestamp reads an ISO 8601 date and time: "T" or a space between them,
// up to nine fraction digits (microseconds are kept), and "Z", an offset, or
// nothing, which means UTC. It reports whether text is the form that
// AppendTimestamp writes.
func ParseTimestamp(text []byte) (micros int64, usual bool, err error) {
	if len(text) < 19 || len(text) > 40 {
		return 0, false, errTimestamp
	}
	year, ok1 := digits(text[0:4])
	month, ok2 := digits(text[5:7])
	day, ok3 := digits(text[8:10])
	hour, ok4 := digits(text[11:13])
	minute, ok5 := digits(text[14:16])
	second, ok6 := digits(text[17:19])
	if !(ok1 && ok2 && ok3 && ok4 && ok5 && ok6) ||
		text[4] != '-' || text[7] != '-' || text[13] != ':' || text[16] != ':' ||
		(text[10] != 'T' && text[10] != 't' && text[10] != ' ') ||
		month < 1 || month > 12 || day < 1 || day > 31 ||
		hour > 23 || minute > 59 || second > 59 {
		return 0, false, errTimestamp
	}
	// What time.Date makes of the 30th of February is in March.
	date := time.Date(year, time.Month(month), day, hour, minute, second, 0, time.UTC)
	if date.Day() != day {
		return 0, false, errTimestamp
	}
	rest := text[19:]
	fraction, digitsRead := 0, 0
	if len(rest) > 0 && (rest[0] == '.' || rest[0] == ',') {
		rest = rest[1:]
		for len(rest) > 0 && rest[0] >= '0' && rest[0] <= '9' {
			if digitsRead < 6 {
				fraction = fraction*10 + int(rest[0]-'0')
			}
			digitsRead++
			rest = rest[1:]
		}
		if digitsRead == 0 || digitsRead > 9 {
			return 0, false, errTimestamp
		}
		for i := digitsRead; i < 6; i++ {
			fraction *= 10
		}
	}
	offset, ok := parseOffset(rest)
	if !ok {
		return 0, false, errTimestamp
	}
	seconds := date.Unix() - int64(offset)*60
	usual = text[10] == 'T' && string(rest) == "+00:00" &&
		(digitsRead == 6 && fraction != 0 || digitsRead == 0) && (digitsRead == 0 || text[19] == '.')
	return seconds*1e6 + int64(fraction), usual, nil
}

// parseOffset reads "", "Z", "+hh", "+hhmm" or "+hh:mm" into minutes east.
func parseOffset(text []byte) (minutes int, ok bool) {
	if len(text) == 0 || len(text) == 1 && (text[0] == 'Z' || text[0] == 'z') {
		return 0, true
	}
	sign := 1
	switch text[0] {
	case '+':
	case '-':
		sign = -1
	default:
		return 0, false
	}
	text = text[1:]
	h, m := 0, 0
	switch {
	case len(text) == 2:
		h, ok = digits(text)
	case len(text) == 4:
		h, ok = digits(text[:2])
		if ok {
			m, ok = digits(text[2:])
		}
	case len(text) == 5 && text[2] == ':':
		h, ok = digits(text[:2])
		if ok {
			m, ok = digits(text[3:])
		}
	}
	if !ok || h > 23 || m > 59 {
		return 0, false
	}
	return sign * (h*60 + m), true
}

func digits(text []byte) (n int, ok bool) {
	for _, c := range text {
		if c < '0' || c > '9' {
			return 0, false
		}
		n = n*10 + int(c-'0')
	}
	return n, true
}

// AppendTimestamp writes the usual form: Python's isoformat in UTC, with six
// fraction digits, or none when the time is a whole second.
func AppendTimestamp(dst []byte, micros int64) []byte {
	t := time.UnixMicro(micros).UTC()
	if micros%1e6 == 0 {
		return t.AppendFormat(dst, "2006-01-02T15:04:05+00:00")
	}
	return t.AppendFormat(dst, "2006-01-02T15:04:05.000000+00:00")
}

// FormatTime writes t in the usual form of a record's timestamp.
func FormatTime(t time.Time) string { return string(AppendTimestamp(nil, t.UnixMicro())) }

// ParseTime reads a time as records carry it; see the package's ingest rules.
func ParseTime(text string) (time.Time, error) {
	micros, _, err := ParseTimestamp([]byte(text))
	if err != nil {
		return time.Time{}, err
	}
	return time.UnixMicro(micros).UTC(), nil
}
