package fix

import "math"

const (
	// apart is how many values lie between two for what they have in common to be more
	// than what makes single ones: fixes of one second are smoothed by receivers.
	apart = 4
	// leastAlike is which share of the variance that is at least.
	leastAlike = 0.1
)

// Alike is how much of a noise stays for a while, as a deviation, and for how many values:
// a receiver is off by about the same for a minute, as satellites and air are.
// Values beyond most are taken for most. It is 0 where each value is by itself.
func Alike(values []float64, most float64) (deviation, lasts float64) {
	common := func(lag int) float64 {
		sum := 0.0
		for i := lag; i < len(values); i++ {
			sum += min(most, max(-most, values[i-lag])) * min(most, max(-most, values[i]))
		}
		return sum / float64(max(1, len(values)-lag))
	}
	all, near := common(0), common(apart)
	if !(near > all*max(leastAlike, 4/math.Sqrt(float64(len(values))))) {
		return 0, 0
	}
	// It falls to a part of e.
	lag, at := apart, near
	for lag < len(values)/8 {
		next := common(2 * lag)
		if next < near/math.E {
			fall := math.Log(at / max(next, near/20))
			lasts = float64(lag)*(1+math.Log(at*math.E/near)/fall) - apart
			break
		}
		lag, at, lasts = 2*lag, next, float64(2*lag)
	}
	lasts = max(apart, lasts)
	return math.Sqrt(min(all, near*math.Exp(apart/lasts))), lasts
}
