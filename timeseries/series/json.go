package series

import (
	"slices"
	"strconv"

	"github.com/ecovolt/telemetryd/timeseries/record"
	"github.com/ecovolt/telemetryd/timeseries/series/digits"
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
		dst = digits.AppendMillis(dst, float64(s.Request.From.UnixMicro())/1e3)
		dst = append(dst, `,"to":`...)
		dst = digits.AppendMillis(dst, float64(s.Request.To.UnixMicro())/1e3)
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
	dst = digits.Append(dst, s.Width)
	dst = append(dst, `,"t":`...)
	axis := digits.Append
	if align == AlignTime {
		axis = digits.AppendMillis
	}
	dst = digits.AppendList(dst, s.X, axis)
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
		dst = digits.Append(dst, m.Step)
		dst = append(dst, `,"gap_after":`...)
		dst = digits.Append(dst, m.GapAfter)
		dst = append(dst, `,"gaps":[`...)
		for k, gap := range m.Gaps {
			if k > 0 {
				dst = append(dst, ',')
			}
			dst = digits.AppendList(dst, gap[:], axis)
		}
		dst = append(dst, `],"min":`...)
		dst = digits.AppendList(dst, m.Min, digits.Append)
		dst = append(dst, `,"max":`...)
		dst = digits.AppendList(dst, m.Max, digits.Append)
		dst = append(dst, `,"avg":`...)
		dst = digits.AppendList(dst, m.Avg, digits.AppendMean)
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
			dst = digits.AppendList(dst, m.First, digits.Append)
			dst = append(dst, `,"first_t":`...)
			dst = digits.AppendList(dst, m.FirstX, axis)
			dst = append(dst, `,"last":`...)
			dst = digits.AppendList(dst, m.Last, digits.Append)
			dst = append(dst, `,"last_t":`...)
			dst = digits.AppendList(dst, m.LastX, axis)
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
