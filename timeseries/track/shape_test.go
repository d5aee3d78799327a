package track

import (
	"math"
	"math/rand/v2"
	"testing"
)

// round makes a line of the points that a curve has at equal shares of its length.
func round(curve func(share float64) (x, y float64)) *Line {
	const fine, n = 20_000, 600
	var at []float64
	var xs, ys []float64
	length := 0.0
	for i := range fine + 1 {
		x, y := curve(float64(i) / fine)
		if i > 0 {
			length += math.Hypot(x-xs[i-1], y-ys[i-1])
		}
		at, xs, ys = append(at, length), append(xs, x), append(ys, y)
	}
	l := &Line{Step: length / n, Length: length}
	k := 0
	for i := range n {
		for at[k] < float64(i)*l.Step {
			k++
		}
		l.X, l.Y = append(l.X, xs[k]), append(l.Y, ys[k])
	}
	return l
}

// eight crosses itself at a right angle.
func eight(share float64) (x, y float64) {
	a := 2*math.Pi*share + 0.3
	return 300 * math.Sin(a), 150 * math.Sin(2*a)
}

func oval(share float64) (x, y float64) {
	a := 2 * math.Pi * share
	return 300 * math.Cos(a), 100 * math.Sin(a)
}

func from(curve func(float64) (float64, float64), begin, direction, aside float64) func(float64) (float64, float64) {
	return func(share float64) (x, y float64) {
		x, y = curve(begin + direction*share)
		return x + aside, y - aside/2 + 2*math.Sin(50*share)
	}
}

// A line leads along another wherever it begins, some metres beside it, and over its
// own crossing; not the other way round, nor where it takes another way for a tenth.
func TestLineAlongAnother(t *testing.T) {
	t.Parallel()
	short := func(share float64) (x, y float64) { // cuts a bend off
		x, y = oval(share)
		return min(x, 220), y
	}
	for _, tc := range []struct {
		name        string
		track, line func(float64) (float64, float64)
		along       bool
	}{
		{"itself", oval, oval, true},
		{"from elsewhere", oval, from(oval, 0.37, 1, 4), true},
		{"the other way", oval, from(oval, 0.37, -1, 0), false},
		{"an eight", eight, eight, true},
		{"an eight from its crossing on", eight, from(eight, -0.3/2/math.Pi, 1, 5), true},
		{"an eight the other way", eight, from(eight, 0, -1, 0), false},
		{"a shorter way", oval, short, false},
		{"the longer way", short, oval, false},
		{"another oval in it", eight, oval, false},
		{"far away", oval, from(oval, 0, 1, 100), false},
	} {
		track, line := round(tc.track), round(tc.line)
		places, ok := line.along(track, beside)
		if ok != tc.along {
			t.Errorf("%s: %v", tc.name, ok)
		}
		if !ok {
			continue
		}
		for i, p := range places {
			x, y := track.xy(p)
			if away := math.Hypot(line.X[i]-x, line.Y[i]-y); away > 12 {
				t.Fatalf("%s: corner %d at %.0f, %.0f is taken to %.0f, %.0f", tc.name, i, line.X[i], line.Y[i], x, y)
			}
			if i > 0 && p < places[i-1] {
				t.Fatalf("%s: it leads back at corner %d", tc.name, i)
			}
		}
		for i, g := range line.carry([]float64{0, 100, 500, 900}, places, track.Length) {
			x, y := track.xy([]float64{0, 100, 500, 900}[i])
			if gx, gy := line.xy(g); math.Hypot(gx-x, gy-y) > 9 {
				t.Errorf("%s: gate %d is carried to %.0f, %.0f from %.0f, %.0f", tc.name, i, gx, gy, x, y)
			}
		}
	}
}

// A straight that leads over a crest or through a hollow is parted there, and not in
// its middle.
func TestSectorsAtCrests(t *testing.T) {
	t.Parallel()
	line := round(func(share float64) (x, y float64) {
		s := share * (600 + 80*math.Pi)
		bend := 40 * math.Pi
		switch {
		case s < bend:
			return 40 * math.Sin(s/40), 40 - 40*math.Cos(s/40)
		case s < bend+300:
			return bend - s, 80
		case s < 2*bend+300:
			a := (s - bend - 300) / 40
			return -300 - 40*math.Sin(a), 40 + 40*math.Cos(a)
		}
		return s - 2*bend - 600, 0
	})
	heights := make([]float64, len(line.X))
	crest := 40*math.Pi + 60 // on the first straight, whose middle is 90 m further on
	for i := range heights {
		heights[i] = 5 * math.Exp(-math.Pow((float64(i)*line.Step-crest)/40, 2))
	}
	flat, hilly := line.Sectors(nil), line.Sectors(heights)
	if len(flat) != 4 || math.Abs(flat[1]-(40*math.Pi+150)) > 5 {
		t.Errorf("flat: %.0f", flat)
	}
	if len(hilly) != 4 || math.Abs(hilly[1]-crest) > 5 || hilly[2] != flat[2] {
		t.Errorf("hilly: %.0f, want %.0f", hilly, crest)
	}
}

// Corners that lie by decimetres too far along the line, or not far enough, are put
// right; where that goes on for longer than lengths are trusted, they stay.
func TestEven(t *testing.T) {
	t.Parallel()
	for name, curve := range map[string]func(float64) (float64, float64){"oval": oval, "eight": eight} {
		for _, tc := range []struct {
			waves, reach float64
			moved        bool
		}{{40, 250, true}, {40, 0, false}, {1, 100, false}} {
			line, truth := round(curve), round(curve)
			for i := range line.X {
				place := float64(i)*truth.Step + 0.5*math.Sin(2*math.Pi*tc.waves*float64(i)/float64(len(line.X)))
				line.X[i], line.Y[i] = truth.xy(place)
			}
			line.Even(tc.reach)
			off := 0.0
			for i := range line.X {
				off = max(off, math.Hypot(line.X[i]-truth.X[i], line.Y[i]-truth.Y[i]))
			}
			if tc.moved && off > 0.1 || !tc.moved && (off < 0.4 || off > 0.6) {
				t.Errorf("%s, %v waves of half a metre, over %v m: off by up to %.2f m", name, tc.waves, tc.reach, off)
			}
		}
	}
}

// What a search passes over is no nearer than what it finds.
func TestSearch(t *testing.T) {
	t.Parallel()
	random := rand.New(rand.NewPCG(4, 2))
	for range 300 {
		l := round([]func(float64) (float64, float64){eight, oval}[random.IntN(2)])
		for i := range l.X { // edges of many lengths, some of none
			if random.IntN(3) == 0 {
				l.X[i], l.Y[i] = l.X[max(0, i-1)]+5*random.NormFloat64(), l.Y[max(0, i-1)]
			} else if random.IntN(5) == 0 {
				l.X[i], l.Y[i] = l.X[max(0, i-1)], l.Y[max(0, i-1)]
			}
		}
		longest := l.Longest()
		for range 20 {
			x, y := 400*random.NormFloat64(), 400*random.NormFloat64()
			from := (random.Float64()*3 - 1.5) * l.Length
			to := from + random.Float64()*l.Length
			at, away := l.Nearest(x, y, from, to)
			if a, w := l.Search(x, y, from, to, longest); a != at || w != away {
				t.Fatalf("%v m away at %v, and %v m at %v", w, a, away, at)
			}
		}
	}
}
