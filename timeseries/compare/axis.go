package compare

import (
	"fmt"
	"math"
	"runtime/debug"
	"sort"
	"sync"

	"github.com/ecovolt/telemetryd/internal/fault"
	"github.com/ecovolt/telemetryd/timeseries/analysis"
)

// track is a lap on the axis: x of each knot grows. With a length it is a round
// that may begin elsewhere than the axis does: at the axis' begin it comes to
// x = length, unless it began there.
type track struct {
	knots  []analysis.Knot
	x      []float64
	length float64
}

// state is a lap at a place of the axis: when that was, and what it had taken
// since the axis began; NaN where it had ended.
type state struct {
	at                   float64 // s since the lap began
	elapsed, way, energy float64 // s, m, J
}

// align lays laps on the axis that the request asks for.
func align(req *Request, laps []laid) (*Comparison, []float64, error) {
	answer := &Comparison{By: req.By, Sectors: []Sector{}}
	first := &laps[0]
	length := 0.0
	var line *analysis.Course
	switch {
	case req.By == "time":
		for i := range laps {
			length = max(length, laps[i].way.Seconds)
		}
	case req.By == "position" && first.along(first.course):
		line, length = first.course, first.course.Length()
	default:
		knots := first.way.Driven()
		if knots == nil {
			return nil, nil, fault.Field("by", "nothing measures the distance of run %q; compare by time", fault.Clip(first.course.ID))
		}
		length = knots[len(knots)-1].Place
	}
	if !(length > 0) {
		return nil, nil, fault.Field("laps", "lap %d of run %q leads nowhere", first.way.Lap, fault.Clip(first.course.ID))
	}
	layAll(laps, func(l *laid) { l.lay(req.By, line, length) })
	for i := range laps {
		if l := &laps[i]; l.aligned == "" {
			return nil, nil, fault.Field("by", "nothing measures the distance of run %q; compare by time", fault.Clip(l.course.ID))
		}
	}
	axis := make([]float64, req.Points)
	for i := range axis {
		axis[i] = round(length * float64(i) / float64(len(axis)-1))
	}
	if req.By == "time" {
		answer.Time = axis
	} else {
		answer.Distance = axis
	}
	if line != nil {
		for _, s := range line.Sectors() {
			answer.Sectors = append(answer.Sectors, Sector{s.Name, round(s.From), round(s.To)})
		}
	}
	return answer, axis, nil
}

// edges are where the sectors meet.
func (a *Comparison) edges() []float64 {
	var list []float64
	for i, s := range a.Sectors {
		if i == 0 {
			list = append(list, s.From)
		}
		list = append(list, s.To)
	}
	return list
}

// layAll lays laps at the same time: to find the places of all of a race's fixes takes
// longer than to read them.
func layAll(laps []laid, lay func(*laid)) {
	var all sync.WaitGroup
	failed := make([]any, len(laps))
	for i := range laps {
		all.Go(func() {
			// Elsewhere than in the request's goroutine it would end the daemon.
			defer func() {
				if failed[i] = recover(); failed[i] != nil {
					failed[i] = fmt.Sprintf("%v\n%s", failed[i], debug.Stack())
				}
			}()
			lay(&laps[i])
		})
	}
	all.Wait()
	for _, why := range failed {
		if why != nil {
			panic(why)
		}
	}
}

// lay lays a lap on the axis, if it can be.
func (l *laid) lay(by string, line *analysis.Course, length float64) {
	switch {
	case by == "time":
		l.elapsed()
	case l.aligned != "" || line != nil && l.along(line):
	default:
		l.driven(length)
	}
}

// along lays a lap on a line.
func (l *laid) along(c *analysis.Course) bool {
	knots, ok := l.way.Along(c)
	if !ok {
		return false
	}
	l.aligned = "position"
	l.track = track{knots: knots, x: places(knots, 1), length: c.Length()}
	return true
}

// driven lays a lap on an axis of that length by its odometer.
func (l *laid) driven(length float64) {
	knots := l.way.Driven()
	if knots == nil || !(knots[len(knots)-1].Place > 0) {
		return
	}
	l.aligned = "distance"
	l.track = track{knots: knots, x: places(knots, length/knots[len(knots)-1].Place)}
}

// elapsed lays a lap on an axis of time.
func (l *laid) elapsed() {
	knots := l.way.Timed()
	l.aligned = "time"
	x := make([]float64, len(knots))
	for i := range knots {
		x[i] = knots[i].At
	}
	l.track = track{knots: knots, x: x}
}

func places(knots []analysis.Knot, scale float64) []float64 {
	x := make([]float64, len(knots))
	for i := range knots {
		x[i] = knots[i].Place * scale
	}
	return x
}

// knot is the lap where it first came to x.
func (t *track) knot(x float64) analysis.Knot {
	last := len(t.x) - 1
	if x >= t.x[last]-1e-6 {
		return t.knots[last]
	}
	k := sort.SearchFloat64s(t.x, x)
	if k == 0 || t.x[k] == t.x[k-1] {
		return t.knots[k]
	}
	a, b := t.knots[k-1], t.knots[k]
	f := (x - t.x[k-1]) / (t.x[k] - t.x[k-1])
	return analysis.Knot{At: a.At + f*(b.At-a.At), Way: a.Way + f*(b.Way-a.Way), Energy: a.Energy + f*(b.Energy-a.Energy)}
}

// at is the lap at each place of the axis.
func (t *track) at(axis []float64) []state {
	list := make([]state, len(axis))
	begin, last := t.x[0], t.knots[len(t.knots)-1]
	// What the lap drove up to where the axis begins comes after the rest.
	var turn analysis.Knot
	split := t.length > 0 && begin > 1e-9
	if split {
		turn = t.knot(t.length)
	}
	for i, x := range axis {
		var k, from analysis.Knot
		var before analysis.Knot // what the axis had taken until then
		switch {
		case !split:
			k = t.knot(x)
		case x < begin:
			k, from = t.knot(x+t.length), turn
		default:
			k = t.knot(x)
			before = analysis.Knot{At: last.At - turn.At, Way: last.Way - turn.Way, Energy: last.Energy - turn.Energy}
			if x >= t.length-1e-6 {
				k = turn
			}
		}
		list[i] = state{at: k.At, elapsed: before.At + k.At - from.At, way: before.Way + k.Way - from.Way, energy: before.Energy + k.Energy - from.Energy}
		if !split && x > t.x[len(t.x)-1]+1e-6 {
			list[i] = state{math.NaN(), math.NaN(), math.NaN(), math.NaN()}
		}
	}
	return list
}

// share is which share of an axis of that length is in no gap; gaps are begin and
// end, s since the lap began.
func (t *track) share(gaps [][2]float64, length float64) float64 {
	end := t.x[len(t.x)-1]
	missing := length - (end - t.x[0])
	x := func(at float64) float64 {
		k := sort.Search(len(t.knots), func(k int) bool { return t.knots[k].At >= at })
		switch {
		case k == 0:
			return t.x[0]
		case k == len(t.knots):
			return end
		}
		a, b := t.knots[k-1].At, t.knots[k].At
		if b <= a {
			return t.x[k]
		}
		return t.x[k-1] + (at-a)/(b-a)*(t.x[k]-t.x[k-1])
	}
	for _, g := range gaps {
		missing += x(g[1]) - x(g[0])
	}
	return min(1, max(0, 1-missing/length))
}
