package round

import (
	"math/rand/v2"
	"testing"
	"time"

	"github.com/ecovolt/telemetryd/timeseries/rollup"
)

// A window has about as many buckets as were asked for, and never more.
func TestWidth(t *testing.T) {
	t.Parallel()
	for i, width := range widths {
		if (24*time.Hour)%width != 0 {
			t.Errorf("%v does not divide a day", width)
		}
		if i > 0 && (width <= widths[i-1] || width > 2*widths[i-1]) {
			t.Errorf("%v comes after %v", width, widths[i-1])
		}
	}
	rng := rand.New(rand.NewPCG(13, 6))
	all := func(time.Duration) bool { return true }
	for range 10_000 {
		points := 100 + rng.IntN(2000)
		from := time.UnixMicro(rng.Int64N(2e15)).UTC()
		window := rollup.Span{From: from, To: from.Add(time.Duration(points) * time.Duration(rng.Int64N(int64(10*time.Minute)))).Truncate(time.Microsecond)}
		width := Width(window, points, all)
		if n := Buckets(window, width); n > int64(points) || width > 50*time.Microsecond && n < int64(points)*45/100 {
			t.Errorf("%d buckets of %v in %v, of %d", n, width, window.Length(), points)
		}
	}
	window := rollup.Span{From: time.Unix(0, 0), To: time.Unix(3600, 0)}
	if width := Width(window, 1000, func(width time.Duration) bool { return width%(10*time.Second) == 0 }); width != 10*time.Second {
		t.Errorf("of those that will do, %v is the narrowest", width)
	}
}
