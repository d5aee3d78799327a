package simulate

import (
	"math"
	"sort"
	"time"
)

// moment is where a car truly was.
type moment struct{ at, way, energy float64 } // s, m, J since it began

// tick is in which steps a car with paces drives, s.
const tick = 0.01

// wanted is the speed that the driver keeps to here, m/s.
func (c *Car) wanted() float64 {
	paces := c.opt.Paces
	lap, into := math.Modf(c.distance / c.track.length)
	pace := paces[min(int(lap), len(paces)-1)]
	if next := paces[min(int(lap)+1, len(paces)-1)]; into > 0.9 { // it changes on the last tenth
		pace += (into - 0.9) / 0.1 * (next - pace)
	}
	a := 2 * math.Pi * c.distance / c.track.length
	return pace * (8 + 1.5*math.Sin(2*a) + math.Cos(3*a+1))
}

// nextOfPaces makes the next record of a car with paces that arrives.
func (c *Car) nextOfPaces(dt float64) *Record {
	for {
		power, accel := c.demand(c.speed)
		c.clock = max(c.clock+time.Microsecond, time.Duration(math.Round(c.elapsed*1e9)))
		c.measure(power, accel, dt)
		c.record.Energy = max(0, c.trace[len(c.trace)-1].energy)
		for until := c.elapsed + dt - tick/2; c.elapsed < until; {
			power, accel := c.demand(c.speed)
			before := c.speed
			c.speed += accel * tick
			c.distance += (before + c.speed) / 2 * tick
			after, _ := c.demand(c.speed)
			last := c.trace[len(c.trace)-1]
			c.elapsed += tick
			c.trace = append(c.trace, moment{c.elapsed, c.distance, last.energy + (c.sent(power)+c.sent(after))/2*tick})
		}
		if !c.dropped(dt) {
			return &c.record
		}
	}
}

// demand is what the motor takes at a speed, W, and the acceleration that the driver
// asks for, m/s2.
func (c *Car) demand(speed float64) (power, accel float64) {
	here := c.track.at(c.distance)
	accel = max(-1.5, min(0.8, (c.wanted()-speed)/1.5))
	force := 0.5*airMass*dragArea*speed*speed + mass*gravity*(rolling+here.slope) + mass*accel
	if power = force * speed; power > 0 {
		return 6 + power/efficient, accel
	}
	return 6 + 0.35*power, accel // regeneration
}

// sent is the power that voltage and current amount to, W.
func (c *Car) sent(power float64) float64 {
	open := c.open()
	return (open - 0.06*power/nominal) * power / open
}

// When tells when a car with paces came to a place, m since it began, and how much
// energy it had taken by then, J. It is not known before the car is there.
func (c *Car) When(way float64) (seconds, joules float64) {
	i := sort.Search(len(c.trace), func(i int) bool { return c.trace[i].way >= way })
	if i == len(c.trace) {
		return math.NaN(), math.NaN()
	}
	if i == 0 {
		return 0, 0
	}
	a, b := c.trace[i-1], c.trace[i]
	f := (way - a.way) / (b.way - a.way)
	return a.at + f*(b.at-a.at), a.energy + f*(b.energy-a.energy)
}

// Around is the length of the circuit, m.
func (c *Car) Around() float64 { return c.track.length }

// Nearest is the place on the circuit that is nearest to a position, m from the start
// line on.
func (c *Car) Nearest(lat, lon float64) float64 {
	best, away := 0.0, math.Inf(1)
	const n = 20_000
	for i := range n {
		place := c.track.length * float64(i) / n
		a, b := c.track.degrees(c.track.place(place))
		if d := math.Hypot(a-lat, math.Remainder(b-lon, 360)*math.Cos(lat*math.Pi/180)); d < away {
			best, away = place, d
		}
	}
	return best
}
