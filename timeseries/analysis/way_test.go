package analysis

import (
	"math"
	"math/rand/v2"
	"slices"
	"sort"
	"testing"
	"time"
)

// path is where a generated drive truly was.
type path struct{ t, s []float64 }

func (p *path) when(s float64) float64 {
	i := sort.SearchFloat64s(p.s, s)
	if i == 0 || i == len(p.s) {
		return math.NaN()
	}
	return p.t[i-1] + (s-p.s[i-1])/(p.s[i]-p.s[i-1])*(p.t[i]-p.t[i-1])
}

func (p *path) at(t float64) float64 {
	i := sort.SearchFloat64s(p.t, t)
	if i == 0 || i == len(p.t) {
		return p.s[min(i, len(p.s)-1)]
	}
	return p.s[i-1] + (t-p.t[i-1])/(p.t[i]-p.t[i-1])*(p.s[i]-p.s[i-1])
}

// courseOf is the course of a run as it would be read, and its laps likewise.
func courseOf(session int32, r *run) (*Course, []*Way) {
	found := r.lapsAlone()
	if found == nil {
		return nil, nil
	}
	c := &Course{Session: session, HasDistance: r.Measured}
	c.put(found.Lat, found.Lon, found.Length, found.Noise)
	c.gates = found.Gates
	var ways []*Way
	passed := starts(found)
	for i := 1; i < len(passed); i++ {
		a, b := passed[i-1].At, passed[i].At
		ways = append(ways, &Way{Lap: int64(i), course: c, run: *r, From: time.UnixMicro(int64(math.Round(a))), To: time.UnixMicro(int64(math.Round(b))), Seconds: (b - a) / 1e6})
	}
	return c, ways
}

// placed is when a lap came to a place of the line.
func placed(knots []Knot, x float64) float64 {
	k := sort.Search(len(knots), func(k int) bool { return knots[k].Place >= x })
	if k == 0 || k == len(knots) {
		return knots[min(k, len(knots)-1)].At
	}
	a, b := knots[k-1], knots[k]
	return a.At + (x-a.Place)/(b.Place-a.Place)*(b.At-a.At)
}

// Two laps of a run differ at each place of the line by what they truly did, with
// fixes that are off by 2 m.
func TestLapsAlongTheLine(t *testing.T) {
	t.Parallel()
	var final, worst []float64
	for seed := range uint64(20) {
		rng := rand.New(rand.NewPCG(seed, 7))
		circuit := newCircuit(rng)
		var p path
		samples, truth := driveAlong(rng, circuit, trip{laps: 6, hz: 5, speedScale: 1, noise: 2}, &p)
		course, ways := courseOf(1, reduced(samples))
		if len(ways) != len(truth) {
			t.Fatalf("seed %d: %d laps", seed, len(ways))
		}
		a, b := 1, 3 // the second and the fourth
		first, ok := ways[a].Along(course)
		other, fits := ways[b].Along(course)
		if !ok || !fits {
			t.Fatalf("seed %d: off the line", seed)
		}
		for _, knots := range [][]Knot{first, other} {
			if begin, end := knots[0], knots[len(knots)-1]; begin.Place != 0 || math.Abs(end.Place-course.Length()) > 1e-9 {
				t.Fatalf("seed %d: from %v to %v of %v", seed, begin, end, course.Length())
			}
		}
		// The run's own start line lies where it first moved.
		origin := func(lap int) float64 { return p.at(ways[lap].From.Sub(time.UnixMicro(samples[0].At)).Seconds()) }
		off := 0.0
		for i := range 101 {
			f := float64(i) / 100
			x := f * course.Length()
			got := placed(other, x) - placed(first, x)
			want := p.when(origin(b)+f*circuit.length) - p.when(origin(b)) - (p.when(origin(a)+f*circuit.length) - p.when(origin(a)))
			off = max(off, math.Abs(got-want))
		}
		worst = append(worst, off)
		final = append(final, math.Abs(other[len(other)-1].At-first[len(first)-1].At-(truth[b]-truth[a])))
	}
	slices.Sort(final)
	slices.Sort(worst)
	t.Logf("the end: median %.3f s, worst %.3f s; any place: median %.3f s, worst %.3f s", final[10], final[19], worst[10], worst[19])
	if final[10] > 0.05 || final[19] > 0.15 {
		t.Errorf("off at the end: %.3f", final)
	}
	if worst[10] > 0.05 || worst[19] > 0.15 {
		t.Errorf("off on the way: %.3f", worst)
	}
}

// A lap of another run of the same track, which began elsewhere on it, goes along
// the line of the first; one of another track does not.
func TestLapsOfAnotherRunAlongTheLine(t *testing.T) {
	t.Parallel()
	var worst []float64
	for seed := range uint64(10) {
		rng := rand.New(rand.NewPCG(seed, 7))
		circuit := newCircuit(rng)
		var p, q path
		samples, _ := driveAlong(rng, circuit, trip{laps: 4, hz: 5, speedScale: 1, noise: 2}, &p)
		others, _ := driveAlong(rng, circuit, trip{laps: 5, hz: 5, speedScale: 0.96, noise: 2}, &q)
		cut := sort.Search(len(others), func(i int) bool {
			return q.at(time.UnixMicro(others[i].At).Sub(time.UnixMicro(others[0].At)).Seconds()) > 0.37*circuit.length
		})
		course, ways := courseOf(1, reduced(samples))
		_, elsewhere := courseOf(2, reduced(others[cut:]))
		if len(ways) != 4 || len(elsewhere) != 4 {
			t.Fatalf("seed %d: %d and %d laps", seed, len(ways), len(elsewhere))
		}
		first, ok := ways[1].Along(course)
		knots, fits := elsewhere[1].Along(course)
		if !ok || !fits {
			t.Errorf("seed %d: off the line", seed)
			continue
		}
		begin, end := knots[0].Place, knots[len(knots)-1].Place
		if math.Abs(end-begin-course.Length()) > 1e-6 || math.Abs(begin/course.Length()-0.37) > 0.02 {
			t.Errorf("seed %d: from %v to %v of %v", seed, begin, end, course.Length())
		}
		// Where the line begins, and where the lap of the other run does.
		origin := math.Mod(p.at(ways[1].From.Sub(time.UnixMicro(samples[0].At)).Seconds()), circuit.length)
		if origin > circuit.length/2 {
			origin -= circuit.length
		}
		since, from := elsewhere[1].From.Sub(time.UnixMicro(others[0].At)).Seconds(), ways[1].From.Sub(time.UnixMicro(samples[0].At)).Seconds()
		laps := math.Floor(q.at(since)/circuit.length) * circuit.length
		off := 0.0
		for i := 1; i < 100; i++ {
			x := begin + (end-begin)*float64(i)/100
			on := math.Mod(x, course.Length())
			got := placed(knots, x) - placed(first, on)
			want := q.when(laps+origin+x/course.Length()*circuit.length) - since - (p.when(circuit.length+origin+on/course.Length()*circuit.length) - from)
			off = max(off, math.Abs(got-want))
		}
		worst = append(worst, off)

		far := newCircuit(rng)
		far.lat, far.lon = circuit.lat, circuit.lon
		far.length *= 1.5
		other, _ := drive(rng, far, trip{laps: 3, hz: 5, speedScale: 1, noise: 2})
		if _, ways := courseOf(3, reduced(other)); len(ways) > 0 {
			if _, ok := ways[0].Along(course); ok {
				t.Errorf("seed %d: another track is the same", seed)
			}
		}
	}
	slices.Sort(worst)
	t.Logf("any place: median %.3f s, worst %.3f s", worst[len(worst)/2], worst[len(worst)-1])
	if worst[len(worst)/2] > 0.05 || worst[len(worst)-1] > 0.15 {
		t.Errorf("off on the way: %.3f", worst)
	}
}

// Sectors meet in the middles of straights, and lie where they are wherever the
// fixes are off to.
func TestSectors(t *testing.T) {
	t.Parallel()
	// A stadium: straights of 300 m, bends of 40 m radius. It begins 50 m before
	// the first bend.
	stadium := &circuit{lat: 48, lon: 11, length: 600 + 80*math.Pi}
	const n = 4096
	for i := range n {
		s := math.Mod(stadium.length*float64(i)/n+250, stadium.length)
		bend := 40 * math.Pi
		switch {
		case s < 300:
			stadium.x, stadium.y = append(stadium.x, s), append(stadium.y, 0)
		case s < 300+bend:
			a := (s - 300) / 40
			stadium.x, stadium.y = append(stadium.x, 300+40*math.Sin(a)), append(stadium.y, 40-40*math.Cos(a))
		case s < 600+bend:
			stadium.x, stadium.y = append(stadium.x, 600+bend-s), append(stadium.y, 80)
		default:
			a := (s - 600 - bend) / 40
			stadium.x, stadium.y = append(stadium.x, -40*math.Sin(a)), append(stadium.y, 40+40*math.Cos(a))
		}
	}
	for seed := range uint64(5) {
		rng := rand.New(rand.NewPCG(seed, 7))
		samples, _ := drive(rng, stadium, trip{laps: 8, hz: 5, speedScale: 1, noise: 2})
		course, _ := courseOf(1, reduced(samples))
		edges := edgesOf(course)
		want := []float64{50 + 40*math.Pi + 150, 50 + 80*math.Pi + 300 + 150}
		if len(edges) != 4 || math.Abs(edges[1]-want[0]) > 12 || math.Abs(edges[2]-want[1]) > 12 {
			t.Errorf("seed %d: sectors meet at %.1f, want %.1f", seed, edges, want)
		}
	}
	for seed := range uint64(20) {
		rng := rand.New(rand.NewPCG(seed, 7))
		samples, _ := drive(rng, newCircuit(rng), trip{laps: 5, hz: 5, speedScale: 1, noise: 2})
		course, _ := courseOf(1, reduced(samples))
		edges := edgesOf(course)
		if n := len(edges) - 1; n < 3 || n > 12 || edges[0] != 0 || edges[n] != course.Length() || !slices.IsSorted(edges) {
			t.Errorf("seed %d: %.1f", seed, edges)
		}
	}
}

// edgesOf are where sectors of a course meet, and its ends.
func edgesOf(c *Course) []float64 {
	list := []float64{0}
	for _, s := range c.Sectors() {
		list = append(list, s.To)
	}
	return list
}
