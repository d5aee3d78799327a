package analysis

import (
	"math"
	"math/rand/v2"
	"slices"
	"sort"
	"testing"
	"time"

	"github.com/ecovolt/telemetryd/timeseries/channel"
	"github.com/ecovolt/telemetryd/timeseries/fix"
)

// circuit is a closed track of a random shape.
type circuit struct {
	lat, lon, length float64
	x, y             []float64 // at equal distances
}

func newCircuit(rng *rand.Rand) *circuit {
	c := &circuit{lat: rng.Float64()*120 - 60, lon: rng.Float64()*360 - 180, length: 300 + rng.Float64()*3000}
	const n = 4096
	var harmonics [4][2]float64
	for i := range harmonics {
		harmonics[i] = [2]float64{rng.Float64() * 0.35 / float64(i+1), rng.Float64() * 2 * math.Pi}
	}
	turn := 1.0
	if rng.IntN(2) == 0 {
		turn = -1
	}
	px, py, at := make([]float64, n+1), make([]float64, n+1), make([]float64, n+1)
	for i := range px {
		a := turn * 2 * math.Pi * float64(i) / n
		r := 1.0
		for k, h := range harmonics {
			r += h[0] * math.Cos(float64(k+2)*a+h[1])
		}
		px[i], py[i] = r*math.Sin(a), r*math.Cos(a)
		if i > 0 {
			at[i] = at[i-1] + math.Hypot(px[i]-px[i-1], py[i]-py[i-1])
		}
	}
	scale := c.length / at[n]
	k := 1
	for i := range n {
		d := at[n] * float64(i) / n
		for at[k] < d {
			k++
		}
		f := (d - at[k-1]) / (at[k] - at[k-1])
		c.x = append(c.x, scale*(px[k-1]+f*(px[k]-px[k-1])))
		c.y = append(c.y, scale*(py[k-1]+f*(py[k]-py[k-1])))
	}
	return c
}

func (c *circuit) at(s float64) (lat, lon float64) {
	f := s / c.length * float64(len(c.x))
	i := int(math.Floor(f))
	f -= float64(i)
	n := len(c.x)
	a, b := ((i%n)+n)%n, ((i+1)%n+n)%n
	x, y := c.x[a]+f*(c.x[b]-c.x[a]), c.y[a]+f*(c.y[b]-c.y[a])
	return c.lat + y/fix.MetresPerDegree, c.lon + x/fix.MetresPerDegree/math.Cos(c.lat*math.Pi/180)
}

// trip is what a generated drive is like.
type trip struct {
	laps       int
	hz         float64
	noise      float64 // m
	garbage    float64 // share of the fixes
	dropouts   bool
	pauses     bool
	speedNoise float64 // m/s
	speedScale float64
	noSpeed    bool
}

// drive makes a run and the laps that it truly had, s.
func drive(rng *rand.Rand, c *circuit, o trip) (samples []sample, truth []float64) {
	return driveAlong(rng, c, o, &path{})
}

// driveAlong notes in p where that truly was.
func driveAlong(rng *rand.Rand, c *circuit, o trip, p *path) (samples []sample, truth []float64) {
	start := time.Date(2026, 6, 3, 10, 0, 0, 0, time.UTC).UnixMicro()
	top := 6 + rng.Float64()*10
	phase := rng.Float64() * 2 * math.Pi
	s, t := 0.0, 0.0
	const tick = 0.02
	next, silentUntil, standUntil := 0.0, -1.0, -1.0
	lastCross, lap := 0.0, 0
	v := 3.0
	pauseAt := -1.0
	if o.pauses {
		pauseAt = (0.3 + rng.Float64()*float64(o.laps-1)) * c.length
	}
	stuckUntil, stuckLat, stuckLon := -1.0, 0.0, 0.0
	for s < c.length*float64(o.laps)+15 {
		if t >= next {
			next += 1 / o.hz
			if o.dropouts && silentUntil < t && s > 40 && s < c.length*float64(o.laps)-60 && rng.Float64() < 0.01/o.hz*5 {
				silentUntil = t + rng.Float64()*4
			}
			if t > silentUntil {
				lat, lon := c.at(s)
				lat += rng.NormFloat64() * o.noise / fix.MetresPerDegree
				lon += rng.NormFloat64() * o.noise / fix.MetresPerDegree / math.Cos(c.lat*math.Pi/180)
				if rng.Float64() < o.garbage {
					switch rng.IntN(6) {
					case 0:
						lat, lon = 0, 0
					case 1:
						lat, lon = 999, 999
					case 2:
						lat, lon = math.NaN(), math.NaN()
					case 3:
						lat, lon = rng.Float64()*180-90, rng.Float64()*360-180
					case 4:
						lat += rng.NormFloat64() * 0.01
						lon += rng.NormFloat64() * 0.01
					case 5:
						lat, lon = rng.NormFloat64()*1e-4, rng.NormFloat64()*1e-4
					}
				} else if o.garbage > 0 && rng.Float64() < 0.002 {
					stuckUntil, stuckLat, stuckLon = t+0.7, lat+0.01, lon
				}
				if t < stuckUntil {
					lat, lon = stuckLat, stuckLon
				}
				speed := v * o.speedScale
				if v > 1 {
					speed = math.Max(0, speed+rng.NormFloat64()*o.speedNoise)
				}
				if o.noSpeed {
					speed = math.NaN()
				}
				samples = append(samples, sample{At: start + int64(math.Round(t*1e6)), Lat: lat, Lon: lon, Speed: speed, Power: 200, Altitude: math.NaN(), Lap: math.NaN(),
					DistanceCount: math.NaN(), EnergyCount: math.NaN()})
			}
		}
		// Slower in some places, and in some laps.
		want := top * (0.75 + 0.25*math.Sin(4*math.Pi*s/c.length+phase)) * (1 + 0.1*math.Sin(float64(lap)*1.7))
		if pauseAt >= 0 && s > pauseAt {
			want = 0
			if v <= 0 {
				if standUntil < 0 {
					standUntil = t + 20 + rng.Float64()*40
				}
				if t > standUntil {
					pauseAt = -1
				}
			}
		}
		v += math.Max(-2*tick, math.Min(1*tick, want-v))
		v = math.Max(v, 0)
		was := s
		p.t, p.s = append(p.t, t), append(p.s, s)
		s += v * tick
		if math.Floor(s/c.length) > math.Floor(was/c.length) {
			f := (float64(lap+1)*c.length - was) / (s - was)
			at := t + f*tick
			truth = append(truth, at-lastCross)
			lastCross = at
			lap++
		}
		t += tick
	}
	return samples, truth
}

// reduced is a run as it would be stored.
func reduced(samples []sample) *run {
	var r reducer
	for _, sampling := range r.samplings() {
		sampling.Gap = channel.GapAfter(0).Microseconds()
	}
	for _, s := range samples {
		r.Add(s)
	}
	r.End()
	return &run{Bins: r.Bins, Spots: r.Spots, First: r.First, Measured: r.Speed.Known || r.Distance.Known, Moved: r.Moved}
}

// lapsAlone is the course of a run on no track.
func (r *run) lapsAlone() *lapCourse {
	f := r.find()
	if f == nil {
		return nil
	}
	edges := f.line.Sectors(nil)
	return r.course(f, edges[:len(edges)-1], false)
}

// starts are the crossings at which laps begin, and the last one ends.
func starts(c *lapCourse) (list []crossing) {
	for i := 0; c != nil && i < len(c.Crossings); i += len(c.Parts) {
		list = append(list, c.Crossings[i])
	}
	return list
}

// Drives on circuits of random shapes have the laps that they truly had, and
// their times to within 0.1 s, whatever a fifth of the fixes says.
func TestLapsOfRandomDrives(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct {
		name  string
		trip  trip
		worst float64 // s
		over  int     // laps of all that may be off by more than 0.1 s
	}{
		{"clean", trip{laps: 6, hz: 5, speedScale: 1}, 0.1, 0},
		{"noise", trip{laps: 6, hz: 5, speedScale: 1, noise: 2}, 0.1, 0},
		{"a fifth garbage", trip{laps: 6, hz: 5, speedScale: 1, noise: 2, garbage: 0.2}, 0.1, 0},
		{"three laps", trip{laps: 3, hz: 5, speedScale: 1, noise: 2, garbage: 0.2}, 0.1, 0},
		{"a speed that is 5 % low", trip{laps: 6, hz: 5, speedScale: 0.95, noise: 2, garbage: 0.2}, 0.1, 0},
		{"pauses", trip{laps: 6, hz: 5, speedScale: 1, noise: 2, garbage: 0.2, pauses: true}, 0.1, 0},
		// Where a car changes its speed while nothing is heard of it, no more can be known.
		{"drop-outs", trip{laps: 10, hz: 10, speedScale: 1, noise: 2, garbage: 0.2, dropouts: true, pauses: true}, 0.25, 5},
		{"a noisy speed", trip{laps: 10, hz: 10, speedScale: 1, noise: 2, garbage: 0.2, speedNoise: 0.1}, 0.2, 5},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			over := 0
			for seed := range uint64(20) {
				rng := rand.New(rand.NewPCG(seed, 7))
				samples, truth := drive(rng, newCircuit(rng), tc.trip)
				course := reduced(samples).lapsAlone()
				if len(starts(course))-1 != len(truth) {
					t.Errorf("seed %d: %+v, want %d laps", seed, course, len(truth))
					continue
				}
				for i, want := range truth {
					off := math.Abs((starts(course)[i+1].At-starts(course)[i].At)/1e6 - want)
					if off > tc.worst {
						t.Errorf("seed %d: lap %d is off by %.3f s", seed, i+1, off)
					}
					if off > 0.1 {
						over++
					}
				}
			}
			if over > tc.over {
				t.Errorf("%d laps are off by more than 0.1 s", over)
			}
		})
	}
}

// A receiver is off by about the same for a minute, of which places that follow it cannot
// know. What is stated of laps says so: 68 of 100 are off by less.
func TestStatedErrorOfAReceiverThatDrifts(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct{ white, drifts, lasts float64 }{{0.5, 1.5, 60}, {1, 1, 20}} {
		var off []float64
		for seed := range uint64(8) {
			rng := rand.New(rand.NewPCG(seed, 7))
			circuit := newCircuit(rng)
			samples, truth := drive(rng, circuit, trip{laps: 6, hz: 5, speedScale: 1, noise: tc.white})
			x, y, stays := tc.drifts*rng.NormFloat64(), tc.drifts*rng.NormFloat64(), math.Exp(-0.2/tc.lasts)
			for i := range samples {
				samples[i].Lat += y / fix.MetresPerDegree
				samples[i].Lon += x / fix.MetresPerDegree / math.Cos(circuit.lat*math.Pi/180)
				more := tc.drifts * math.Sqrt(1-stays*stays)
				x, y = stays*x+more*rng.NormFloat64(), stays*y+more*rng.NormFloat64()
			}
			r := reduced(samples)
			laps, _ := r.laps(r.lapsAlone())
			if len(laps) != len(truth) {
				t.Fatalf("seed %d: %d laps of %d", seed, len(laps), len(truth))
			}
			for i, lap := range laps {
				off = append(off, math.Abs(lap.Seconds-truth[i])/lap.Error)
			}
		}
		slices.Sort(off)
		within, twice := sort.SearchFloat64s(off, 1), sort.SearchFloat64s(off, 2)
		t.Logf("%+v: %d of %d within what is stated, %d within twice that, worst %.1f times", tc, within, len(off), twice, off[len(off)-1])
		if within < len(off)/2 || within > len(off)*95/100 || twice < len(off)*85/100 {
			t.Errorf("%+v: %d of %d within what is stated, %d within twice that", tc, within, len(off), twice)
		}
	}
}

// A silence of 40 minutes is a lap that took as long, not laps that nobody saw.
func TestSilenceInventsNoLaps(t *testing.T) {
	t.Parallel()
	for seed := range uint64(10) {
		rng := rand.New(rand.NewPCG(seed, 7))
		samples, truth := drive(rng, newCircuit(rng), trip{laps: 5, hz: 5, speedScale: 1, noise: 2})
		cut := len(samples)/5 + rng.IntN(len(samples)*3/5)
		for i := cut; i < len(samples); i++ {
			samples[i].At += 2400e6
		}
		course := reduced(samples).lapsAlone()
		if len(starts(course))-1 != len(truth) {
			t.Errorf("seed %d: want %d laps: %+v", seed, len(truth), course)
		}
	}
}

// A day at 50 Hz is reduced in one pass, and its laps are found in what that
// leaves: 172,800 half seconds.
func BenchmarkDay(b *testing.B) {
	rng := rand.New(rand.NewPCG(1, 7))
	samples, truth := drive(rng, newCircuit(rng), trip{laps: 300, hz: 50, speedScale: 1, noise: 2, garbage: 0.2})
	b.Run("reduce", func(b *testing.B) {
		for b.Loop() {
			reduced(samples)
		}
		b.ReportMetric(b.Elapsed().Seconds()/float64(b.N)/float64(len(samples))*1e9, "ns/record")
	})
	run := reduced(samples)
	b.Run("laps", func(b *testing.B) {
		for b.Loop() {
			if passed := starts(run.lapsAlone()); len(passed)-1 != len(truth) {
				b.Fatalf("%d laps, want %d", len(passed)-1, len(truth))
			}
		}
		b.ReportMetric(b.Elapsed().Seconds()/float64(b.N)/float64(len(run.Bins))*1e9, "ns/bin")
	})
}
