package track

import (
	"cmp"
	"math"
	"slices"
)

const (
	// straightRadius is from which radius on a line is straight, m, and
	// straightLength how long it must be so, m.
	straightRadius = 150
	straightLength = 40
	// bendOver is over how much of the line its bend is measured, m: corners are
	// off by some decimetres.
	bendOver     = 40
	leastSectors = 3
	mostSectors  = 12
	// rise is how much a straight climbs and falls, m, to be parted there: heights by
	// satellite are off by a metre after all laps.
	rise = 2
	// leastSector is the least length of a sector, of 1 line.
	leastSector = 0.02
)

// Sectors returns where the line is best parted, m from its start: 0, the middles
// of straights, and its length. A straight bends by less than a radius of
// straightRadius over straightLength or more; where heights of the corners are known
// and it leads over a crest or through a hollow, it is parted there. There are 3 to
// 12 sectors, each a fiftieth of the line or more; a line of fewer straights has its
// longest sectors halved.
func (l *Line) Sectors(heights []float64) []float64 {
	m := len(l.X)
	half := max(1, int(math.Round(bendOver/2/l.Step)))
	heading := func(a, b int) float64 {
		a, b = ((a%m)+m)%m, ((b%m)+m)%m
		return math.Atan2(l.Y[b]-l.Y[a], l.X[b]-l.X[a])
	}
	straight := make([]bool, m)
	all := true
	for i := range m {
		turn := math.Remainder(heading(i, i+half)-heading(i-half, i), 2*math.Pi)
		straight[i] = math.Abs(turn) < float64(half)*l.Step/straightRadius
		all = all && straight[i]
	}
	type stretch struct{ middle, length float64 }
	var list []stretch
	if bend := slices.Index(straight, false); !all {
		// From a bend on, so that no straight is cut.
		for i := bend; i < bend+m; {
			end := i
			for end < bend+m && straight[end%m] {
				end++
			}
			if length := float64(end-i) * l.Step; length >= straightLength {
				middle := float64(i+end-1) / 2
				if turn, ok := turning(heights, i, end); ok {
					middle = float64(turn)
				}
				list = append(list, stretch{math.Mod(middle*l.Step, l.Length), length})
			}
			i = max(end, i+1)
		}
	}
	slices.SortStableFunc(list, func(a, b stretch) int { return cmp.Compare(b.length, a.length) })
	edges := []float64{0, l.Length}
	for _, s := range list {
		far := math.Inf(1)
		for _, e := range edges {
			far = min(far, math.Abs(e-s.middle))
		}
		if far >= leastSector*l.Length && len(edges) <= mostSectors {
			edges = append(edges, s.middle)
		}
	}
	slices.Sort(edges)
	for len(edges) <= leastSectors {
		longest := 1
		for i := 2; i < len(edges); i++ {
			if edges[i]-edges[i-1] > edges[longest]-edges[longest-1]+1e-9 {
				longest = i
			}
		}
		edges = slices.Insert(edges, longest, (edges[longest-1]+edges[longest])/2)
	}
	return edges
}

// gates returns where the sectors of the line begin.
func (l *Line) gates(heights []float64) []float64 {
	edges := l.Sectors(heights)
	return edges[:len(edges)-1]
}

// turning finds the corner of a straight from which it leads up, or down, to both
// sides by rise or more.
func turning(heights []float64, from, to int) (at int, ok bool) {
	if len(heights) == 0 {
		return 0, false
	}
	z := func(i int) float64 { return heights[i%len(heights)] }
	low, high := from, from
	for i := from; i < to; i++ {
		if z(i) < z(low) {
			low = i
		}
		if z(i) > z(high) {
			high = i
		}
	}
	crest := z(high) - max(z(from), z(to-1))
	hollow := min(z(from), z(to-1)) - z(low)
	if crest >= max(rise, hollow) {
		return high, true
	}
	return low, hollow >= rise
}
