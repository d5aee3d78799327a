package line_test

import (
	"math"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/ecovolt/telemetryd/timeseries/series/line"
)

// A noisy receiver's track gets as coarse as asked for, and keeps the ends of
// its parts and the order of its times.
func TestCoarsen(t *testing.T) {
	t.Parallel()
	rng := rand.New(rand.NewPCG(1, 2))
	part := func(n int) []line.Point {
		points := make([]line.Point, n)
		for i := range points {
			a := float64(i) / 100
			points[i] = line.Point{time.UnixMilli(int64(i) * 200), 43 + 0.002*math.Sin(a) + 0.00008*rng.NormFloat64(), 0.003*math.Cos(a) + 0.00008*rng.NormFloat64()}
		}
		return points
	}
	first, last := part(4000), part(2)
	parts := [][]line.Point{first, last}
	tolerance := line.Coarsen(parts, 1, 500)
	if got := len(parts[0]) + len(parts[1]); got > 504 || got < 100 {
		t.Errorf("%d positions, asked for 500", got)
	}
	if tolerance <= 1 {
		t.Errorf("the tolerance is still %v m", tolerance)
	}
	kept := parts[0]
	if kept[0] != first[0] || kept[len(kept)-1] != first[len(first)-1] || len(parts[1]) != 2 {
		t.Error("an end of a part is gone")
	}
	for i := 1; i < len(kept); i++ {
		if !kept[i].Time.After(kept[i-1].Time) {
			t.Fatalf("position %d is not later than the one before", i)
		}
	}
}
