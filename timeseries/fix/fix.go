// Package fix tells positions that are one from what a receiver sends without: the one
// definition for laps, track, summary and page. It holds no state but what [Fixes] has,
// which one goroutine uses at a time.
package fix

import "math"

const (
	// MetresPerDegree is the length of a degree of latitude: a sixtieth of it is
	// a nautical mile, 1,853 m on the mean sphere of 6,371 km.
	MetresPerDegree = 111_195
	// nullIsland is how near to 0,0 a receiver without a fix reports itself, m.
	nullIsland = 1000
	// TopSpeed is faster than any car that is measured here, m/s.
	TopSpeed = 100
	// Jitter is how far two fixes of one moment may lie apart, m: ten times the
	// usual noise of a receiver (2 m), which is no speed.
	Jitter = 20
	// anew is how many fixes that agree with each other outweigh the last one
	// that was accepted.
	anew = 5
	// maxChains bounds how many places are held to be possible at once.
	maxChains = 8
)

// Fix is where a receiver says the car is.
type Fix struct {
	At  int64   // µs since 1970
	Lat float64 // deg, WGS84
	Lon float64
	Way float64 // m since the start of the run, by the Reducer
}

// plausible reports whether a fix can be one by itself.
func plausible(lat, lon float64) bool {
	// NaN and infinities fail the comparisons.
	return math.Abs(lat) <= 90 && math.Abs(lon) <= 180 && metres(0, 0, lat, lon) > nullIsland
}

// metres is the distance between two places that are near each other; of far
// ones it tells that they are.
func metres(lat1, lon1, lat2, lon2 float64) float64 {
	dy := lat2 - lat1
	dx := math.Remainder(lon2-lon1, 360) * math.Cos((lat1+lat2)/2*math.Pi/180)
	return math.Hypot(dx, dy) * MetresPerDegree
}

// follows reports whether a car may have come from one fix to the next.
func (f Fix) follows(before Fix) bool {
	seconds := math.Abs(float64(f.At-before.At)) / 1e6
	return metres(before.Lat, before.Lon, f.Lat, f.Lon) <= max(Jitter, TopSpeed*seconds)
}

// Fixes tells fixes from what a receiver sends without one. It is the one
// definition for laps, track, summary and page: finite, |latitude| <= 90,
// |longitude| <= 180, not within 1 km of 0,0, and not more than 100 m/s from the
// last accepted one, until five consistent ones in a row say that this was
// wrong. The first is accepted by the same rule: once five agree with it, or
// when the run ends before. So a fix is known some records after it came.
//
// Its exported fields are its whole state, so that it can be stored.
type Fixes struct {
	Begun  bool    `json:"begun"`
	Last   Fix     `json:"last"`
	Chains [][]Fix `json:"chains,omitempty"` // what may start anew
}

// Add takes the next position of a run, in order of time, and appends the fixes
// that it makes known to dst.
func (f *Fixes) Add(dst []Fix, fix Fix) []Fix {
	if !plausible(fix.Lat, fix.Lon) {
		return dst
	}
	if f.Begun && fix.follows(f.Last) {
		f.Last, f.Chains = fix, f.Chains[:0]
		return append(dst, fix)
	}
	for i, chain := range f.Chains {
		if !fix.follows(chain[len(chain)-1]) {
			continue
		}
		chain = append(chain, fix)
		if f.Chains[i] = chain; len(chain) < anew {
			return dst
		}
		f.Begun, f.Last, f.Chains = true, fix, f.Chains[:0]
		return append(dst, chain...)
	}
	if len(f.Chains) == maxChains {
		f.Chains = append(f.Chains[:0], f.Chains[1:]...)
	}
	f.Chains = append(f.Chains, []Fix{fix})
	return dst
}

// End appends the fixes of a run that ends before five of them agree.
func (f *Fixes) End(dst []Fix) []Fix {
	if f.Begun {
		return dst
	}
	var longest []Fix
	for _, chain := range f.Chains {
		if len(chain) > len(longest) {
			longest = chain
		}
	}
	return append(dst, longest...)
}
