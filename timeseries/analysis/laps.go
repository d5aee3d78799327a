package analysis

import (
	"math"
	"slices"

	"github.com/ecovolt/telemetryd/timeseries/fix"
	"github.com/ecovolt/telemetryd/timeseries/track"
)

// run is a run as a reducer left it.
type run struct {
	Bins  []bin
	Spots []spot // in order of time
	// Counted are the changes of the car's own counter of laps.
	Counted []counted
	First   int64 // the oldest record, µs since 1970
	// Measured tells that the way is measured, by speed or by a counter.
	Measured bool
	Moved    *moment // the first record at speed; nil where that is not known

	odometer []ticks // by bin
	fixed    int64   // records whose position is a fix
}

// crossing is when a run passed its start line, or came into a sector.
type crossing struct {
	At    float64 // µs since 1970
	Error float64 // standard deviation, s
	Speed float64 // m/s along the line; 0 where the lap begins with the run
}

// lapCourse is where a run's laps lead along.
type lapCourse struct {
	// Crossings are, lap by lap, when it began and when it came into the next of
	// its Parts, which say of what sectors they are; a lap that begins within one
	// has two parts of that.
	Crossings []crossing
	Parts     []int
	Gates     []float64 // where sectors begin, m along the line
	Lat, Lon  []float64 // corners of the line, which is closed; the first is the start
	Length    float64   // m
	Noise     float64   // of the fixes, m
	// Begun and Gate are how exactly it is known where on the line the run began, and
	// where gates lie along what was driven, which is alike in every lap; deviations, m.
	Begun, Gate float64
}

const (
	// usualNoise is what a receiver's noise is taken for until it is known, m.
	usualNoise = 2
	// rounds is how often line and places are made from each other.
	rounds = 4
)

// found is the line that a run's laps have in common, and where the run was on it.
type found struct {
	line     *track.Line
	lat, lon float64 // where the plane touches the earth
	nodes    []node
	places   []estimate
	first    int      // node from which on laps count
	start    crossing // when that was, at the first corner
	noise    float64
	begun    float64 // as lapCourse.Begun
	gate     float64 // as lapCourse.Gate
}

// find finds the line that a run's laps have in common. It begins where the run
// first moves; of a run that never comes back there it is the first place that it
// does come back to. Nil without a lap.
func (r *run) find() *found {
	nodes, lat0, lon0 := r.nodes()
	nodes = steady(nodes)
	if len(nodes) < 8 {
		return nil
	}
	start := 0
	if r.Moved != nil {
		start = slices.IndexFunc(nodes, func(n node) bool { return r.Bins[0].At+int64(n.t*1e6) >= r.Moved.At })
		if start < 0 {
			return nil
		}
	}
	l, first, ok := draw(nodes, start, 25)
	if !ok {
		return nil
	}
	f := r.follower(l, usualNoise)
	var places []estimate
	for round := range rounds {
		f.noise, f.alike, f.lasts = noiseOf(l, nodes)
		f.line = l
		places = f.follow(nodes, r.Measured)
		if round < rounds-1 {
			if next := average(nodes, func(n *node) bool { return f.fits(n) }, l.Length); next != nil {
				if r.Measured {
					next.Even(f.evenOver(f.fixes(nodes)))
				}
				l = next
			}
		}
	}
	from := &found{line: l, lat: lat0, lon: lon0, nodes: nodes, places: places, first: first.node, noise: f.noise}
	if r.Measured {
		f.doubt(nodes, places)
	}
	from.begun = math.Sqrt(max(0, places[first.node].p00))
	fixes, over := f.fixes(nodes), float64(kernel)
	if r.Measured {
		over = max(kernel, f.evenOver(fixes))
	}
	from.gate = math.Hypot(leastGate, f.noise/math.Sqrt(fixes*over*1.5)) // as a mean whose weights fall off to both sides
	// The start is where the first pass was: there the car may have stood. That the
	// line begins there its fixes alone could tell to within some metres.
	begun := float64(r.Bins[0].At)
	place := places[first.node].s
	from.start.At = begun + nodes[first.node].t*1e6
	if r.Moved != nil && r.Measured && first.first && from.start.At-float64(r.Moved.At) < 1e6 {
		place -= places[first.node].k * (nodes[first.node].d - r.Moved.Way)
		from.start.At = float64(r.Moved.At)
	}
	from.turn(place)
	return from
}

// turn begins the line elsewhere.
func (f *found) turn(place float64) {
	f.line = f.line.Turned(place)
	for i := range f.nodes {
		f.nodes[i].s -= place
		f.places[i].s -= place
	}
}

// shape is the line on the earth.
func (f *found) shape(heights []float64) track.Shape {
	s := track.Shape{Length: f.line.Length, Alt: heights}
	scale := math.Cos(f.lat * math.Pi / 180)
	for i := range f.line.X {
		s.Lat = append(s.Lat, f.lat+f.line.Y[i]/fix.MetresPerDegree)
		s.Lon = append(s.Lon, f.lon+f.line.X[i]/fix.MetresPerDegree/scale)
	}
	return s
}

// laps is about how many laps the run went.
func (f *found) laps() int {
	return int((f.nodes[len(f.nodes)-1].s-f.nodes[f.first].s)/f.line.Length + 0.02)
}

// course tells when the run passed the start and its gates. That is where the line
// begins, unless the run is to count its laps from the finish, which is the first of
// the gates.
func (r *run) course(f *found, gates []float64, finish bool) *lapCourse {
	begin, began := 0.0, true
	if finish {
		place := gates[0]
		f.turn(place)
		gates = slices.Clone(gates)
		for i, g := range gates {
			gates[i] = math.Mod(g-place+f.line.Length, f.line.Length)
		}
		// A car that stands a little behind the finish begins its first lap there.
		begin = -place
		if before := math.Floor(begin/f.line.Length) * f.line.Length; begin-before <= standing {
			begin = before
		} else {
			begin, began = before+f.line.Length, false
		}
	}
	course := &lapCourse{Length: f.line.Length, Noise: f.noise, Gates: gates, Gate: f.gate}
	shape := f.shape(nil)
	course.Lat, course.Lon = shape.Lat, shape.Lon
	if began {
		course.Begun = f.begun
	}
	course.Crossings, course.Parts = r.crossings(f, gates, begin, began)
	return course
}

// follower makes one for the run.
func (r *run) follower(l *track.Line, noise float64) *follower {
	f := &follower{line: l, noise: noise, scale: 1, scaleP: 0.05 * 0.05, drift: 1e-10}
	if !r.Measured {
		// The odometer ticks by the second, so that its scale is the speed.
		f.scaleP = 25
	}
	return f
}

// fits reports whether a node should count for the line.
func (f *follower) fits(n *node) bool {
	if n.lost || n.v != 0 && n.v < 0.5 {
		return false
	}
	_, away := f.line.Nearest(n.x, n.y, n.s-f.line.Step, n.s+f.line.Step)
	return away < f.reach()
}

// mostEven is over how much of a line lengths by the odometer tell where its corners lie
// along it at most, m: in bends they depend on how far fixes lie beside it.
const mostEven = 250

// leastGate is how far gates are off along the line whatever the fixes, m: corners and
// positions have decimals, and bends of the line are somewhat shorter than those driven.
const leastGate = 0.04

// evenOver is over how much of the line they tell it better than the means of fixes do,
// of which so many lie on a metre.
func (f *follower) evenOver(fixes float64) float64 {
	return min(mostEven, f.line.Length/2, f.noise/math.Sqrt(fixes*f.wander))
}

// fixes is how many lie on a metre of the line.
func (f *follower) fixes(nodes []node) float64 {
	fixes := 1.0
	for i := range nodes {
		if !nodes[i].lost {
			fixes += nodes[i].n
		}
	}
	return fixes / f.line.Length
}

// noiseOf is the noise of a fix, by how far fixes lie beside the line, and how far those
// of so many nodes lie there together.
func noiseOf(l *track.Line, nodes []node) (noise, alike, lasts float64) {
	var away, beside []float64
	for i := range nodes {
		if n := &nodes[i]; !n.lost {
			at, e := l.Nearest(n.x, n.y, n.s-15, n.s+15)
			away = append(away, e*math.Sqrt(n.n))
			if l.Left(n.x, n.y, at) {
				e = -e
			}
			beside = append(beside, e)
		}
	}
	if len(away) == 0 {
		return usualNoise, 0, 0
	}
	slices.Sort(away)
	// The median of the magnitude of a normal variable is 0.6745 deviations.
	noise = min(30, max(0.1, away[len(away)/2]/0.6745))
	alike, lasts = fix.Alike(beside, 4*noise)
	return noise, alike, lasts
}

// doubt adds to the variance of places what the fixes that they were found from are off
// by together. Where the odometer was taken to be good, fixes along the line have shown
// nothing of that; otherwise places follow it, since it may as well be the odometer's.
func (f *follower) doubt(nodes []node, places []estimate) {
	if f.alike == 0 || f.wander <= wanders[0] {
		return
	}
	fixes := 0.0
	for i := range nodes {
		fixes += nodes[i].n
	}
	noise := f.noise * f.noise / fixes * float64(len(nodes))
	for i := range places {
		if p := &places[i].p00; *p > 0 {
			over := noise / *p / f.lasts // for how long places are averaged, of what it lasts
			*p += f.alike * f.alike * 2 / over * (1 - (1-math.Exp(-over))/over)
		}
	}
}

// nodes puts the spots of a run on a plane.
func (r *run) nodes() (nodes []node, lat0, lon0 float64) {
	if len(r.Spots) == 0 {
		return nil, 0, 0
	}
	lat0, lon0 = r.Spots[0].Lat, r.Spots[0].Lon
	return r.nodesAround(lat0, lon0), lat0, lon0
}

// nodesAround puts the spots of a run on the plane that touches the earth there.
func (r *run) nodesAround(lat0, lon0 float64) []node {
	scale := math.Cos(lat0 * math.Pi / 180)
	nodes := make([]node, len(r.Spots))
	r.odometer = odometer(r.Bins)
	before := 0.0
	k := 0
	for i, s := range r.Spots {
		for k < len(r.Bins)-1 && float64(r.Bins[k].At) < s.At {
			k++
		}
		o := &r.odometer[k]
		n := &nodes[i]
		*n = node{z: r.Bins[k].Alt, t: (s.At - float64(r.Bins[0].At)) / 1e6, d: s.Way + o.filled, n: s.N, doubt: math.Sqrt(o.doubt - before), v: o.v,
			x: math.Remainder(s.Lon-lon0, 360) * scale * fix.MetresPerDegree, y: (s.Lat - lat0) * fix.MetresPerDegree}
		before = o.doubt
		if !r.Measured {
			n.d, n.v, n.doubt = n.t, 0, 0
		}
	}
	return nodes
}

// island is how many nodes, each half a second, that do not fit what came before
// are taken for the truth.
const island = 20

// steady leaves out nodes to which the car cannot have come, by its odometer: a
// receiver may agree with itself for some seconds and be wrong.
func steady(nodes []node) []node {
	follows := func(a, b *node) bool {
		step := (b.d - a.d) * 1.5
		if a.v == 0 && b.v == 0 && a.d == a.t {
			step = (b.t - a.t) * fix.TopSpeed / 2
		}
		return math.Hypot(b.x-a.x, b.y-a.y) <= fix.Jitter+step+3*b.doubt
	}
	kept := nodes[:0]
	for i := 0; i < len(nodes); {
		end := i + 1
		for end < len(nodes) && follows(&nodes[end-1], &nodes[end]) {
			end++
		}
		part := nodes[i:end]
		i = end
		fits := len(kept) == 0 || follows(&kept[len(kept)-1], &part[0])
		switch {
		case !fits && len(part) < island:
			continue
		case !fits && len(kept) < island:
			kept = kept[:0]
		}
		kept = append(kept, part...)
	}
	return kept
}

// ticks are what the odometer of a run says at a bin, with its silences filled
// in by the speed at their ends.
type ticks struct {
	d      float64 // m
	filled float64 // of it, m
	silent float64 // s that were filled in
	doubt  float64 // variance of the odometer by the steps so far, m²
	v      float64 // m/s
}

// longStep is from which step on between two bins the car may have changed its
// speed unseen, s.
const longStep = 0.75

// doubtIn is the deviation of the way over a step, m, of a car that changes its
// speed by up to 1 m/s² and did not stand at the ends.
func doubtIn(seconds, v float64) float64 {
	if seconds < longStep {
		return 0
	}
	return min(seconds*seconds/12, seconds*v/2)
}

func odometer(bins []bin) []ticks {
	list := make([]ticks, len(bins))
	speed := func(a, b int) float64 {
		if a < 0 || b >= len(bins) || bins[a].Silent != bins[b].Silent || bins[a].At == bins[b].At {
			return math.NaN()
		}
		return (bins[b].Way - bins[a].Way) / (float64(bins[b].At-bins[a].At) / 1e6)
	}
	either := func(v, or float64) float64 {
		if math.IsNaN(v) {
			v = or
		}
		if math.IsNaN(v) {
			v = 0
		}
		return v
	}
	last := 0 // the last bin that has a speed
	for i := range bins {
		list[i].v = either(speed(i-1, i), speed(i, i+1))
		if i > 0 {
			list[i].filled, list[i].silent = list[i-1].filled, list[i-1].silent
			if silent := bins[i].Silent - bins[i-1].Silent; silent > 0 {
				fill := silent * (either(speed(last-1, last), 0) + either(speed(i, i+1), 0)) / 2
				// Bins without a speed share it by their time.
				for k := last + 1; k <= i; k++ {
					f := float64(bins[k].At-bins[last].At) / float64(bins[i].At-bins[last].At)
					list[k].filled, list[k].silent = list[last].filled+f*fill, list[last].silent+f*silent
				}
			}
		}
		if !math.IsNaN(bins[i].Top) {
			last = i
		}
	}
	last = 0
	for i := range list {
		list[i].d = bins[i].Way + list[i].filled
		if i == 0 {
			continue
		}
		list[i].doubt = list[i-1].doubt
		if !math.IsNaN(bins[i].Top) {
			doubt := doubtIn(float64(bins[i].At-bins[last].At)/1e6, max(list[last].v, list[i].v))
			list[i].doubt += doubt * doubt
			last = i
		}
	}
	return list
}
