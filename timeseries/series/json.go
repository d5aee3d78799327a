package series

import (
	"math"
	"slices"
	"strconv"

	"github.com/ecovolt/telemetryd/timeseries/record"
)

// JSON is the answer as JSON, which is made once. Columns lie side by side: t, and of
// each metric min, max, avg and count, or of a text state last. null stands for
// no value, which is a gap where gaps says so, or where one metric was asked for
// alone.
func (s *Answer) JSON() []byte {
	s.encode.Do(func() { s.text = slices.Clip(s.appendJSON(make([]byte, 0, s.size()/2))) })
	return s.text
}

// size is about how many bytes the answer takes, half of them as JSON.
func (s *Answer) size() int {
	size := 1024
	for i := range s.Sessions {
		one := &s.Sessions[i]
		size += 1024 + 32*len(one.X)*(1+len(one.States))
		for m := range one.Metrics {
			size += 256 + 80*len(one.X) + 80*len(one.Metrics[m].First) + 64*len(one.Metrics[m].Gaps)
		}
		for _, state := range one.States {
			for _, text := range state.Last {
				size += 2 * len(text)
			}
		}
	}
	return size
}

func (s *Answer) appendJSON(dst []byte) []byte {
	dst = append(dst, `{"align":"`...)
	dst = append(dst, s.Request.Align.String()...)
	dst = append(dst, `","mode":"`...)
	dst = append(dst, s.Request.Mode.String()...)
	dst = append(dst, `","fill":"`...)
	dst = append(dst, s.Request.Fill.String()...)
	dst = append(dst, `","points":`...)
	dst = strconv.AppendInt(dst, int64(s.Request.Points), 10)
	if s.Request.Align == AlignTime && !s.Request.From.IsZero() {
		dst = append(dst, `,"from":`...)
		dst = appendMillis(dst, float64(s.Request.From.UnixMicro())/1e3)
		dst = append(dst, `,"to":`...)
		dst = appendMillis(dst, float64(s.Request.To.UnixMicro())/1e3)
	}
	dst = append(dst, `,"settled":`...)
	dst = strconv.AppendBool(dst, s.Settled)
	dst = append(dst, `,"sessions":[`...)
	for i := range s.Sessions {
		if i > 0 {
			dst = append(dst, ',')
		}
		dst = s.Sessions[i].appendJSON(dst, s.Request.Align)
	}
	return append(dst, "]}"...)
}

func (s *Session) appendJSON(dst []byte, align Align) []byte {
	dst = append(dst, `{"session_id":`...)
	dst = record.AppendJSONString(dst, []byte(s.ID))
	dst = append(dst, `,"version":"`...)
	dst = append(dst, s.Version...)
	dst = append(dst, `","level":"`...)
	dst = append(dst, s.Level...)
	dst = append(dst, `","records":`...)
	dst = strconv.AppendBool(dst, s.Points)
	dst = append(dst, `,"bucket":`...)
	dst = appendNumber(dst, s.Width)
	dst = append(dst, `,"t":`...)
	axis := appendNumber
	if align == AlignTime {
		axis = appendMillis
	}
	dst = appendNumbers(dst, s.X, axis)
	dst = append(dst, `,"metrics":{`...)
	for i := range s.Metrics {
		if i > 0 {
			dst = append(dst, ',')
		}
		m := &s.Metrics[i]
		dst = strconv.AppendQuote(dst, m.Name)
		dst = append(dst, `:{"unit":`...)
		dst = record.AppendJSONString(dst, []byte(m.Unit))
		dst = append(dst, `,"step":`...)
		dst = appendNumber(dst, m.Step)
		dst = append(dst, `,"gap_after":`...)
		dst = appendNumber(dst, m.GapAfter)
		dst = append(dst, `,"gaps":[`...)
		for k, gap := range m.Gaps {
			if k > 0 {
				dst = append(dst, ',')
			}
			dst = appendNumbers(dst, gap[:], axis)
		}
		dst = append(dst, `],"min":`...)
		dst = appendNumbers(dst, m.Min, appendNumber)
		dst = append(dst, `,"max":`...)
		dst = appendNumbers(dst, m.Max, appendNumber)
		dst = append(dst, `,"avg":`...)
		dst = appendNumbers(dst, m.Avg, appendMean)
		dst = append(dst, `,"count":[`...)
		for k, n := range m.Count {
			if k > 0 {
				dst = append(dst, ',')
			}
			dst = strconv.AppendInt(dst, n, 10)
		}
		dst = append(dst, ']')
		if m.First != nil {
			dst = append(dst, `,"first":`...)
			dst = appendNumbers(dst, m.First, appendNumber)
			dst = append(dst, `,"first_t":`...)
			dst = appendNumbers(dst, m.FirstX, axis)
			dst = append(dst, `,"last":`...)
			dst = appendNumbers(dst, m.Last, appendNumber)
			dst = append(dst, `,"last_t":`...)
			dst = appendNumbers(dst, m.LastX, axis)
		}
		dst = append(dst, '}')
	}
	for i, state := range s.States {
		if i > 0 || len(s.Metrics) > 0 {
			dst = append(dst, ',')
		}
		dst = strconv.AppendQuote(dst, state.Name)
		dst = append(dst, `:{"last":[`...)
		for k, text := range state.Last {
			if k > 0 {
				dst = append(dst, ',')
			}
			if text == "" {
				dst = append(dst, "null"...)
			} else {
				dst = record.AppendJSONString(dst, []byte(text))
			}
		}
		dst = append(dst, "]}"...)
	}
	return append(dst, "}}"...)
}

func appendNumbers(dst []byte, values []float64, number func([]byte, float64) []byte) []byte {
	dst = append(dst, '[')
	for i, v := range values {
		if i > 0 {
			dst = append(dst, ',')
		}
		dst = number(dst, v)
	}
	return append(dst, ']')
}

// appendNumber writes a number as JavaScript reads it back, or null.
func appendNumber(dst []byte, v float64) []byte {
	if dst, ok := appendDecimal(dst, v); ok {
		return dst
	}
	return strconv.AppendFloat(dst, v, 'g', -1, 64)
}

// appendMean writes a mean to twelve digits: the rest is rounding, and half of
// the answer's length.
func appendMean(dst []byte, v float64) []byte {
	if dst, ok := appendDecimal(dst, v); ok {
		return dst
	}
	return strconv.AppendFloat(dst, v, 'g', 12, 64)
}

// appendDecimal writes null, or a number of at most three digits behind the
// point, as measurements mostly are: several times as fast as finding the
// shortest text for any number. The text reads back as the very same number,
// since dividing two whole numbers rounds as reading their decimal does.
func appendDecimal(dst []byte, v float64) ([]byte, bool) {
	if math.IsNaN(v) || math.IsInf(v, 0) {
		return append(dst, "null"...), true
	}
	if math.Abs(v) >= 1e12 {
		return dst, false
	}
	scaled := math.Round(v * 1000)
	if scaled/1000 != v {
		return dst, false
	}
	n := int64(scaled)
	if n < 0 {
		dst, n = append(dst, '-'), -n
	}
	dst = strconv.AppendInt(dst, n/1000, 10)
	if rest := n % 1000; rest != 0 {
		dst = append(dst, '.', byte('0'+rest/100))
		if rest%100 != 0 {
			dst = append(dst, byte('0'+rest/10%10))
		}
		if rest%10 != 0 {
			dst = append(dst, byte('0'+rest%10))
		}
	}
	return dst, true
}

// appendMillis writes milliseconds since 1970 with as many digits as the
// microseconds that they stand for.
func appendMillis(dst []byte, v float64) []byte {
	if math.IsNaN(v) {
		return append(dst, "null"...)
	}
	micro := int64(math.Round(v * 1e3))
	if micro%1000 == 0 {
		return strconv.AppendInt(dst, micro/1000, 10)
	}
	if micro < 0 {
		return strconv.AppendFloat(dst, v, 'f', -1, 64)
	}
	dst = strconv.AppendInt(dst, micro/1000, 10)
	rest := micro % 1000
	dst = append(dst, '.', byte('0'+rest/100))
	if rest%100 != 0 {
		dst = append(dst, byte('0'+rest/10%10))
	}
	if rest%10 != 0 {
		dst = append(dst, byte('0'+rest%10))
	}
	return dst
}
