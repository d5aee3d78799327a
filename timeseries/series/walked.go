package series

import (
	"context"

	"github.com/ecovolt/telemetryd/timeseries/channel"
	"github.com/ecovolt/telemetryd/timeseries/record/walk"
	"github.com/ecovolt/telemetryd/timeseries/rollup"
)

// apart divides channels: those whose values depend on the records before are walked
// over, whatever the zoom.
func (v *view) apart(metrics []channel.Channel) (alone, walked part) {
	alone, walked = part{view: v, counts: true}, part{view: v, level: raw}
	for i, c := range metrics {
		if c.Neighbours() {
			walked.add(c, i)
		} else {
			alone.add(c, i)
		}
	}
	return alone, walked
}

// walk calls each for every record of the window, from the first, and sample for the
// values in it of what is walked over.
func (p part) walk(ctx context.Context, window rollup.Span, each func(t int64), sample func(metric int, value float64, t int64)) error {
	return walk.Read(ctx, p.tx, p.session, p.metrics, window.From, window.To, each, func(k int, value float64, t int64) { sample(p.places[k], value, t) })
}

// servedBy returns which level serves an answer of what is walked over and of what stands
// alone, which that level serves.
func (p part) servedBy(level int, alone part) int {
	if len(alone.metrics) == 0 && len(p.metrics) > 0 {
		return raw
	}
	return level
}
