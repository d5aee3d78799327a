package energy

import "math"

const wattHour = 3600 // J

// resistance is the name of what rolling and drag are together where the data do not
// tell them apart.
const resistance = "rolling_and_drag"

// parts are the terms as they are shown: each with the amounts of it that there are in a.
func (f *fit) parts(a amounts) (names []string, each []amounts) {
	only := func(name string, terms ...int) {
		var part amounts
		for _, t := range terms {
			part[t] = a[t]
		}
		names, each = append(names, name), append(each, part)
	}
	if f.told {
		only(termNames[rolling], rolling)
		only(termNames[drag], drag)
	} else {
		only(resistance, rolling, drag)
	}
	for _, t := range []int{climbing, kinetic} {
		if f.has[t] {
			only(termNames[t], t)
		}
	}
	return names, each
}

// model is the fit as it is shown.
func (f *fit) model() *Model {
	m := &Model{
		Terms: []Coefficient{}, LeftOut: []LeftOut{}, R2: f.r2, Intervals: f.n, Outliers: f.outlying, Seconds: f.covered,
		Deviation: f.deviation / wattHour, Slowest: f.speeds[0], Quickest: f.speeds[1],
	}
	names, each := f.parts(f.all)
	for i, name := range names {
		joules, off := f.of(each[i])
		of := f.all[rolling]
		for t := range terms {
			if name == termNames[t] {
				joules, off, of = f.k[t], f.off(t), 1
			}
		}
		m.Terms = append(m.Terms, Coefficient{name, joules / of, off / of})
	}
	for t, why := range f.dropped {
		if why != "" {
			m.LeftOut = append(m.LeftOut, LeftOut{termNames[t], why})
		}
	}
	if !f.told && f.dropped[drag] == "" {
		m.LeftOut = append(m.LeftOut, LeftOut{termNames[drag], "the data do not tell it apart from rolling: the speeds differ too little, or are too noisy"})
	}
	if f.has[climbing] && f.has[kinetic] {
		ratio := f.k[climbing] / (gravity * f.k[kinetic])
		m.Lifting = &ratio
	}
	return m
}

const gravity = 9.81 // m/s²

// spent parts what so many pieces of the run took together.
func (f *fit) spent(s sums, pieces int) Spent {
	p := Spent{Energy: s.energy / wattHour, Terms: []Took{}, Standing: s.standing / wattHour}
	names, each := f.parts(s.amounts)
	for i, name := range names {
		joules, off := f.of(each[i])
		p.Terms = append(p.Terms, Took{name, joules / wattHour, off / wattHour})
	}
	joules, off := f.of(s.amounts)
	p.Rest, p.Error = p.Energy-p.Standing-joules/wattHour, f.uncertain(off, pieces)/wattHour
	return p
}

// uncertain is the standard error of what the model has for so many pieces of the run: that of
// its coefficients, and what speeds and heights at the ends are off by, which is as of an
// interval of the fit.
func (f *fit) uncertain(off float64, pieces int) float64 {
	return math.Sqrt(off*off + float64(pieces)*f.deviation*f.deviation)
}

// passage is a lap, or a stretch of one.
type passage struct {
	sums
	seconds float64
}

// measured makes the energy what the run's laps have, which says where within half a second
// it was used.
func (p *passage) measured(joules *float64) {
	if joules != nil {
		p.energy = *joules
	}
}

// varying is by how much more the cube of the speed was, summed up, than at an even one.
func (p *passage) varying() float64 {
	mean := p.amounts[rolling] / p.seconds
	return p.amounts[drag] - mean*mean*p.amounts[rolling]
}

// vague is from which standard error on, as a share, a score says nothing: what height gives and
// takes in a sector may be many times what it took.
const vague = 0.05

// score is that of so many laps' passages, each with an even speed of its own; nil where there is
// none to speak of.
func (f *fit) score(list []passage, laps int) *Score {
	if !f.told || len(list) == 0 {
		return nil
	}
	var even amounts
	used, varied := 0.0, 0.0
	for i := range list {
		p := &list[i]
		more := p.varying()
		even = even.plus(1, p.amounts)
		even[drag] -= more
		used, varied = used+p.energy, varied+more
	}
	joules, off := f.of(even)
	if off = f.uncertain(off, len(list)); !(used > 0 && joules > 0 && off <= vague*used) {
		return nil
	}
	return &Score{Percent: 100 * joules / used, Error: 100 * off / used, Even: joules / wattHour, Varying: f.k[drag] * varied / wattHour, Laps: laps}
}
