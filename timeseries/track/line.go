package track

import "math"

// Line is the middle of what laps drove: a closed polygon on a plane whose corners
// lie Step metres of odometer apart. Places on it are m from its first corner on,
// once round or unwrapped.
type Line struct {
	X, Y   []float64 // m east and north
	Step   float64
	Length float64
}

// Nearest finds the place on the line between two others that is nearest to a
// point, and how far away that is. Places are unwrapped.
func (l *Line) Nearest(x, y, from, to float64) (at, away float64) {
	return l.Search(x, y, from, to, math.Inf(1))
}

// Search is Nearest for a long way: it passes over edges that are too far away, as
// none is longer than longest.
func (l *Line) Search(x, y, from, to, longest float64) (at, away float64) {
	square := math.Inf(1) // of away: roots take longer than all the rest
	far := 4 * longest * longest
	m := len(l.X)
	i := int(math.Floor(from / l.Step))
	a := ((i % m) + m) % m
	for last := int(math.Floor(to / l.Step)); i <= last; i++ {
		b := a + 1
		if b == m {
			b = 0
		}
		ex, ey := l.X[b]-l.X[a], l.Y[b]-l.Y[a]
		px, py := x-l.X[a], y-l.Y[a]
		f := 0.0
		if edge := ex*ex + ey*ey; edge > 0 {
			f = min(1, max(0, (px*ex+py*ey)/edge))
		}
		px, py = px-f*ex, py-f*ey
		if e := px*px + py*py; e < square {
			at, square = (float64(i)+f)*l.Step, e
		} else if e > 4*square+far {
			// As far as that even if all edges led there straight; one less, for rounding.
			pass := int((math.Sqrt(e)-math.Sqrt(square))/longest) - 1
			i += pass
			b = (b + pass) % m
		}
		a = b
	}
	return at, math.Sqrt(square)
}

// Longest is the length of the longest edge, m.
func (l *Line) Longest() float64 {
	square := 0.0
	for i := range l.X {
		k := (i + 1) % len(l.X)
		x, y := l.X[k]-l.X[i], l.Y[k]-l.Y[i]
		square = max(square, x*x+y*y)
	}
	return math.Sqrt(square)
}

// Left reports whether a point lies to the left of the line at a place.
func (l *Line) Left(x, y, at float64) bool {
	m := len(l.X)
	a := ((int(math.Floor(at/l.Step)) % m) + m) % m
	b := (a + 1) % m
	return (l.X[b]-l.X[a])*(y-l.Y[a]) > (l.Y[b]-l.Y[a])*(x-l.X[a])
}
