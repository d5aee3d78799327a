package track

import (
	"math"

	"github.com/ecovolt/telemetryd/timeseries/fix"
)

// Shape is a closed line on the earth.
type Shape struct {
	Lat, Lon []float64 // of its corners, which lie at equal lengths, deg
	Alt      []float64 // m; nil where it is not known
	Length   float64   // m
}

// Plane lays the line on the plane that touches the earth at a place.
func (s *Shape) Plane(lat, lon float64) *Line {
	l := &Line{X: make([]float64, len(s.Lat)), Y: make([]float64, len(s.Lat)), Step: s.Length / float64(len(s.Lat)), Length: s.Length}
	scale := math.Cos(lat * math.Pi / 180)
	for i := range s.Lat {
		l.X[i], l.Y[i] = math.Remainder(s.Lon[i]-lon, 360)*scale*fix.MetresPerDegree, (s.Lat[i]-lat)*fix.MetresPerDegree
	}
	return l
}

// At is a place of the line, deg.
func (s *Shape) At(place float64) (lat, lon float64) {
	m := len(s.Lat)
	f := place / s.Length * float64(m)
	i := int(math.Floor(f))
	f -= float64(i)
	a, b := ((i%m)+m)%m, ((i+1)%m+m)%m
	return s.Lat[a] + f*(s.Lat[b]-s.Lat[a]), s.Lon[a] + f*math.Remainder(s.Lon[b]-s.Lon[a], 360)
}

const (
	// beside is how far a line may lie beside a track, m: another day's fixes are off
	// by some metres together, and a car may keep to the other side of the road.
	beside = 15
	// mostBeside is which share of it may lie further off.
	mostBeside = 0.08
	// merged is how far two tracks may lie beside one another that people take for one.
	merged = 60
	// window is how far from where it should be a place is looked for, m.
	window = 20
	// starts is from how many of its corners a line is tried: where the track meets
	// itself, it may be taken for the other branch.
	starts = 8
)

// along returns the place on another line of each corner of this one, which grow by
// its length once round; ok is false where it leads elsewhere, further than within beside it, or
// the other way.
func (l *Line) along(other *Line, within float64) (places []float64, ok bool) {
	for try := range starts {
		if places, ok = l.from(other, within, try*len(l.X)/starts); ok {
			return places, true
		}
	}
	return nil, false
}

func (l *Line) from(other *Line, within float64, start int) ([]float64, bool) {
	m := len(l.X)
	pace := other.Length / l.Length
	at, away := other.Nearest(l.X[start], l.Y[start], 0, other.Length)
	if away > within || math.Cos(l.heading(float64(start)*l.Step)-other.heading(at)) < 0.7 {
		return nil, false
	}
	places := make([]float64, m)
	off, reach := 0, float64(window)
	place := at
	for k := range m {
		i := (start + k) % m
		if k > 0 {
			expected := place + l.Step*pace
			found, away := other.Nearest(l.X[i], l.Y[i], expected-reach, expected+reach)
			if away > within {
				if off++; float64(off) > mostBeside*float64(m) {
					return nil, false
				}
				found, reach = expected, reach+l.Step/2
			} else {
				reach = window
			}
			place = max(place, found)
		}
		// Corners before the start come after it on the way round.
		if places[i] = place; i < start {
			places[i] -= other.Length
		}
	}
	// It comes back to where it began, once round.
	end, _ := other.Nearest(l.X[start], l.Y[start], place+l.Step*pace-reach, place+l.Step*pace+reach)
	if math.Abs(end-at-other.Length) > 2*window {
		return nil, false
	}
	for i := 1; i < m; i++ {
		places[i] = max(places[i], places[i-1])
	}
	return places, true
}

// heading is the direction of the line at a place, rad.
func (l *Line) heading(place float64) float64 {
	x0, y0 := l.xy(place - 10)
	x1, y1 := l.xy(place + 10)
	return math.Atan2(y1-y0, x1-x0)
}

func (l *Line) xy(place float64) (x, y float64) {
	m := len(l.X)
	f := place / l.Step
	i := int(math.Floor(f))
	f -= float64(i)
	a, b := ((i%m)+m)%m, ((i+1)%m+m)%m
	return l.X[a] + f*(l.X[b]-l.X[a]), l.Y[a] + f*(l.Y[b]-l.Y[a])
}

// carry takes gates of another line, along which places of this one are known, to
// this one.
func (l *Line) carry(gates, places []float64, length float64) []float64 {
	m := len(places)
	list := make([]float64, len(gates))
	for n, g := range gates {
		g = places[0] + math.Mod(math.Mod(g-places[0], length)+length, length)
		i := 0
		for i < m-1 && places[i+1] <= g {
			i++
		}
		next := places[0] + length
		if i < m-1 {
			next = places[i+1]
		}
		f := 0.0
		if next > places[i] {
			f = (g - places[i]) / (next - places[i])
		}
		list[n] = math.Mod((float64(i)+f)*l.Step, l.Length)
	}
	return list
}

// Turned returns the line with another place as its first corner.
func (l *Line) Turned(place float64) *Line {
	t := &Line{X: make([]float64, len(l.X)), Y: make([]float64, len(l.Y)), Step: l.Step, Length: l.Length}
	for i := range t.X {
		t.X[i], t.Y[i] = l.xy(place + float64(i)*l.Step)
	}
	return t
}
