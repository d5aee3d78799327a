package simulate

import (
	"fmt"
	"math"
	"math/rand/v2"
	"time"
)

// Options describe one car's run.
type Options struct {
	// Seed and Number together decide every value; cars of one seed differ by
	// their number.
	Seed   uint64
	Number int
	// SessionID and SessionName go into every record. Default: made from the
	// seed, the number and the start.
	SessionID, SessionName string
	Start                  time.Time // of the first record; default 2026-03-21T21:41:10Z
	Rate                   float64   // records per second; default 5, as the real bridge
	// Noise scales the sensors' noise: 1 is that of the real export, and the
	// default; negative is none.
	Noise float64
	// Laps is how many laps lie between two pit stops; default 6.
	Laps int
	// Gap is how long nothing is sent after a stint, on average, as when the
	// radio is switched off in the pit. Default: none.
	Gap time.Duration
	// Source is data_source; default MOCK_NORMAL.
	Source string
	// Circuit decides the shape of the circuit, its length, heights and place; 0 is
	// the usual one.
	Circuit uint64
	// Fixes is the noise of the positions, m to each side; 0 is by Noise.
	Fixes float64
	// DropOuts is how many records of all are lost on their way, several together.
	DropOuts float64
	// Paces are how quick each lap is, against the first where that is 1: the driver
	// begins at the start line at speed, keeps to a speed by place, and never stops. The car
	// knows where it truly was (see When), and goes on at the last of the paces. Empty:
	// it pulses and glides, and stops in the pit.
	Paces []float64
}

// Car makes one record after the other. It is not safe for concurrent use.
type Car struct {
	opt    Options
	rng    *rand.Rand
	track  *track
	record Record

	clock    time.Duration // since the start
	elapsed  float64       // s since the start, without jitter
	speed    float64       // m/s, true
	distance float64       // m, true
	energy   float64       // J
	climb    float64
	lastZ    float64
	motor    float64 // degC
	charge   float64 // J left in the battery
	low      float64 // m/s where a pulse begins
	high     float64 // and where it ends
	pulsing  bool
	stopping bool    // on the way into the pit
	standing float64 // s left to stand
	nextStop float64 // m
	maxSpeed float64
	maxPower float64
	maxAmps  float64
	maxG     float64
	speeds   mean
	powers   mean
	volts    mean
	amps     mean
	stint    int
	lost     float64 // s left of a drop-out
	trace    []moment
}

// The vehicle.
const (
	mass      = 165.0 // kg, driver included
	dragArea  = 0.16  // m2, times the drag coefficient
	rolling   = 0.004
	gravity   = 9.81
	airMass   = 1.2  // kg/m3
	efficient = 0.86 // of battery to wheel
	nominal   = 48.0 // V
	capacity  = 48 * 22 * 3600.0
	wheel     = 0.26 // m, radius
	gear      = 6.0
)

// Noise of the real export: standard deviation of each channel about its own
// moving mean. The export's GPS jumps by 9 m and its acceleration is the
// difference of noisy speeds.
const (
	noiseSpeed    = 1.43
	noiseVoltage  = 1.40
	noiseCurrent  = 0.95
	noiseAltitude = 1.0
	noiseFix      = 0.00008 * metersPerDegree
	noiseGyroX    = 0.49
	noiseGyroY    = 0.30
	noiseGyroZ    = 0.80
	noiseAccelX   = 10.0
	noiseAccelY   = 0.40
	noiseAccelZ   = 0.31
)

// New makes a car at the start of its run.
func New(opt Options) *Car {
	if opt.Start.IsZero() {
		opt.Start = time.Date(2026, 3, 21, 21, 41, 10, 272851000, time.UTC)
	}
	if opt.Rate <= 0 {
		opt.Rate = 5
	}
	switch {
	case opt.Noise == 0:
		opt.Noise = 1
	case opt.Noise < 0:
		opt.Noise = 0
	}
	if opt.Laps <= 0 {
		opt.Laps = 6
	}
	if opt.SessionID == "" {
		opt.SessionID = fmt.Sprintf("sim-%x-%d-%x", opt.Seed, opt.Number, opt.Start.Unix())
	}
	if opt.SessionName == "" {
		opt.SessionName = fmt.Sprintf("Simulated car %d", opt.Number)
	}
	if opt.Source == "" {
		opt.Source = "MOCK_NORMAL"
	}
	rng := rand.New(rand.NewPCG(opt.Seed, uint64(opt.Number)))
	circuit := circuit
	if opt.Circuit != 0 {
		circuit = randomTrack(opt.Circuit)
	}
	if opt.Fixes == 0 {
		opt.Fixes = opt.Noise * noiseFix
	}
	c := &Car{
		opt: opt, rng: rng, track: circuit,
		low: 5.5 + rng.Float64(), high: 9 + 2*rng.Float64(),
		motor: 22 + 4*rng.Float64(), charge: capacity * (0.85 + 0.15*rng.Float64()),
		pulsing: true, distance: rng.Float64() * circuit.length,
	}
	if len(opt.Paces) > 0 {
		c.distance, c.trace = 0, []moment{{}}
		c.speed = c.wanted()
	}
	c.nextStop = c.distance + float64(opt.Laps)*c.track.length
	c.lastZ = c.track.at(c.distance).z
	c.record.startDistance = c.distance
	return c
}

// SessionID is the session of the car's records.
func (c *Car) SessionID() string { return c.opt.SessionID }

// sessionName is the session's name.
func (c *Car) sessionName() string { return c.opt.SessionName }

// Next makes the car's next record. It is valid until the following call.
func (c *Car) Next() *Record {
	dt := 1 / c.opt.Rate
	if len(c.opt.Paces) > 0 {
		return c.nextOfPaces(dt)
	}
	c.elapsed += dt
	c.clock = max(c.clock+time.Microsecond, time.Duration((c.elapsed-dt+dt*0.1*c.normal())*1e9))
	if c.rng.Float64() < 0.0004 { // the link pauses, and the clock with it
		pause := 0.3 + 1.2*c.rng.Float64()
		c.elapsed += pause
		c.clock += time.Duration(pause * 1e9)
	}
	power, accel := c.drive(dt)
	c.measure(power, accel, dt)
	if c.dropped(dt) {
		return c.Next()
	}
	return &c.record
}

// dropped reports whether the newest record is lost: drop-outs are of one second on
// average.
func (c *Car) dropped(dt float64) bool {
	if c.opt.DropOuts <= 0 {
		return false
	}
	if c.lost -= dt; c.lost > 0 {
		return true
	}
	if c.rng.Float64() < c.opt.DropOuts*dt {
		c.lost = 0.5 + c.rng.Float64()
		return true
	}
	return false
}

// normal is a standard normal number, cut at 4 so that no reading is absurd.
func (c *Car) normal() float64 { return max(-4, min(4, c.rng.NormFloat64())) }

// drive moves the car by dt seconds. It returns the electrical power, W, and the
// acceleration, m/s2.
func (c *Car) drive(dt float64) (power, accel float64) {
	here := c.track.at(c.distance)
	if c.standing > 0 {
		c.standing -= dt
		c.speed = 0
		if c.standing <= 0 {
			c.pulsing = true
		}
		return 6, 0 // the electronics
	}
	drag := 0.5*airMass*dragArea*c.speed*c.speed + mass*gravity*(rolling+here.slope)
	force := 0.0
	rest := c.nextStop - c.distance
	switch {
	case rest < 45:
		c.stopping = true
	case c.speed > c.high:
		c.pulsing = false
	case c.speed < c.low:
		c.pulsing = true
	}
	switch {
	case c.stopping:
		force = -min(0.9, c.speed*c.speed/(2*max(rest, 0.5))) * mass
	case c.pulsing:
		force = min(120, 900/max(c.speed, 2)) // torque limit, then power limit
	case c.speed > c.high+2.5: // downhill: hold it
		force = -0.3 * mass
	}
	accel = (force - drag) / mass
	c.speed = max(0, c.speed+accel*dt)
	c.distance += c.speed * dt
	power = 6
	if force > 0 {
		power += force * c.speed / efficient
	} else if force < 0 && !c.stopping {
		power += 0.35 * force * c.speed // regeneration
	}
	if c.stopping && (c.speed < 0.25 || c.distance >= c.nextStop) {
		c.stopping, c.speed = false, 0
		c.stint++
		c.standing = 20 + 40*c.rng.Float64()
		c.nextStop = c.distance + float64(c.opt.Laps)*c.track.length
		if c.opt.Gap > 0 {
			gap := c.opt.Gap.Seconds() * (0.5 + c.rng.Float64())
			c.elapsed += gap
			c.clock += time.Duration(gap * 1e9)
		}
	}
	return power, accel
}

// measure fills the record with what the sensors say.
func (c *Car) measure(power, accel, dt float64) {
	r, here, n := &c.record, c.track.at(c.distance), c.opt.Noise
	c.charge -= power * dt
	if rise := here.z - c.lastZ; rise > 0 {
		c.climb += rise
	}
	c.lastZ = here.z
	c.motor += (22 + power/25 - c.motor) * dt / 240

	r.SessionID, r.SessionName, r.Source = c.opt.SessionID, c.opt.SessionName, c.opt.Source
	r.Time = c.opt.Start.Add(c.clock).Truncate(time.Microsecond)
	r.MessageID++
	r.Uptime = c.elapsed
	r.Speed = max(0, c.speed+quiet(c.speed)*n*noiseSpeed*c.normal())
	open := c.open()
	r.Voltage = open - 0.06*power/nominal + n*noiseVoltage*c.normal()
	r.Current = power/open + n*noiseCurrent*c.normal()*min(1, 0.1+math.Abs(power)/200)
	r.Power = r.Voltage * r.Current
	c.energy += max(r.Power, 0) * dt // as a joulemeter counts: what it measures, behind the battery's resistance
	r.Energy = c.energy
	r.Distance = c.distance - r.startDistance
	lat, lon := c.track.degrees(c.track.place(c.distance))
	r.Latitude = lat + c.opt.Fixes/metersPerDegree*c.normal()
	r.Longitude = lon + c.opt.Fixes/metersPerDegree*c.normal()
	r.Altitude = c.track.height + here.z + n*noiseAltitude*c.normal()
	r.Heading = here.heading * 180 / math.Pi
	r.GyroX = n * noiseGyroX * c.normal()
	r.GyroY = n * noiseGyroY * c.normal()
	r.GyroZ = c.speed*here.curvature*180/math.Pi*0.2 + n*noiseGyroZ*c.normal()
	r.AccelX = accel + quiet(c.speed)*n*noiseAccelX*c.normal()
	r.AccelY = c.speed*c.speed*here.curvature + n*noiseAccelY*c.normal()
	r.AccelZ = gravity + n*noiseAccelZ*c.normal()
	r.Acceleration = math.Sqrt(r.AccelX*r.AccelX + r.AccelY*r.AccelY + r.AccelZ*r.AccelZ)
	r.Throttle = percent(c.throttle(power) + quiet(c.speed)*n*4*c.normal())
	r.Brake = percent(c.brake() + n*0.8*math.Abs(c.normal()))
	r.MotorRPM = c.speed / (2 * math.Pi * wheel) * 60 * gear
	r.MotorTemp = c.motor + 0.2*n*c.normal()
	r.MotorCurrent = max(power-6, 0)/max(open*min(1, c.speed/12+0.1), 6) + 0.4*n*c.normal()

	c.maxSpeed = max(c.maxSpeed, c.speed)
	c.maxPower = max(c.maxPower, r.Power)
	c.maxAmps = max(c.maxAmps, r.Current)
	r.GForce = math.Hypot(accel, c.speed*c.speed*here.curvature) / gravity
	c.maxG = max(c.maxG, r.GForce)
	r.MaxSpeedKmh, r.MaxPower, r.MaxCurrent, r.MaxG = c.maxSpeed*3.6, c.maxPower, c.maxAmps, c.maxG
	r.AvgSpeedKmh = c.speeds.add(c.speed) * 3.6
	r.AvgPower, r.AvgVoltage, r.AvgCurrent = c.powers.add(r.Power), c.volts.add(r.Voltage), c.amps.add(r.Current)
	r.ElevationGain = c.climb
	r.RouteKm = r.Distance / 1000
	r.EnergyKwh = c.energy / 3.6e6
	r.Efficiency = 0
	if r.EnergyKwh > 0.0001 {
		r.Efficiency = r.RouteKm / r.EnergyKwh
	}
	r.Motion, r.Mode = c.motion(accel, here), c.mode()
	r.ThrottleIntensity, r.BrakeIntensity = intensity(r.Throttle), intensity(r.Brake)
}

// open is the battery's voltage without a load, V.
func (c *Car) open() float64 { return nominal + 4.5*(c.charge/capacity-0.5) }

// quiet takes the noise away from a car that stands.
func quiet(speed float64) float64 { return min(1, speed/3) }

func percent(v float64) float64 { return max(0, min(100, v)) }

func (c *Car) throttle(power float64) float64 {
	if power <= 6 {
		return 0
	}
	return 25 + power/12
}

func (c *Car) brake() float64 {
	if c.stopping {
		return 45
	}
	return 0
}

func (c *Car) motion(accel float64, here *spot) string {
	switch {
	case c.speed < 0.3:
		return "stationary"
	case math.Abs(here.curvature)*c.speed*c.speed > 1:
		return "turning"
	case accel > 0.15:
		return "accelerating"
	case accel < -0.35:
		return "braking"
	}
	return "cruising"
}

func (c *Car) mode() string {
	switch {
	case c.stopping:
		return "braking"
	case c.pulsing:
		return "normal"
	case c.standing > 0:
		return "eco"
	}
	return "coasting"
}

func intensity(percent float64) string {
	switch {
	case percent < 5:
		return "idle"
	case percent < 35:
		return "light"
	case percent < 70:
		return "moderate"
	}
	return "heavy"
}

// mean is a rolling mean over 36 samples, as the bridge's.
type mean struct {
	values [36]float64
	count  int
	sum    float64
}

func (m *mean) add(v float64) float64 {
	at := m.count % len(m.values)
	m.sum += v - m.values[at]
	m.values[at] = v
	m.count++
	return m.sum / float64(min(m.count, len(m.values)))
}
