package channel

import (
	"slices"
	"time"
)

// What counts as a gap: a silence of more than GapSteps usual steps, and of at
// least GapLeast. The usual step is the median of the steps between records
// that carry the channel, repeated timestamps left out, so that bursts, coarse
// clocks and channels in every tenth record have no gaps while they are sent.
const (
	GapSteps = 5
	GapLeast = 2 * time.Second
)

// GapAfter returns how long a channel with that usual step may be silent before
// that is a gap. Zero stands for a step that is not known.
func GapAfter(step time.Duration) time.Duration { return max(GapLeast, GapSteps*step) }

// UsualStep returns the median of the steps above zero; zero if there is none.
// It sorts steps.
func UsualStep(steps []time.Duration) time.Duration {
	slices.Sort(steps)
	none, _ := slices.BinarySearch(steps, 1)
	steps = steps[none:]
	if len(steps) == 0 {
		return 0
	}
	return (steps[(len(steps)-1)/2] + steps[len(steps)/2]) / 2
}
