package analysis

import (
	"math"
	"slices"
)

// node is a spot on the plane of the run, with what the car's odometer said.
type node struct {
	t    float64 // s since the run's first record
	d    float64 // odometer, silences filled in, m; of a run without one, s
	x, y float64 // m east and north of the run's first fix
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

// line is the middle of what a run's laps drove: a closed polygon whose corners
// lie step metres of odometer apart.
type line struct {
	x, y   []float64
	step   float64
	length float64
}

// nearest finds the place on the line between two others that is nearest to a
// point, and how far away that is. Places are unwrapped.
func (l *line) nearest(x, y, from, to float64) (at, away float64) {
	square := math.Inf(1) // of away: roots take longer than all the rest
	m := len(l.x)
	i := int(math.Floor(from / l.step))
	a := ((i % m) + m) % m
	for last := int(math.Floor(to / l.step)); i <= last; i++ {
		b := a + 1
		if b == m {
			b = 0
		}
		ex, ey := l.x[b]-l.x[a], l.y[b]-l.y[a]
		px, py := x-l.x[a], y-l.y[a]
		f := 0.0
		if edge := ex*ex + ey*ey; edge > 0 {
			f = min(1, max(0, (px*ex+py*ey)/edge))
		}
		px, py = px-f*ex, py-f*ey
		if e := px*px + py*py; e < square {
			at, square = (float64(i)+f)*l.step, e
		}
		a = b
	}
	return at, math.Sqrt(square)
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
func average(nodes []node, use func(*node) bool, length float64) *line {
	m := int(min(maxCorners, max(16, length/cornerStep)))
	l := &line{x: make([]float64, m), y: make([]float64, m), step: length / float64(m), length: length}
	// Sums by corner first, so that a day costs no more than its nodes.
	sums := make([][3]float64, m)
	fixes := 0.0
	for i := range nodes {
		if n := &nodes[i]; use(n) {
			c := int(math.Floor(n.s/l.step+0.5)) % m
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
	near := int(math.Ceil(max(kernel, kernelFixes/2*length/fixes) / l.step))
	for c := range l.x {
		for reach := near; ; reach *= 2 {
			reach = min(reach, m/2)
			var w, x, y float64
			for k := -reach; k <= reach; k++ {
				sum := &sums[((c+k)%m+m)%m]
				f := 1 - math.Abs(float64(k))/float64(reach+1)
				w, x, y = w+f*sum[0], x+f*sum[1], y+f*sum[2]
			}
			if w > 0 || reach == m/2 {
				l.x[c], l.y[c] = x/w, y/w
				break
			}
		}
	}
	return l
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
func draw(nodes []node, start int, radius float64) (l *line, first pass, ok bool) {
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
