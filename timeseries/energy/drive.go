package energy

import (
	"math"
	"sort"

	"github.com/ecovolt/telemetryd/timeseries/analysis/still"
	"github.com/ecovolt/telemetryd/timeseries/analysis/trail"
)

// amounts are what each term is of: they are summed up over a part of a run.
type amounts [terms]float64

func (a amounts) plus(f float64, b amounts) amounts {
	for i := range a {
		a[i] += f * b[i]
	}
	return a
}

// sums are those of a run up to a moment.
type sums struct {
	amounts          // while it drove
	energy   float64 // J, in all
	standing float64 // J, of it while it stood
}

func (a sums) plus(f float64, b sums) sums {
	return sums{a.amounts.plus(f, b.amounts), a.energy + f*b.energy, a.standing + f*b.standing}
}

// drive is a run, step by step: of step i, from steps[i-1] to steps[i].
type drive struct {
	steps  []trail.Step
	took   []float64 // s
	speed  []float64 // m/s, mean of the step; NaN where it is in a gap
	square []float64 // v²/2 at the step's end, m²/s²
	height []float64 // m, at the step's end; NaN where none is known
	sums   []sums    // at the step's end
	climbs bool
}

// side is over how many steps to each side the speed and the altitude at a moment are
// taken: 1.5 s, at half a second to a step.
const side = 3

func newDrive(steps []trail.Step) *drive {
	n := len(steps)
	d := &drive{steps: steps, took: make([]float64, n), speed: make([]float64, n), square: make([]float64, n), height: make([]float64, n), sums: make([]sums, n)}
	if n == 0 {
		return d
	}
	d.speed[0] = math.NaN()
	heights := 0
	for i := range steps {
		if !math.IsNaN(steps[i].Altitude) {
			heights++
		}
		if i == 0 {
			continue
		}
		a, b := &steps[i-1], &steps[i]
		d.took[i] = float64(b.At-a.At) / 1e6
		d.speed[i] = math.NaN()
		if d.took[i] > 0 && d.took[i]+a.Silent-b.Silent > 0.99*d.took[i] {
			d.speed[i] = (b.Way - a.Way) / d.took[i]
		}
	}
	d.climbs = float64(heights) >= leastHeights*float64(n)
	for i := range steps {
		from, to := i, i
		for from > 0 && from > i-side && d.known(from) {
			from--
		}
		for to+1 < n && to < i+side && d.known(to+1) {
			to++
		}
		if t := float64(steps[to].At - steps[from].At); t > 0 {
			v := (steps[to].Way - steps[from].Way) / t * 1e6
			d.square[i] = v * v / 2
		}
		d.height[i] = d.heightOf(from, to)
	}
	for i := 1; i < n; i++ {
		d.sums[i] = d.sums[i-1]
		s := &d.sums[i]
		used := steps[i].Energy - steps[i-1].Energy
		s.energy += used
		switch {
		case !d.known(i):
		case d.speed[i] < still.Standing:
			s.standing += used
			// What it lost on the way to a stand and what it gained from there is of the drive.
			s.amounts[kinetic] += d.square[i] - d.square[i-1]
		default:
			s.amounts = s.amounts.plus(1, d.amountsOf(i))
		}
	}
	return d
}

// leastHeights is which share of the steps has an altitude, for the run to have one.
const leastHeights = 0.9

func (d *drive) known(i int) bool { return !math.IsNaN(d.speed[i]) }

// heightOf is the mean altitude of the steps from..to; NaN without.
func (d *drive) heightOf(from, to int) float64 {
	sum, n := 0.0, 0
	for k := from; k <= to; k++ {
		if h := d.steps[k].Altitude; !math.IsNaN(h) {
			sum, n = sum+h, n+1
		}
	}
	return sum / float64(n) // NaN of none
}

// amountsOf are those of a step that is known.
func (d *drive) amountsOf(i int) (a amounts) {
	v, t := d.speed[i], d.took[i]
	a[rolling], a[drag], a[kinetic] = v*t, d.cube(i)*t, d.square[i]-d.square[i-1]
	if rise := d.height[i] - d.height[i-1]; !math.IsNaN(rise) {
		a[climbing] = rise
	}
	return a
}

// cube is the speed of a step to the third: of three steps whose noise is each one's own,
// since the cube of one that is noisy is too high on average.
func (d *drive) cube(i int) float64 {
	v := d.speed[i]
	if i < 3 || i+2 >= len(d.steps) || !d.known(i-2) || !d.known(i-1) || !d.known(i+1) || !d.known(i+2) {
		return v * v * v
	}
	return d.speed[i-2] * v * d.speed[i+2]
}

// at are the sums at a moment, µs since 1970.
func (d *drive) at(micros int64) sums {
	i := sort.Search(len(d.steps), func(i int) bool { return d.steps[i].At >= micros })
	switch {
	case len(d.steps) == 0:
		return sums{}
	case i == 0:
		return d.sums[0]
	case i == len(d.steps):
		return d.sums[i-1]
	}
	a, b := d.sums[i-1], d.sums[i]
	f := float64(micros-d.steps[i-1].At) / float64(d.steps[i].At-d.steps[i-1].At)
	return a.plus(f, b.plus(-1, a))
}

// between are the sums of a part of the run, µs since 1970.
func (d *drive) between(from, to int64) sums { return d.at(to).plus(-1, d.at(from)) }
