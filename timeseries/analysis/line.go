package analysis

import (
	"math"
	"slices"

	"github.com/ecovolt/telemetryd/timeseries/track"
)

// node is a spot on the plane of the run, with what the car's odometer said.
type node struct {
	t    float64 // s since the run's first record
	d    float64 // odometer, silences filled in, m; of a run without one, s
	x, y float64 // m east and north of the run's first fix
	z    float64 // altitude, m; NaN without
	n    float64 // fixes
	// doubt is the deviation of the odometer since the node before, m, where it
	// was read too seldom, or not at all.
	doubt float64
	// v is the speed by the odometer, m/s; 0 of a run without one.
	v float64
	// s is the place along the line, unwrapped, m; lost where it is not known.
	s    float64
	lost bool
}

const (
	// cornerStep is the least distance between two corners of a line, m.
	cornerStep = 2
	// maxCorners bounds a line.
	maxCorners = 8192
	// kernel is how far fixes count for a corner at least, m to each side: it
	// bends a curve of 20 m radius inwards by 0.1 m, for every lap alike.
	kernel = 4
	// kernelFixes is how many fixes a corner should be the mean of.
	kernelFixes = 40
)

// average draws a closed line of that length through nodes whose place along it
// is known.
func average(nodes []node, use func(*node) bool, length float64) *track.Line {
	m := int(min(maxCorners, max(16, length/cornerStep)))
	l := &track.Line{X: make([]float64, m), Y: make([]float64, m), Step: length / float64(m), Length: length}
	// Sums by corner first, so that a day costs no more than its nodes.
	sums := make([][3]float64, m)
	fixes := 0.0
	for i := range nodes {
		if n := &nodes[i]; use(n) {
			c := int(math.Floor(n.s/l.Step+0.5)) % m
			if c < 0 {
				c += m
			}
			sums[c][0] += n.n
			sums[c][1] += n.n * n.x
			sums[c][2] += n.n * n.y
			fixes += n.n
		}
	}
	if fixes == 0 {
		return nil
	}
	near := int(math.Ceil(max(kernel, kernelFixes/2*length/fixes) / l.Step))
	for c := range l.X {
		for reach := near; ; reach *= 2 {
			reach = min(reach, m/2)
			var w, x, y float64
			for k := -reach; k <= reach; k++ {
				sum := &sums[((c+k)%m+m)%m]
				f := 1 - math.Abs(float64(k))/float64(reach+1)
				w, x, y = w+f*sum[0], x+f*sum[1], y+f*sum[2]
			}
			if w > 0 || reach == m/2 {
				l.X[c], l.Y[c] = x/w, y/w
				break
			}
		}
	}
	return l
}

const (
	// heightReach is how far altitudes count for a corner at least, m to each side.
	heightReach = 30
	// leastHeights is which share of the nodes has one at least.
	leastHeights = 0.5
)

// heights are the altitudes of a line's corners, m; nil where they are not known.
func heights(nodes []node, l *track.Line) []float64 {
	m := len(l.X)
	sums := make([][2]float64, m)
	with := 0
	for i := range nodes {
		if n := &nodes[i]; !n.lost && !math.IsNaN(n.z) {
			c := (int(math.Floor(n.s/l.Step+0.5))%m + m) % m
			sums[c][0]++
			sums[c][1] += n.z
			with++
		}
	}
	if float64(with) < leastHeights*float64(len(nodes)) || with == 0 {
		return nil
	}
	z := make([]float64, m)
	for c := range z {
		for reach := int(math.Ceil(heightReach / l.Step)); ; reach *= 2 {
			reach = min(reach, m/2)
			var w, sum float64
			for k := -reach; k <= reach; k++ {
				one := &sums[((c+k)%m+m)%m]
				f := 1 - math.Abs(float64(k))/float64(reach+1)
				w, sum = w+f*one[0], sum+f*one[1]
			}
			if w > 0 || reach == m/2 {
				z[c] = sum / w
				break
			}
		}
	}
	return z
}

// gate is where laps begin: a place and a direction.
type gate struct{ x, y, dx, dy float64 }

// firstGates is how many places are tried for one that a run comes back to, and
// gateStep how far they lie apart, m.
const (
	firstGates = 64
	gateStep   = 50
)

// gateAt makes the gate through which the run drove at a node.
func gateAt(nodes []node, at int, radius float64) (gate, bool) {
	g := gate{x: nodes[at].x, y: nodes[at].y}
	// The direction is to the mean of the places that are one to two radii away,
	// so that noise does not turn it.
	n := 0.0
	for i := at + 1; i < len(nodes); i++ {
		away := math.Hypot(nodes[i].x-g.x, nodes[i].y-g.y)
		if away > 2*radius {
			break
		}
		if away > radius {
			g.dx += nodes[i].x - g.x
			g.dy += nodes[i].y - g.y
			n++
		}
	}
	size := math.Hypot(g.dx, g.dy)
	if n == 0 || size == 0 {
		return g, false
	}
	g.dx, g.dy = g.dx/size, g.dy/size
	return g, true
}

// passes finds the odometer at each passage of a gate in its direction from a
// node on; the first is that node.
func passes(nodes []node, g gate, at int, radius float64) []pass {
	list := []pass{{node: at, d: nodes[at].d}}
	far := 0.0
	along := func(n *node) float64 { return (n.x-g.x)*g.dx + (n.y-g.y)*g.dy }
	for i := at + 1; i < len(nodes); i++ {
		far = max(far, math.Hypot(nodes[i].x-g.x, nodes[i].y-g.y))
		a, b := along(&nodes[i-1]), along(&nodes[i])
		if far <= 2*radius || !(a < 0 && b >= 0) {
			continue
		}
		f := a / (a - b)
		x, y := nodes[i-1].x+f*(nodes[i].x-nodes[i-1].x), nodes[i-1].y+f*(nodes[i].y-nodes[i-1].y)
		if math.Hypot(x-g.x, y-g.y) > radius {
			continue
		}
		list = append(list, pass{node: i, d: nodes[i-1].d + f*(nodes[i].d-nodes[i-1].d)})
		far = 0
	}
	return list
}

type pass struct {
	node  int // the first at or after it
	d     float64
	first bool // where the run first moved
}

// sameLength is how much the length of a lap may differ from the usual for the
// lap to be one of those that the line is drawn from.
const sameLength = 0.1

// draw finds the line that a run's laps have in common, from the first gate on
// that it came back to, and gives nodes their place by the odometer.
func draw(nodes []node, start int, radius float64) (l *track.Line, first pass, ok bool) {
	var list []pass
	for try, i := 0, start; try < firstGates && i < len(nodes); try++ {
		g, found := gateAt(nodes, i, radius)
		if found {
			if list = passes(nodes, g, i, radius); len(list) > 1 {
				break
			}
		}
		list = nil
		for from := nodes[i]; i < len(nodes) && math.Hypot(nodes[i].x-from.x, nodes[i].y-from.y) < gateStep; i++ {
		}
	}
	if list == nil {
		return nil, pass{}, false
	}
	lengths := make([]float64, 0, len(list))
	for i := 1; i < len(list); i++ {
		lengths = append(lengths, list[i].d-list[i-1].d)
	}
	usual := slices.Clone(lengths)
	slices.Sort(usual)
	length := usual[(len(usual)-1)/2]
	if !(length > 0) {
		return nil, pass{}, false
	}
	for i := range nodes {
		nodes[i].lost = true
	}
	for i, lap := range lengths {
		if math.Abs(lap/length-1) > sameLength {
			continue
		}
		for k := list[i].node; k < list[i+1].node; k++ {
			nodes[k].lost, nodes[k].s = false, (nodes[k].d-list[i].d)/lap*length
		}
	}
	l = average(nodes, func(n *node) bool { return !n.lost && (n.v > 0.5 || n.v == 0) }, length)
	list[0].first = list[0].node == start
	return l, list[0], l != nil
}
