package energy

import (
	"fmt"
	"math"
	"slices"
)

// The terms of the model, in the order in which they stand in vectors.
const (
	rolling = iota
	drag
	climbing
	kinetic
	terms
)

// termNames are those of the terms.
var termNames = [terms]string{"rolling", "drag", "climbing", "speeding_up"}

const (
	// Intervals last 10 to 22 s, about 15: long enough for what speed and altitude are
	// off by at their ends to matter little, short enough for the terms to differ.
	usualSeconds = 15.0
	leastSeconds = 10.0
	// leastSteps is of how many steps an interval consists at least.
	leastSteps = 8
	// leastPerTerm is how many intervals there are for each term.
	leastPerTerm = 8
	// slow is below which speed a car is at a start or at a stop, m/s.
	slow = 2.0
	// braking is below which power the car gives back, W: a model of what driving
	// takes has nothing to say of that.
	braking = -3.0
	// aside is how many steps before and behind such a one do not count either.
	aside = 4
	// outlying is from how many standard deviations on an interval does not count: one
	// in which the brakes took what no term knows of.
	outlying = 4.0
	// sure is of how many of its standard errors a coefficient is at least.
	sure = 2.0
	// leastFit is which share of the intervals' variance the terms explain at least.
	leastFit = 0.5
)

// interval is a stretch of the drive that counts.
type interval struct {
	from, to int     // steps
	energy   float64 // J
	seconds  float64
	x        amounts // what the terms are of
	// z are the same amounts from other records, whose noise has nothing to do with x'.
	z        amounts
	follows  bool // begins where the one before ends
	outlying bool
}

// far is how many steps to each side of an interval's ends are looked at: the
// nearest, as many as side, are for x, and the others for z.
const far = 3*side + 1

// intervals cuts out of the drive what counts.
func (d *drive) intervals() (list []interval) {
	back := make([]bool, len(d.steps))
	for i := 1; i < len(d.steps); i++ {
		// Of two seconds and a half: one step alone is as noisy as the current.
		a, b := &d.steps[max(0, i-3)], &d.steps[min(len(d.steps)-1, i+2)]
		if (b.Energy-a.Energy)/float64(b.At-a.At)*1e6 < braking {
			for k := max(0, i-aside); k < min(len(back), i+aside+1); k++ {
				back[k] = true
			}
		}
	}
	counts := func(i int) bool { return d.speed[i] >= slow && !back[i] } // no NaN does
	for i := 1; i < len(d.steps); i++ {
		from := i - 1
		for i < len(d.steps) && counts(i) {
			i++
		}
		if i-1 > from {
			list = append(list, d.cut(from, i-1)...)
		}
	}
	return list
}

// cut parts a stretch of the drive.
func (d *drive) cut(from, to int) (list []interval) {
	// The ends of intervals need something around them.
	for !d.around(from) && from < to {
		from++
	}
	for !d.around(to) && to > from {
		to--
	}
	seconds := float64(d.steps[to].At-d.steps[from].At) / 1e6
	if seconds < leastSeconds {
		return nil
	}
	n := max(1, int(math.Round(seconds/usualSeconds)))
	begin := from
	for k := 1; k <= n; k++ {
		end := begin
		for until := d.steps[from].At + int64(seconds*1e6*float64(k)/float64(n)); end < to && d.steps[end].At < until; {
			end++
		}
		if !d.around(end) || end-begin < leastSteps {
			continue
		}
		v := interval{from: begin, to: end, seconds: float64(d.steps[end].At-d.steps[begin].At) / 1e6, energy: d.steps[end].Energy - d.steps[begin].Energy}
		if n := len(list); n > 0 {
			v.follows = list[n-1].to == begin
		}
		v.x, v.z = d.measure(begin, end)
		list = append(list, v)
		begin = end
	}
	return list
}

// around reports whether the drive is known around a step.
func (d *drive) around(i int) bool {
	if i < far || i+far >= len(d.steps) {
		return false
	}
	for k := i - far + 1; k <= i+far; k++ {
		if !d.known(k) {
			return false
		}
	}
	return true
}

// measure are the amounts of an interval, twice, from records that have none in common:
// what is measured with noise, and is what something depends on, makes that seem less
// than it is; a second measurement tells by how much.
func (d *drive) measure(from, to int) (x, z amounts) {
	t := float64(d.steps[to].At-d.steps[from].At) / 1e6
	var seconds, way, cubes [2]float64
	for i := from + 1; i <= to; i++ {
		k := 0
		switch (i - from) % 6 {
		case 0, 4: // they share records with both
			continue
		case 5:
			k = 1
		}
		seconds[k] += d.took[i]
		way[k] += d.speed[i] * d.took[i]
		cubes[k] += d.cube(i) * d.took[i]
	}
	for k, a := range [2]*amounts{&x, &z} {
		a[rolling] = way[k] / seconds[k] * t
		a[drag] = cubes[k] / seconds[k] * t
	}
	x[kinetic], z[kinetic] = d.square[to]-d.square[from], d.squareBeside(to)-d.squareBeside(from)
	x[climbing], z[climbing] = d.height[to]-d.height[from], d.heightBeside(to)-d.heightBeside(from)
	return x, z
}

// squareBeside is v²/2 at a step's end by what is beside the steps that square is of.
func (d *drive) squareBeside(i int) float64 {
	before := float64(d.steps[i-side-1].At - d.steps[i-far].At)
	behind := float64(d.steps[i+far].At - d.steps[i+side+1].At)
	way := d.steps[i-side-1].Way - d.steps[i-far].Way + d.steps[i+far].Way - d.steps[i+side+1].Way
	v := way / (before + behind) * 1e6
	return v * v / 2
}

func (d *drive) heightBeside(i int) float64 {
	return (d.heightOf(i-far, i-side-1) + d.heightOf(i+side+1, i+far)) / 2
}

// fit is a model of a run.
type fit struct {
	has       [terms]bool
	k         [terms]float64 // coefficients
	v         matrix         // their covariance, by the terms that it has
	n         int            // intervals
	outlying  int
	r2        float64
	deviation float64       // of the residuals, J
	dropped   [terms]string // why a term is left out
	refused   string        // why there is none
	told      bool          // rolling and drag are told apart
	all       amounts       // of the intervals that count
	covered   float64       // s, in intervals that count
	speeds    [2]float64
}

func (f *fit) terms() (list []int) {
	for t, has := range f.has {
		if has {
			list = append(list, t)
		}
	}
	return list
}

func (f *fit) pick(a *amounts) []float64 {
	var v []float64
	for _, t := range f.terms() {
		v = append(v, a[t])
	}
	return v
}

// of is the energy that the model has for amounts, and its standard error, J.
func (f *fit) of(a amounts) (joules, off float64) {
	for t, has := range f.has {
		if has {
			joules += f.k[t] * a[t]
		}
	}
	v := f.pick(&a)
	return joules, math.Sqrt(max(0, dot(v, f.v.of(v))))
}

// off is the standard error of a coefficient.
func (f *fit) off(term int) float64 {
	i := slices.Index(f.terms(), term)
	return math.Sqrt(max(0, f.v[i][i]))
}

// fit finds the model.
func (d *drive) fit() *fit {
	f := &fit{}
	list := d.intervals()
	f.has = [terms]bool{rolling: true, drag: true, climbing: d.climbs, kinetic: true}
	if !d.climbs {
		f.dropped[climbing] = "the run has no altitude"
	} else {
		list = slices.DeleteFunc(list, func(v interval) bool { return math.IsNaN(v.x[climbing] + v.z[climbing]) })
	}
	for {
		k := len(f.terms())
		if f.n = len(list); f.n < leastPerTerm*k {
			f.refused = fmt.Sprintf("%d intervals of 10 s or more in which the car drove, without a gap, and gave nothing back; it takes %d", f.n, leastPerTerm*k)
			return f
		}
		solved := f.solve(list)
		term := f.weakest(list, solved)
		if term < 0 {
			break
		}
		if term == rolling {
			f.refused = "the car did not drive"
			return f
		}
		why := "it goes along with the other terms throughout"
		if solved {
			why = fmt.Sprintf("%.3g with a standard error of %.2g: the data do not tell it", f.k[term], f.off(term))
		}
		f.has[term], f.k[term], f.dropped[term] = false, 0, why
	}
	switch joules, off := f.of(f.resisting()); {
	case !(joules > sure*off):
		f.refused = "the energy does not go along with the distance driven"
	case !(f.r2 >= leastFit):
		f.refused = fmt.Sprintf("what it explains is less than half of how the energy varies (R² %.2f)", f.r2)
	}
	f.told = f.has[drag] && f.sure(drag) && f.sure(rolling)
	return f
}

// resisting are the amounts of rolling and drag in all that the fit is of.
func (f *fit) resisting() amounts { return amounts{rolling: f.all[rolling], drag: f.all[drag]} }

// sure reports whether a coefficient is told from nothing.
func (f *fit) sure(term int) bool { return f.k[term] > sure*f.off(term) }

// weakest is the term that is to be left out; -1 for none. Rolling and drag stay, so that
// what they take together does not go to the others: where the data do not tell them apart,
// told is false. So does what speeding up takes: a car that changes its speed takes some.
func (f *fit) weakest(list []interval, solved bool) int {
	if solved && f.has[drag] && f.k[drag] < -sure*f.off(drag) {
		return drag
	}
	if solved {
		if f.has[climbing] && !f.sure(climbing) {
			return climbing
		}
		return -1
	}
	// The one without which the others are told apart, or one of them.
	last := rolling
	for _, t := range []int{climbing, kinetic, drag} {
		if !f.has[t] {
			continue
		}
		f.has[t] = false
		ok := f.regress(list)
		if f.has[t] = true; ok {
			return t
		}
		last = t
	}
	return last
}

// solve fits the terms, and leaves out intervals that lie far off.
func (f *fit) solve(list []interval) (ok bool) {
	for i := range list {
		list[i].outlying = false
	}
	for range 20 {
		if !f.regress(list) {
			return false
		}
		residuals := make([]float64, len(list))
		var sizes []float64
		for i := range list {
			residuals[i] = list[i].energy - dot(f.pick(&list[i].x), f.coefficients())
			sizes = append(sizes, math.Abs(residuals[i]))
		}
		slices.Sort(sizes)
		limit := outlying * 1.4826 * sizes[len(sizes)/2]
		changed := false
		for i := range list {
			if out := math.Abs(residuals[i]) > limit; out != list[i].outlying {
				list[i].outlying, changed = out, true
			}
		}
		if !changed {
			break
		}
	}
	f.judge(list)
	return true
}

func (f *fit) coefficients() []float64 {
	a := amounts(f.k)
	return f.pick(&a)
}

// regress is one regression by instruments, of the intervals that do not lie far off.
func (f *fit) regress(list []interval) (ok bool) {
	chosen := f.terms()
	k := len(chosen)
	scale := make([]float64, k)
	n := 0
	for i := range list {
		if list[i].outlying {
			continue
		}
		n++
		for c, t := range chosen {
			scale[c] += list[i].x[t] * list[i].x[t]
		}
	}
	for c := range scale {
		if scale[c] = math.Sqrt(scale[c] / float64(n)); !(scale[c] > 1e-6) {
			return false
		}
	}
	row := func(a *amounts) []float64 {
		v := f.pick(a)
		for c := range v {
			v[c] /= scale[c]
		}
		return v
	}
	zx, zy := newMatrix(k), make([]float64, k)
	for i := range list {
		if v := &list[i]; !v.outlying {
			x, z := row(&v.x), row(&v.z)
			for a := range k {
				zy[a] += z[a] * v.energy
				for b := range k {
					zx[a][b] += z[a] * x[b]
				}
			}
		}
	}
	inv, ok := zx.inverse()
	if !ok {
		return false
	}
	beta := inv.of(zy)
	// The errors of two intervals that meet have what they are off by there in common.
	s := newMatrix(k)
	var last []float64
	for i := range list {
		v := &list[i]
		if v.outlying {
			last = nil
			continue
		}
		u := v.energy - dot(row(&v.x), beta)
		now := row(&v.z)
		for a := range now {
			now[a] *= u
		}
		for a := range k {
			for b := range k {
				s[a][b] += now[a] * now[b]
				if last != nil && v.follows {
					s[a][b] += (now[a]*last[b] + last[a]*now[b]) / 2
				}
			}
		}
		last = now
	}
	f.v = inv.times(s).times(inv.turned())
	for a, t := range chosen {
		f.k[t] = beta[a] / scale[a]
		for b := range chosen {
			f.v[a][b] *= float64(n) / float64(n-k) / (scale[a] * scale[b])
		}
	}
	return true
}

// judge says how well the model fits.
func (f *fit) judge(list []interval) {
	f.n, f.outlying = 0, 0
	mean, left, all := 0.0, 0.0, 0.0
	f.covered, f.all = 0, amounts{}
	f.speeds = [2]float64{math.Inf(1), 0}
	for i := range list {
		if list[i].outlying {
			f.outlying++
			continue
		}
		f.n++
		mean += list[i].energy
		f.covered += list[i].seconds
		f.all = f.all.plus(1, list[i].x)
		v := list[i].x[rolling] / list[i].seconds
		f.speeds[0], f.speeds[1] = min(f.speeds[0], v), max(f.speeds[1], v)
	}
	mean /= float64(f.n)
	for i := range list {
		if list[i].outlying {
			continue
		}
		u := list[i].energy - dot(f.pick(&list[i].x), f.coefficients())
		left += u * u
		all += (list[i].energy - mean) * (list[i].energy - mean)
	}
	f.r2 = 1 - left/all
	f.deviation = math.Sqrt(left / float64(f.n-len(f.terms())))
}
