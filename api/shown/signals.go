package shown

import (
	"math"
	"slices"

	"github.com/ecovolt/telemetryd/timeseries/channel/unit"
	"github.com/ecovolt/telemetryd/timeseries/registry"
	"github.com/ecovolt/telemetryd/timeseries/signal"
)

// Bins are bins of a channel whose bounds are in a system of units. A bound that no
// stored value can have is the farthest that one can.
func Bins(set *registry.Set, system unit.System, name string, count int, low, high *float64) signal.Bins {
	b := signal.Bins{Count: count, Low: low, High: high}
	known, _ := set.Find(name)
	if u, ok := system.Shown(known.Unit); ok {
		factor, offset := u.Linear()
		stored := func(v *float64) *float64 {
			if v == nil {
				return nil
			}
			own := min(math.MaxFloat64, max(-math.MaxFloat64, (*v-offset)/factor))
			return &own
		}
		b.Low, b.High = stored(low), stored(high)
	}
	return b
}

// Signals has what was counted in a system of units.
func Signals(counted *signal.Counted, system unit.System) *signal.Counted {
	out := *counted // which is somebody else's as well
	axis := func(a signal.CountedAxis) signal.CountedAxis {
		u, ok := system.Shown(a.Unit)
		if ok && !slices.ContainsFunc(a.Edges, func(v float64) bool { return math.IsInf(u.Of(v), 0) }) {
			a.Unit, a.Edges, a.Mean = u.Unit, list(u, a.Edges), of(u, a.Mean)
			if a.Deviation != nil {
				factor, _ := u.Linear()
				deviation := math.Abs(factor) * *a.Deviation
				a.Deviation = &deviation
			}
		}
		return a
	}
	out.X = axis(counted.X)
	if counted.Y != nil {
		y := axis(*counted.Y)
		out.Y = &y
	}
	if counted.Mean != nil {
		mean := *counted.Mean
		if u, ok := system.Shown(mean.Unit); ok {
			mean.Unit, mean.Means = u.Unit, make([]*float64, len(counted.Mean.Means))
			for i, v := range counted.Mean.Means {
				mean.Means[i] = of(u, v)
			}
		}
		out.Mean = &mean
	}
	return &out
}
