package timeseries

import (
	"slices"
	"time"
)

// timeSpan is a range of time, half-open: From is in it, To is not.
type timeSpan struct{ From, To time.Time }

func (s timeSpan) empty() bool { return !s.From.Before(s.To) }

func (s timeSpan) length() time.Duration { return s.To.Sub(s.From) }

// clip gives the part of s that lies in o.
func (s timeSpan) clip(o timeSpan) timeSpan {
	if o.From.After(s.From) {
		s.From = o.From
	}
	if o.To.Before(s.To) {
		s.To = o.To
	}
	return s
}

// outward grows s to whole buckets of that width.
func (s timeSpan) outward(width time.Duration) timeSpan {
	return timeSpan{floorTime(s.From, width), ceilTime(s.To, width)}
}

// inward shrinks s to whole buckets of that width; it may become empty.
func (s timeSpan) inward(width time.Duration) timeSpan {
	return timeSpan{ceilTime(s.From, width), floorTime(s.To, width)}
}

// bucketOrigin is where TimescaleDB's time_bucket counts from: a Monday. For
// widths that divide a day it makes no difference.
const bucketOrigin = 946857600_000_000 // 2000-01-03, µs since 1970

// floorTime gives the start of the bucket that holds t, as time_bucket does.
func floorTime(t time.Time, width time.Duration) time.Time {
	return time.UnixMicro(floorMicro(t.UnixMicro(), width.Microseconds())).UTC()
}

func ceilTime(t time.Time, width time.Duration) time.Time {
	floor := floorTime(t, width)
	if floor.Equal(t) {
		return floor
	}
	return floor.Add(width)
}

func floorMicro(t, width int64) int64 {
	rest := (t - bucketOrigin) % width
	if rest < 0 {
		rest += width
	}
	return t - rest
}

// mergeSpans sorts spans and joins those that overlap or lie no further than
// gap apart. It reuses the slice.
func mergeSpans(spans []timeSpan, gap time.Duration) []timeSpan {
	slices.SortFunc(spans, func(a, b timeSpan) int { return a.From.Compare(b.From) })
	merged := spans[:0]
	for _, s := range spans {
		if n := len(merged); n > 0 && !s.From.After(merged[n-1].To.Add(gap)) {
			if s.To.After(merged[n-1].To) {
				merged[n-1].To = s.To
			}
			continue
		}
		merged = append(merged, s)
	}
	return merged
}
