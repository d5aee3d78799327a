package pace

import (
	"math"
	"sort"
	"time"
)

// steps is into how many parts the way of a lap is divided.
const steps = 100

// stretch is a lap, or a minute, that tells how the run drives: what it took until each
// part of its way.
type stretch struct {
	s, m, j float64 // s, m, J of it
	at, use [steps + 1]float64
}

// quantity is something that a stretch took until a share of its way.
type quantity func(st *stretch, share float64) float64

func (*stretch) between(of *[steps + 1]float64, share float64) float64 {
	share = max(0, min(1, share)) * steps
	i := min(int(share), steps-1)
	return of[i] + (share-float64(i))*(of[i+1]-of[i])
}

// The quantities that there are: s, J, m, and of the stretch itself.
func took(st *stretch, share float64) float64  { return st.between(&st.at, share) }
func used(st *stretch, share float64) float64  { return st.between(&st.use, share) }
func drove(st *stretch, share float64) float64 { return st.m * share }
func place(_ *stretch, share float64) float64  { return share }

// less is one quantity minus so many times another one: what is left to doubt of it where
// the amount of the other one is given.
func less(a quantity, times float64, b quantity) quantity {
	return func(st *stretch, share float64) float64 { return a(st, share) - times*b(st, share) }
}

// sums are a run by the half second, with its gaps filled in by the mean rates of the
// stretches.
type sums struct {
	list         []Sum
	speed, power float64
	way          bool // whether distance is measured
}

func (s *sums) filled(i int) (way, energy float64) {
	return s.list[i].Way + s.list[i].Silent*s.speed, s.list[i].Energy + s.list[i].Silent*s.power
}

// when is the run at a moment: where behind which sum that is.
func (s *sums) when(t time.Time) (i int, share float64) {
	i = sort.Search(len(s.list), func(i int) bool { return s.list[i].At.After(t) }) - 1
	switch {
	case i < 0:
		return 0, 0
	case i >= len(s.list)-1:
		return len(s.list) - 1, 0
	}
	return i, float64(t.Sub(s.list[i].At)) / float64(s.list[i+1].At.Sub(s.list[i].At))
}

// at is the filled way and energy then.
func (s *sums) at(t time.Time) (way, energy float64) {
	i, share := s.when(t)
	way, energy = s.filled(i)
	if share > 0 {
		w, e := s.filled(i + 1)
		way, energy = way+share*(w-way), energy+share*(e-energy)
	}
	return way, energy
}

// stretch makes one of the time between two moments.
func (s *sums) stretch(from, to time.Time) stretch {
	way0, energy0 := s.at(from)
	way1, energy1 := s.at(to)
	st := stretch{s: to.Sub(from).Seconds(), m: way1 - way0, j: energy1 - energy0}
	at := func(k int) time.Time { return from.Add(to.Sub(from) * time.Duration(k) / steps) }
	if s.way && st.m > 0 {
		i, _ := s.when(from)
		at = func(k int) time.Time {
			place := way0 + st.m*float64(k)/steps
			w := math.Inf(-1)
			for ; i < len(s.list)-1; i++ {
				if w, _ = s.filled(i + 1); w >= place {
					break
				}
			}
			if i >= len(s.list)-1 {
				return to
			}
			before, _ := s.filled(i)
			t := s.list[i].At
			if w > before {
				t = t.Add(time.Duration(max(0, place-before) / (w - before) * float64(s.list[i+1].At.Sub(t))))
			}
			return t
		}
	}
	for k := 1; k < steps; k++ {
		t := at(k)
		if t.Before(from) {
			t = from
		} else if t.After(to) {
			t = to
		}
		_, energy := s.at(t)
		st.at[k], st.use[k] = t.Sub(from).Seconds(), energy-energy0
	}
	st.at[steps], st.use[steps] = st.s, st.j
	return st
}

// even is a stretch on which nothing is known but its sums.
func (st *stretch) even() {
	for k := range st.at {
		st.at[k], st.use[k] = st.s*float64(k)/steps, st.j*float64(k)/steps
	}
}

// student is by how much 68 of 100 values are off at most (Student's t), by one less than
// there are values from which the standard deviation was taken.
var student = [...]float64{math.NaN(), 1.837, 1.321, 1.197, 1.142, 1.111, 1.091, 1.077, 1.067, 1.059}

// ahead looks ahead from a place: share is how far the stretch that is driven has come,
// and u, wherever it is said, how many stretches lie between its begin and a place.
type ahead struct {
	list  []stretch
	share float64
	off   float64 // deviation of share, by how much the odometer varies from lap to lap
}

// until is a quantity of one stretch from here to u, if all are as that one.
func (a *ahead) until(u float64, of quantity, st *stretch) float64 {
	whole, part := math.Modf(u)
	return whole*of(st, 1) + of(st, part) - of(st, a.share)
}

// mean is what a quantity amounts to from here to u.
func (a *ahead) mean(u float64, of quantity) float64 {
	sum := 0.0
	for i := range a.list {
		sum += a.until(u, of, &a.list[i])
	}
	return sum / float64(len(a.list))
}

// all is what a quantity amounts to in a stretch.
func (a *ahead) all(of quantity) float64 {
	sum := 0.0
	for i := range a.list {
		sum += of(&a.list[i], 1)
	}
	return sum / float64(len(a.list))
}

// variance is that of something that the stretches say.
func (a *ahead) variance(of func(*stretch) float64) float64 {
	values := make([]float64, len(a.list))
	for i := range a.list {
		values[i] = of(&a.list[i])
	}
	return square(deviation(values))
}

// doubt is the error of a quantity from here to u: by how much stretches vary, and what so few
// of them tell of their mean. To a place on the track the way is as uncertain as how far
// the open stretch has come; to a distance or a time from here it is not. NaN of a single stretch.
func (a *ahead) doubt(u float64, of quantity, toPlace bool) float64 {
	n := len(a.list)
	if n < 2 {
		return math.NaN()
	}
	whole, part := math.Modf(u)
	sum := a.variance(func(st *stretch) float64 { return a.until(u, of, st) }) / float64(n)
	if whole == 0 {
		sum += a.variance(func(st *stretch) float64 { return a.until(u, of, st) })
	} else {
		sum += a.variance(func(st *stretch) float64 { return a.until(1, of, st) }) +
			(whole-1)*a.variance(func(st *stretch) float64 { return of(st, 1) }) +
			a.variance(func(st *stretch) float64 { return of(st, part) })
	}
	sum *= square(student[min(n, len(student))-1])
	if toPlace {
		from, to := max(0, a.share-0.02), min(1, a.share+0.02)
		sum += square(a.off * a.part(from, to, of) / (to - from))
	}
	return math.Sqrt(sum)
}

// reach is where a quantity has grown by so much from here, for the first time where
// regeneration gives some back: u. NaN if it never does.
func (a *ahead) reach(amount float64, of quantity) float64 {
	full := a.all(of)
	if !(full > 0) || !(amount >= 0) {
		return math.NaN()
	}
	if at, ok := a.first(a.share, amount, of); ok {
		return at
	}
	amount -= a.mean(1, of)
	highest := full
	for k := range steps {
		highest = max(highest, a.part(0, float64(k)/steps, of))
	}
	whole := max(0, math.Ceil((amount-highest)/full))
	at, _ := a.first(0, amount-whole*full, of)
	return 1 + whole + at
}

// first is where within a stretch a quantity has first grown by so much from a place on,
// which is its end where it does not.
func (a *ahead) first(from, amount float64, of quantity) (at float64, ok bool) {
	x := 0.0
	for k := range steps {
		lo, hi := from+(1-from)*float64(k)/steps, from+(1-from)*float64(k+1)/steps
		y := a.part(from, hi, of)
		if y >= amount {
			if y > x {
				lo += (hi - lo) * max(0, (amount-x)/(y-x))
			}
			return lo, true
		}
		x = y
	}
	return 1, false
}

// likely are values of a normal distribution of deviation 1, each as likely as the others, and
// spreads is their own deviation.
var likely = [...]float64{-1.863, -1.318, -1.010, -0.776, -0.579, -0.402, -0.237, -0.078, 0.078, 0.237, 0.402, 0.579, 0.776, 1.010, 1.318, 1.863}

const spreads = 0.961

// moves is the error of a quantity at u, where an energy is used up, that follows from an error
// of the energy. It is followed along the lap, since where a car rolls, or gives some back,
// little energy is a long way.
func (a *ahead) moves(u, energy, off float64, of quantity) float64 {
	if !(off > 0) {
		return off
	}
	sum := 0.0
	for _, by := range likely {
		sum += square(a.mean(a.reach(max(0, energy+by*off), used), of) - a.mean(u, of))
	}
	return math.Sqrt(sum/float64(len(likely))) / spreads
}

// part is the mean of a quantity between two shares of a stretch.
func (a *ahead) part(from, to float64, of quantity) float64 {
	sum := 0.0
	for i := range a.list {
		sum += of(&a.list[i], to) - of(&a.list[i], from)
	}
	return sum / float64(len(a.list))
}

func square(v float64) float64 { return v * v }

func mean(values []float64) float64 {
	sum := 0.0
	for _, v := range values {
		sum += v
	}
	return sum / float64(len(values))
}

// deviation is the sample's standard deviation; NaN of less than two.
func deviation(values []float64) float64 {
	if len(values) < 2 {
		return math.NaN()
	}
	m, sum := mean(values), 0.0
	for _, v := range values {
		sum += square(v - m)
	}
	return math.Sqrt(sum / float64(len(values)-1))
}

// figure is a over b of all stretches together, and how much that varies from one to another.
func figure(list []stretch, scale float64, a, b quantity) *Figure {
	var over, under float64
	values := make([]float64, len(list))
	for i := range list {
		x, y := a(&list[i], 1), b(&list[i], 1)
		over, under, values[i] = over+x, under+y, scale*x/y
	}
	v := ratio(scale*over, under)
	if v == nil {
		return nil
	}
	return &Figure{Mean: *v, Spread: known(deviation(values))}
}
