package simulate

import (
	"math"
	"math/rand/v2"
)

// track is a closed circuit: a loop around a centre, bent by a few harmonics.
type track struct {
	length  float64 // m
	lat     float64 // of the centre, deg
	lon     float64
	height  float64 // m above sea level
	samples []spot
}

// spot is a place on the circuit.
type spot struct {
	x, y      float64 // m east and north of the centre
	heading   float64 // rad, from north clockwise
	curvature float64 // 1/m, positive to the right
	z         float64 // m above the lowest place
	slope     float64
}

// metersPerDegree of latitude.
const metersPerDegree = 111_320

// harmonics bend the loop: order, share of the radius, phase.
var harmonics = [...][3]float64{{2, 0.34, 0.4}, {3, 0.12, 1.9}, {5, 0.05, 0.7}}

// circuit is 1,450 m long and lies where the Paul Armagnac circuit is.
var circuit = newTrack(1450, 43.7685, -0.0385, 90, 6, harmonics[:])

// randomTrack is a circuit of another shape elsewhere.
func randomTrack(seed uint64) *track {
	rng := rand.New(rand.NewPCG(seed, 1<<48))
	var bent [][3]float64
	for i := range 4 {
		bent = append(bent, [3]float64{float64(i + 2), rng.Float64() * 0.3 / float64(i+1), 2 * math.Pi * rng.Float64()})
	}
	return newTrack(700+1500*rng.Float64(), -60+120*rng.Float64(), -179+358*rng.Float64(), 500*rng.Float64(), 2+18*rng.Float64(), bent)
}

func newTrack(length, lat, lon, height, climb float64, harmonics [][3]float64) *track {
	const n = 2048
	points := make([][2]float64, n+1)
	for i := range points {
		a := 2 * math.Pi * float64(i) / n
		r := 1.0
		for _, h := range harmonics {
			r += h[1] * math.Cos(h[0]*a+h[2])
		}
		points[i] = [2]float64{r * math.Sin(a), r * math.Cos(a)}
	}
	around := 0.0
	at := make([]float64, n+1)
	for i := 1; i <= n; i++ {
		around += math.Hypot(points[i][0]-points[i-1][0], points[i][1]-points[i-1][1])
		at[i] = around
	}
	// Spots lie at equal distances along the circuit.
	scale := length / around
	t := &track{length: length, lat: lat, lon: lon, height: height, samples: make([]spot, n)}
	k := 1
	for i := range t.samples {
		d := around * float64(i) / n
		for at[k] < d {
			k++
		}
		f := (d - at[k-1]) / (at[k] - at[k-1])
		a := 2 * math.Pi * float64(i) / n
		t.samples[i] = spot{
			x: scale * (points[k-1][0] + f*(points[k][0]-points[k-1][0])),
			y: scale * (points[k-1][1] + f*(points[k][1]-points[k-1][1])),
			z: climb * (1 - math.Cos(a+0.8)) / 2, slope: climb * math.Pi / length * math.Sin(a+0.8),
		}
	}
	step := length / n
	for i := range t.samples {
		before, after := &t.samples[(i+n-8)%n], &t.samples[(i+8)%n]
		t.samples[i].heading = math.Mod(math.Atan2(after.x-before.x, after.y-before.y)+2*math.Pi, 2*math.Pi)
	}
	for i := range t.samples {
		turn := t.samples[(i+8)%n].heading - t.samples[(i+n-8)%n].heading
		turn = math.Mod(turn+3*math.Pi, 2*math.Pi) - math.Pi
		t.samples[i].curvature = turn / (16 * step)
	}
	return t
}

// at returns the place after that many meters.
func (t *track) at(distance float64) *spot {
	share := math.Mod(distance, t.length) / t.length
	return &t.samples[int(share*float64(len(t.samples)))%len(t.samples)]
}

// place returns where that is, m east and north of the centre.
func (t *track) place(distance float64) (x, y float64) {
	f := math.Mod(distance, t.length) / t.length * float64(len(t.samples))
	i := int(f)
	f -= float64(i)
	a, b := &t.samples[i%len(t.samples)], &t.samples[(i+1)%len(t.samples)]
	return a.x + f*(b.x-a.x), a.y + f*(b.y-a.y)
}

// degrees returns latitude and longitude of meters from the centre.
func (t *track) degrees(x, y float64) (lat, lon float64) {
	return t.lat + y/metersPerDegree, t.lon + x/(metersPerDegree*math.Cos(t.lat*math.Pi/180))
}
