package analysis

import (
	"math"

	"github.com/ecovolt/telemetryd/timeseries/track"
)

// follower finds a car's place along a line from its fixes and its odometer: a
// Kalman filter with two states, the place s (m, unwrapped: it grows by the
// line's length each lap) and how many metres of line a metre of odometer is,
// and the smoother of Rauch, Tung and Striebel behind it. So a place is known
// from all fixes around it, for as long as the odometer can be trusted: 2 m of
// noise at 5 Hz become 0.1 to 0.2 m.
//
// How far the odometer can be trusted is not known beforehand: wander is chosen
// as the value that makes the run's fixes most likely.
type follower struct {
	line   *track.Line
	noise  float64 // of a fix, m along the line
	alike  float64 // of it, what is the same of nodes in a row, and for how many, where that is known
	lasts  float64
	wander float64 // variance that the place gains, m² per m of odometer
	drift  float64 // variance that the scale gains per m of odometer
	scale  float64 // at first, and its variance
	scaleP float64
	// began is about where the first node lies, m; nil where that is not known.
	began *float64
}

// estimate is the filter's state at a node.
type estimate struct {
	s, k          float64
	p00, p01, p11 float64
	step          float64 // odometer since the node before, m
	cut           bool    // found anew: what came before says nothing
	used          bool    // the node's fix counted
}

const (
	// lostAfter is after how many fixes in a row that do not fit the line the
	// place is looked for anew.
	lostAfter = 8
	// unlikely is from how many standard deviations on a fix does not count.
	unlikely = 4.5
	// backwards is how far a place that is found anew may lie behind the last
	// known one, m: noise, and no lap is taken back.
	backwards = 30
)

// forward filters nodes and returns how likely their fixes were.
func (f *follower) forward(nodes []node, into []estimate) (likelihood float64) {
	var e estimate
	known, misses, last := false, 0, 0.0
	length, longest := f.line.Length, f.line.Longest()
	for i := range nodes {
		n := &nodes[i]
		noise := f.noise * f.noise / n.n
		e.step, e.cut, e.used = 0, false, false
		if i > 0 {
			e.step = n.d - nodes[i-1].d
		}
		if known {
			e.s += e.k * e.step
			e.p00 += 2*e.step*e.p01 + e.step*e.step*e.p11 + f.wander*e.step + n.doubt*n.doubt + 1e-6
			e.p01 += e.step * e.p11
			e.p11 += f.drift * e.step
			window := max(15, 4*math.Sqrt(e.p00+noise))
			if window < length/4 {
				at, away := f.line.Nearest(n.x, n.y, e.s-window, e.s+window)
				miss, spread := at-e.s, e.p00+noise
				if away < f.reach() && miss*miss < unlikely*unlikely*spread {
					likelihood -= miss*miss/spread + math.Log(spread)
					g0, g1 := e.p00/spread, e.p01/spread
					e.s, e.k = e.s+g0*miss, e.k+g1*miss
					e.p00, e.p01, e.p11 = (1-g0)*e.p00, (1-g0)*e.p01, e.p11-g1*e.p01
					e.used, misses = true, 0
				} else {
					likelihood -= unlikely*unlikely + math.Log(spread)
					misses++
				}
			} else {
				misses = lostAfter
			}
		}
		if !known || misses >= lostAfter {
			// What went on meanwhile is not known: it is no lap that nobody saw.
			from, to := last-backwards, last-backwards+length
			switch {
			case known:
			case f.began != nil:
				came := n.d - nodes[0].d
				off := min(length/2, backwards+0.1*(math.Abs(*f.began)+came))
				from, to = *f.began+came-off, *f.began+came+off
			default:
				from, to = -length/2, length/2
			}
			if at, away := f.line.Search(n.x, n.y, from, to, longest); away < f.reach() {
				e = estimate{s: at, k: f.scale, p00: noise + 25, p11: f.scaleP, step: e.step, cut: true, used: true}
				known, misses = true, 0
			}
		}
		n.lost = !known || misses >= lostAfter
		if into[i] = e; e.used {
			last = e.s
		}
	}
	return likelihood
}

// reach is how far beside the line a fix may lie, m.
func (f *follower) reach() float64 { return max(10, 4*f.noise) }

// backward smooths what forward found; afterwards estimates hold smoothed values.
func (f *follower) backward(nodes []node, e []estimate) {
	for i := len(e) - 2; i >= 0; i-- {
		a, b := &e[i], &e[i+1]
		if b.cut || nodes[i].lost || nodes[i+1].lost {
			continue
		}
		// The prediction at i+1, as forward made it.
		d := b.step
		p00 := a.p00 + 2*d*a.p01 + d*d*a.p11 + f.wander*d + nodes[i+1].doubt*nodes[i+1].doubt + 1e-6
		p01 := a.p01 + d*a.p11
		p11 := a.p11 + f.drift*d
		det := p00*p11 - p01*p01
		if !(det > 0) {
			continue
		}
		// gain = P Fᵀ P⁻¹(i+1|i)
		c00, c01 := a.p00+d*a.p01, a.p01
		c10, c11 := a.p01+d*a.p11, a.p11
		g00, g01 := (c00*p11-c01*p01)/det, (c01*p00-c00*p01)/det
		g10, g11 := (c10*p11-c11*p01)/det, (c11*p00-c10*p01)/det
		ds, dk := b.s-(a.s+d*a.k), b.k-a.k
		q00, q01, q11 := b.p00-p00, b.p01-p01, b.p11-p11
		a.s += g00*ds + g01*dk
		a.k += g10*ds + g11*dk
		r00, r01 := g00*q00+g01*q01, g00*q01+g01*q11
		r10, r11 := g10*q00+g11*q01, g10*q01+g11*q11
		a.p00 += r00*g00 + r01*g01
		a.p01 += r00*g10 + r01*g11
		a.p11 += r10*g10 + r11*g11
	}
}

// follow finds the place of each node on the line.
func (f *follower) follow(nodes []node, odometer bool) []estimate {
	best := math.Inf(-1)
	start := nodes[:min(len(nodes), learnNodes)]
	into := make([]estimate, len(nodes))
	chosen := *f
	for i, wander := range wanders {
		try := *f
		if try.wander = wander; !odometer {
			try.wander, try.drift = 1e-4, wander*1000
		}
		if likely := try.forward(start, into) - preferred*float64(i); likely > best {
			best, chosen = likely, try
		}
	}
	*f = chosen
	f.forward(nodes, into)
	f.backward(nodes, into)
	for i := range nodes {
		nodes[i].s = into[i].s
	}
	return into
}

// wanders are the variances that are tried, m² per m: from an odometer that is
// off by 3 cm in a kilometre to one that says next to nothing.
var wanders = []float64{1e-6, 1e-5, 1e-4, 1e-3, 1e-2, 1e-1, 1, 10}

// preferred is by how much a variance must be likelier than the next lower one
// (twice the logarithm): a short run should not take its fixes' noise for that
// of an odometer.
const preferred = 25

// learnNodes is from how much of a run the variance is learned.
const learnNodes = 20_000
