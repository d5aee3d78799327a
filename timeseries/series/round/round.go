// Package round cuts windows of time, and stretches of distance, into round buckets.
// It holds no state and is safe for concurrent use.
package round

import (
	"math"
	"math/bits"
	"time"

	"github.com/ecovolt/telemetryd/timeseries/rollup"
)

// widths are the bucket widths that series use: round ones, each of which
// divides a day, so that a window that moves or grows meets the same buckets
// again. Each is at most a quarter wider than the one before, or a third.
var widths = func() []time.Duration {
	var list []time.Duration
	add := func(unit time.Duration, steps ...int) {
		for _, n := range steps {
			list = append(list, time.Duration(n)*unit)
		}
	}
	add(time.Microsecond, 1, 2, 4, 5, 8, 10, 16, 20, 25, 32, 40, 50, 64, 80, 100, 125, 160, 200, 250, 320, 400, 500, 640, 800)
	add(time.Millisecond, 1)
	add(time.Microsecond, 1250, 1600)
	add(time.Millisecond, 2)
	add(time.Microsecond, 2500, 3200)
	add(time.Millisecond, 4, 5)
	add(time.Microsecond, 6400)
	add(time.Millisecond, 8, 10)
	add(time.Microsecond, 12500)
	add(time.Millisecond, 16, 20, 25, 32, 40, 50, 64, 80, 100, 125, 160, 200, 250, 320, 400, 500, 640, 800)
	add(time.Second, 1, 2, 3, 4, 5, 6, 8, 10, 12, 15, 20, 25, 30, 40, 50, 60, 80, 90, 100)
	add(time.Minute, 2, 3, 4, 5, 6, 8, 10, 12, 15, 20, 30, 40, 60)
	add(time.Hour, 2, 3, 4, 6, 8, 12, 24)
	return list
}()

// Width returns the narrowest round width that will do by which the window has at
// most that many buckets, the partial ones at its edges counted.
func Width(window rollup.Span, points int, will func(time.Duration) bool) time.Duration {
	for _, width := range widths {
		if Buckets(window, width) <= int64(points) && will(width) {
			return width
		}
	}
	// Beyond a day: whole days, doubling.
	width := 48 * time.Hour
	for Buckets(window, width) > int64(points) && width < 1<<61 {
		width *= 2
	}
	return width
}

// Buckets counts the buckets that a window touches.
func Buckets(window rollup.Span, width time.Duration) int64 {
	w := width.Microseconds()
	return (rollup.FloorMicro(window.To.UnixMicro()-1, w)-rollup.FloorMicro(window.From.UnixMicro(), w))/w + 1
}

// Step returns the shortest round step by which the range has at most that
// many buckets.
func Step(start, end float64, points int) float64 {
	for exponent := -3; ; exponent++ {
		for _, digit := range []float64{1, 2, 2.5, 5} {
			step := digit * math.Pow(10, float64(exponent))
			if math.Ceil(end/step)-math.Floor(start/step) <= float64(points) {
				return step
			}
		}
	}
}

// Equal cuts a window into exactly that many columns. A record belongs
// to column floor((t - from) * columns / length).
func Equal(window rollup.Span, columns int) []int64 {
	edges := make([]int64, columns+1)
	from, length := window.From.UnixMicro(), uint64(window.To.UnixMicro()-window.From.UnixMicro())
	for i := range edges {
		high, low := bits.Mul64(uint64(i), length)
		quotient, rest := bits.Div64(high, low, uint64(columns))
		if rest > 0 {
			quotient++
		}
		edges[i] = from + int64(quotient)
	}
	return edges
}

// Grid cuts a window into buckets of that width, those at its ends into what
// lies in it.
func Grid(window rollup.Span, width time.Duration) []int64 {
	edges := []int64{window.From.UnixMicro()}
	for at := rollup.Floor(window.From, width).Add(width); at.Before(window.To); at = at.Add(width) {
		edges = append(edges, at.UnixMicro())
	}
	return append(edges, window.To.UnixMicro())
}
