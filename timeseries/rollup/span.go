package rollup

import (
	"slices"
	"time"
)

// Span is a range of time, half-open: From is in it, To is not.
type Span struct{ From, To time.Time }

// Empty reports whether no time lies in s.
func (s Span) Empty() bool { return !s.From.Before(s.To) }

// Length returns how long s is; negative when it ends before it begins.
func (s Span) Length() time.Duration { return s.To.Sub(s.From) }

// Clip returns the part of s that lies in o.
func (s Span) Clip(o Span) Span {
	if o.From.After(s.From) {
		s.From = o.From
	}
	if o.To.Before(s.To) {
		s.To = o.To
	}
	return s
}

// Outward returns s grown to whole buckets of that width.
func (s Span) Outward(width time.Duration) Span {
	return Span{Floor(s.From, width), Ceil(s.To, width)}
}

// Inward returns s shrunk to whole buckets of that width; it may become empty.
func (s Span) Inward(width time.Duration) Span {
	return Span{Ceil(s.From, width), Floor(s.To, width)}
}

// Origin is where TimescaleDB's time_bucket counts from: a Monday. For
// widths that divide a day it makes no difference.
const Origin = 946857600_000_000 // 2000-01-03, µs since 1970

// Floor returns the start of the bucket that holds t, as time_bucket does.
func Floor(t time.Time, width time.Duration) time.Time {
	return time.UnixMicro(FloorMicro(t.UnixMicro(), width.Microseconds())).UTC()
}

// Ceil returns the first start of a bucket that is not before t.
func Ceil(t time.Time, width time.Duration) time.Time {
	floor := Floor(t, width)
	if floor.Equal(t) {
		return floor
	}
	return floor.Add(width)
}

// FloorMicro does what Floor does, for times and widths in microseconds.
func FloorMicro(t, width int64) int64 {
	rest := (t - Origin) % width
	if rest < 0 {
		rest += width
	}
	return t - rest
}

// Merge sorts spans and joins those that overlap or lie no further than
// gap apart. It reuses the slice.
func Merge(spans []Span, gap time.Duration) []Span {
	slices.SortFunc(spans, func(a, b Span) int { return a.From.Compare(b.From) })
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

// Few merges spans until there are hardly more than a dozen: a few long stretches
// cost less than many short ones.
func Few(spans []Span) []Span {
	gap := time.Second
	for spans = Merge(spans, gap); len(spans) > 16; gap *= 4 {
		spans = Merge(spans, gap)
	}
	return spans
}

// Since returns what spans have from then on. It uses their memory.
func Since(begin time.Time, spans []Span) []Span {
	kept := spans[:0]
	for _, s := range spans {
		if s = s.Clip(Span{begin, s.To}); !s.Empty() {
			kept = append(kept, s)
		}
	}
	return kept
}
