package analysis

import (
	"cmp"
	"math"
	"slices"
	"sort"
)

// sameGate is within which distance the start line is one with a gate, m.
const sameGate = 2

// standing is how far behind the finish a car may stand at the start, m: its first
// lap begins there.
const standing = 25

// crossings finds when the run passes the start from a place on, where it may have
// begun, and within each lap the gates; see lapCourse.
func (r *run) crossings(f *found, gates []float64, line float64, began bool) (list []crossing, parts []int) {
	nodes, places, length := f.nodes, f.places, f.line.Length
	start := float64(r.Bins[0].At)
	n := -1 // of the next one
	if began {
		list, n = append(list, f.start), 0
	}
	offsets, parts := partsOf(line, length, gates)
	next := func() float64 {
		n++
		return line + float64(n/len(offsets))*length + offsets[n%len(offsets)]
	}
	due := next()
	for i := f.first + 1; i < len(nodes); i++ {
		a, b := &nodes[i-1], &nodes[i]
		for ; due <= b.s; due = next() {
			share := 1.0
			if b.s > a.s {
				share = max(0, (due-a.s)/(b.s-a.s))
			}
			v := max(0.5, b.v*places[i].k)
			if !r.Measured {
				v = max(0.5, places[i].k)
			}
			spread := math.Sqrt(max(0, places[i].p00)) / v
			if places[i].cut {
				spread = (b.t - a.t) / math.Sqrt(12) // at any moment of the silence
			}
			list = append(list, crossing{start + r.when(a, b, share)*1e6, spread, v})
		}
	}
	return list, parts
}

// partsOf parts a lap that begins at a place of the line by the gates: how far
// from there parts begin, and of what sectors they are.
func partsOf(line, length float64, gates []float64) (offsets []float64, sectors []int) {
	type part struct {
		offset float64
		sector int
	}
	var list []part
	for i, g := range gates {
		off := math.Mod(math.Mod(g-line, length)+length, length)
		if off < sameGate || off > length-sameGate {
			off = 0
		}
		list = append(list, part{off, i})
	}
	slices.SortStableFunc(list, func(a, b part) int { return cmp.Compare(a.offset, b.offset) })
	if len(list) == 0 || list[0].offset > 0 {
		before := 0
		if len(list) > 0 {
			before = list[len(list)-1].sector
		}
		list = slices.Insert(list, 0, part{0, before})
	}
	for _, p := range list {
		offsets, sectors = append(offsets, p.offset), append(sectors, p.sector)
	}
	return offsets, sectors
}

// when is the moment at which the odometer was that share of the way between two
// nodes, s since the start of the run.
func (r *run) when(a, b *node, share float64) float64 {
	if !r.Measured {
		return a.t + share*(b.t-a.t)
	}
	start := r.Bins[0].At
	t0, t1 := a.t, b.t
	d0, d1 := a.d, b.d
	d := d0 + share*(d1-d0)
	k := sort.Search(len(r.Bins), func(k int) bool { return float64(r.Bins[k].At-start)/1e6 > a.t })
	for ; k < len(r.Bins); k++ {
		t := float64(r.Bins[k].At-start) / 1e6
		if t >= t1 {
			break
		}
		if r.odometer[k].d > d {
			t1, d1 = t, r.odometer[k].d
			break
		}
		t0, d0 = t, r.odometer[k].d
	}
	if !(d1 > d0) {
		return t0
	}
	f := (d - d0) / (d1 - d0)
	if k > 1 && k < len(r.Bins)-1 {
		// The speed goes from the one before the step to the one behind it.
		v0, v1 := (r.odometer[k-1].d-r.odometer[k-2].d)/float64(r.Bins[k-1].At-r.Bins[k-2].At), (r.odometer[k+1].d-r.odometer[k].d)/float64(r.Bins[k+1].At-r.Bins[k].At)
		if sum := v0 + v1; sum > 0 && v0 > 0 && v1 > 0 && math.Abs(v1-v0) > 1e-3*sum {
			// v0 x + (v1-v0) x²/2 = f (v0+v1)/2
			f = (math.Sqrt(v0*v0+(v1-v0)*f*sum) - v0) / (v1 - v0)
		}
	}
	return t0 + f*(t1-t0)
}
