package expression

import "math"

// span bounds a value by powers of two: it is 0, or at least 2^low and less than
// 2^high by magnitude. Where the span of a result lies within reach, the
// operators of SQL cannot raise an error, and need no guard.
type span struct{ low, high int }

// Doubles reach from 2^-1022 to 2^1024; a margin is left for the last bit.
var reach = span{-1020, 1020}

// anything is the span of any value of a node.
var anything = span{-1022, 1024}

// usual is the span of a channel's values in the plain half of the SQL: what a
// sensor measures, 8e-31 to 6e29 in any unit.
var usual = span{-100, 100}

func (s span) within(other span) bool { return s.low >= other.low && s.high <= other.high }

func spanOf(v float64) span {
	if v == 0 {
		return span{}
	}
	_, e := math.Frexp(v)
	return span{e - 1, e}
}

func same(a, _ span) span    { return a }
func either(a, b span) span  { return span{min(a.low, b.low), max(a.high, b.high)} }
func unknown(_, _ span) span { return anything }

// sum: both are multiples of the last place of the lesser, and so is the result.
func sum(a, b span) span { return span{min(a.low, b.low) - 52, max(a.high, b.high) + 1} }

func whole(a, _ span) span { return span{0, max(a.high, 0) + 1} }

func within(low, high int) func(_, _ span) span {
	return func(_, _ span) span { return span{low, high} }
}

func wave(high int) func(a, _ span) span {
	return func(a, _ span) span { return span{min(a.low, -70) - 1, high} }
}
