package foreign

import (
	"math"
	"strconv"
	"strings"
	"time"

	"github.com/ecovolt/telemetryd/timeseries/decode/foreign/moment"
	"github.com/ecovolt/telemetryd/timeseries/decode/foreign/number"
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

// times turns the cells of the time's columns into the usual form.
type times struct {
	columns    []int // one, or the date's and the clock's
	kind       kind
	micros     float64 // of one unit of a number
	start      int64   // micros: when the log began, or the midnight before
	order      moment.Order
	zone       *time.Location // of texts without one; nil is UTC
	comma      bool
	last       int64 // the newest clock, to notice midnight
	days       int64 // midnights passed
	verbatim   bool  // a form that records may have stays as it is
	asWritten  bool  // so does every text that was looked at
	buf        []byte
	dateColumn bool // columns[0] is a date and columns[1] a time of the day
}

// text returns the time of a record in the usual form, or the cell as it is
// where that is none: what is odd in one record is not for us to say.
func (t *times) text(cells [][]byte) []byte {
	cell := number.Trim(cells[t.columns[0]])
	if number.IsMissing(cell) {
		return nil
	}
	if t.asWritten && beginsWithDate(cell) {
		return cell
	}
	if t.verbatim && t.kind == wholeTime && (t.zone == nil || t.zone == time.UTC) {
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
			if number.IsMissing(cells[t.columns[1]]) {
				return nil
			}
			text += " " + string(number.Trim(cells[t.columns[1]]))
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
			return t.start + v/1000, true
		}
	}
	text, ok := number.Parse(cell, t.comma, true)
	if !ok {
		return 0, false
	}
	v, err := strconv.ParseFloat(string(text), 64)
	if t.kind == excelTime {
		return moment.ExcelMicros(v, t.zone), err == nil && math.Abs(v) < 1e6
	}
	micros := math.Round(v * t.micros)
	if err != nil || math.Abs(micros) > 1e17 {
		return 0, false
	}
	return t.start + int64(micros), true
}

func (t *times) moment(text string) (int64, bool) {
	m, ok := t.read(text)
	if !ok || !m.HasDate() || !m.Order(t.order) {
		return 0, false
	}
	return m.At(t.zone), true
}

// read is moment.Parse, and knows the forms that only a column's name tells.
func (t *times) read(text string) (moment.Moment, bool) {
	if t.dateColumn {
		date, clock, _ := strings.Cut(text, " ")
		_, gps := moment.GPSDate(date)
		m, ok := moment.ParseDigits(clock)
		switch {
		case ok && gps:
			return m, m.SetGPSDate(date, t.order)
		case moment.IsDigits(clock):
			return m, ok && m.SetDate(date)
		case gps:
			m, ok = moment.Parse(clock)
			return m, ok && m.Clock && m.SetGPSDate(date, t.order)
		}
	}
	return moment.Parse(text)
}

// clock reads a time of the day, or hours, minutes and seconds since the start.
func (t *times) clock(text string) (int64, bool) {
	m, ok := moment.ParseDigits(text)
	if !ok {
		m, ok = moment.Parse(text)
	}
	if !ok || !m.Clock || m.HasDate() {
		return 0, false
	}
	if m.Micros < t.last-12*3600e6 {
		t.days++
	}
	t.last = m.Micros
	return t.start + m.Micros + t.days*86400e6, true
}
