// Package line simplifies ways on the map. It holds no state and is safe for
// concurrent use.
package line

import (
	"math"
	"time"

	"github.com/ecovolt/telemetryd/timeseries/fix"
)

// Point is a place on the way of a session.
type Point struct {
	Time      time.Time
	Latitude  float64 // deg, WGS84
	Longitude float64
}

// Coarsen simplifies the parts of a way, which was simplified with that tolerance
// (m), until it has at most that many points besides the ends of the parts. It
// returns the tolerance that this takes.
func Coarsen(parts [][]Point, tolerance float64, points int) float64 {
	count := func() (n int) {
		for _, part := range parts {
			n += len(part)
		}
		return n
	}
	for count() > points+2*len(parts) {
		tolerance = max(1, 1.5*tolerance)
		for i, part := range parts {
			parts[i] = Simplify(part, tolerance)
		}
	}
	return tolerance
}

// Simplify is Douglas and Peucker's: it keeps the ends, and of the points in
// between those without which one would lie further than the tolerance (m) from
// the line. It works through a list instead of calling itself, since a lap
// driven a thousand times nests deeply.
func Simplify(points []Point, tolerance float64) []Point {
	if len(points) < 3 || tolerance == 0 {
		return points
	}
	keep := make([]bool, len(points))
	keep[0], keep[len(points)-1] = true, true
	todo := [][2]int{{0, len(points) - 1}}
	for len(todo) > 0 {
		a, b := todo[len(todo)-1][0], todo[len(todo)-1][1]
		todo = todo[:len(todo)-1]
		farthest, at := tolerance, -1
		// The earth is flat for the length of a track.
		scale := math.Cos(points[a].Latitude * math.Pi / 180)
		for i := a + 1; i < b; i++ {
			if d := distance(points[i], points[a], points[b], scale); d > farthest {
				farthest, at = d, i
			}
		}
		if at >= 0 {
			keep[at] = true
			todo = append(todo, [2]int{a, at}, [2]int{at, b})
		}
	}
	var kept []Point
	for i, k := range keep {
		if k {
			kept = append(kept, points[i])
		}
	}
	return kept
}

// distance returns how many metres p lies from the way between a and b.
func distance(p, a, b Point, scale float64) float64 {
	px, py := (p.Longitude-a.Longitude)*scale, p.Latitude-a.Latitude
	bx, by := (b.Longitude-a.Longitude)*scale, b.Latitude-a.Latitude
	if length := bx*bx + by*by; length > 0 {
		along := min(1, max(0, (px*bx+py*by)/length))
		px, py = px-along*bx, py-along*by
	}
	return math.Hypot(px, py) * fix.MetresPerDegree
}
