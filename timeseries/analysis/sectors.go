package analysis

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
	// leastSector is the least length of a sector, of 1 line.
	leastSector = 0.02
)

// sectors parts the line; see Course.Sectors.
func (l *line) sectors() []float64 {
	m := len(l.x)
	half := max(1, int(math.Round(bendOver/2/l.step)))
	heading := func(a, b int) float64 {
		a, b = ((a%m)+m)%m, ((b%m)+m)%m
		return math.Atan2(l.y[b]-l.y[a], l.x[b]-l.x[a])
	}
	straight := make([]bool, m)
	all := true
	for i := range m {
		turn := math.Remainder(heading(i, i+half)-heading(i-half, i), 2*math.Pi)
		straight[i] = math.Abs(turn) < float64(half)*l.step/straightRadius
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
			if length := float64(end-i) * l.step; length >= straightLength {
				list = append(list, stretch{math.Mod(float64(i+end-1)/2*l.step, l.length), length})
			}
			i = max(end, i+1)
		}
	}
	slices.SortStableFunc(list, func(a, b stretch) int { return cmp.Compare(b.length, a.length) })
	edges := []float64{0, l.length}
	for _, s := range list {
		far := math.Inf(1)
		for _, e := range edges {
			far = min(far, math.Abs(e-s.middle))
		}
		if far >= leastSector*l.length && len(edges) <= mostSectors {
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
