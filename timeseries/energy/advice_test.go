package energy

import (
	"math"
	"slices"
	"sort"
	"testing"
	"time"

	"github.com/ecovolt/telemetryd/timeseries/analysis/trail"
)

// round is a car that pulses and glides on a round of 900 m, ten times, as its records say it each
// 0.05 s. It begins from standing 4 m before the line, and once more after a stop as near to it behind lap 5.
// The third sector begins 200 m before the line and ends 150 m behind it.
type round struct {
	road
	ats, ways, speeds []float64
	laps              []lapRow
	sectors           []sectorRow
}

const (
	roundLength = 900.0
	roundLaps   = 10
	blur        = 0.005 // Wh a lap
)

// roundParts are where a stretch of the round begins and ends, m from the line, by the name that advice on it has.
var roundParts = map[string][2]float64{"Back": {150, 450}, "Chicane": {450, 700}, "Home up to the line": {700, 900}, "Home from the line on": {0, 150}}

func newRound() *round {
	r := &round{road: road{flat: true, steps: []trail.Step{{}}}}
	v, pulsing, stop := 0.0, true, 5*roundLength+4-4.0
	const line = 4.0 // the first one is that far from the start
	for r.way < line+roundLaps*roundLength {
		if r.way > stop {
			v, stop = 0, math.Inf(1)
			r.tick(60, func() float64 { return 0 })
			pulsing = true
			continue
		}
		r.tick(0.5, func() float64 {
			switch {
			case v > 11:
				pulsing = false
			case v < 7.2:
				pulsing = true
			}
			const tick = 0.05
			switch left := stop - r.way; {
			case left < 60: // it brakes, to where it stops
				v = max(0.5, min(v, math.Sqrt(2*max(0, left))))
			case pulsing:
				v += 0.75 * tick
			default:
				v -= (trueRolling + trueDrag*v*v) / trueKinetic * tick
			}
			return v
		})
	}
	r.tick(20, func() float64 { return v })
	moment := func(way float64) time.Time { return time.UnixMicro(int64(math.Round(1e6 * r.when(way)))) }
	for lap := range int64(roundLaps) {
		begin := line + float64(lap)*roundLength
		at := func(place float64) time.Time { return moment(begin + place) }
		seconds := func(from, to float64) float64 { return at(to).Sub(at(from)).Seconds() }
		r.laps = append(r.laps, lapRow{lap + 1, at(0), at(roundLength), seconds(0, roundLength), lap != 4, nil})
		for k, name := range []string{"Back", "Chicane"} {
			p := roundParts[name]
			r.sectors = append(r.sectors, sectorRow{lap + 1, int32(k + 1), at(p[0]), at(p[1]), seconds(p[0], p[1]), lap != 4, name, nil})
		}
		r.sectors = append(r.sectors, sectorRow{lap + 1, 3, at(700), at(roundLength), seconds(700, roundLength) + seconds(0, 150), lap != 4, "Home", nil})
	}
	return r
}

// tick drives for so long, at the speeds that it is told each 0.05 s.
func (r *round) tick(seconds float64, speed func() float64) {
	r.drive(seconds, func(t float64) float64 {
		v := speed()
		r.ats, r.ways, r.speeds = append(r.ats, r.at+0.05), append(r.ways, r.way+(v+r.v)/2*0.05), append(r.speeds, v)
		return v
	}, false)
}

// when the car came by, s.
func (r *round) when(way float64) float64 {
	i := sort.Search(len(r.ways), func(i int) bool { return r.ways[i] > way })
	f := (way - r.ways[i-1]) / (r.ways[i] - r.ways[i-1])
	return r.ats[i-1] + f*(r.ats[i]-r.ats[i-1])
}

// varied is by how much more the cube of the speed was between two moments than at an even one, and slowest the
// lowest speed from 10 s before to 10 s behind it.
func (r *round) varied(from, to time.Time) (more, slowest float64) {
	a, b := float64(from.UnixMicro())/1e6, float64(to.UnixMicro())/1e6
	way, cubes, slowest := 0.0, 0.0, math.Inf(1)
	for i, at := range r.ats {
		if at > a-10 && at < b+10 {
			slowest = min(slowest, r.speeds[i])
		}
		if at > a && at <= b {
			way, cubes = way+r.speeds[i]*0.05, cubes+math.Pow(r.speeds[i], 3)*0.05
		}
	}
	return cubes - way*math.Pow(way/(b-a), 2), slowest
}

// A sector in which laps begin is driven in two goes, minutes apart: what their speeds differ by is no
// variation that one could even out. Nor is it one to start, or to stop.
func TestAdviceIsOfStretchesDrivenInOneGo(t *testing.T) {
	t.Parallel()
	r := newRound()
	d := newDrive(r.steps)
	f := d.fit()
	if !f.told {
		t.Fatal("the data do not tell drag:", f.refused, f.dropped)
	}
	a := explain(d, r.laps, r.sectors)
	type most struct {
		sum, more float64
		lap       int64
		laps      int
	}
	want := map[string]*most{}
	stretch := func(lap int64, p [2]float64) (from, to time.Time) {
		at := func(place float64) time.Time {
			return time.UnixMicro(int64(math.Round(1e6 * r.when(4+float64(lap-1)*roundLength+place)))).UTC()
		}
		return at(p[0]), at(p[1])
	}
	started := 0
	for name, p := range roundParts {
		w := &most{}
		want[name] = w
		for _, l := range r.laps {
			if !l.Whole {
				continue
			}
			more, slowest := r.varied(stretch(l.Lap, p))
			if slowest < slow {
				started++
				continue
			}
			w.sum, w.laps = w.sum+more, w.laps+1
			if more > w.more {
				w.more, w.lap = more, l.Lap
			}
		}
	}
	if started != 2 {
		t.Fatalf("%d passes after a start", started)
	}
	found := map[string]bool{}
	for _, advice := range a.Advice {
		name, p := advice.Name, roundParts[advice.Name]
		w := want[name]
		if w == nil {
			t.Errorf("advice on %q: %s", name, advice.Text)
			continue
		}
		if from, to := stretch(advice.Lap, p); advice.From.Sub(from).Abs() > time.Millisecond || advice.To.Sub(to).Abs() > time.Millisecond {
			t.Errorf("%s leads to %v to %v, and was driven from %v to %v", advice.Text, advice.From, advice.To, from, to)
		}
		if _, slowest := r.varied(advice.From, advice.To); slowest < slow {
			t.Errorf("%s: that is a start", advice.Text)
		}
		if advice.Kind != "even_speed" {
			continue
		}
		found[name] = true
		// In half seconds the ends of a pulse are blurred: by 0.1 % of what a lap takes.
		saving := f.k[drag] * w.sum / wattHour
		if more, _ := r.varied(advice.From, advice.To); more < 0.9*w.more || math.Abs(advice.Saving-saving) > 0.05*saving+blur*float64(w.laps) || advice.Laps != w.laps {
			t.Errorf("%s; by the records that would be %.4f Wh in %d laps, most of it in lap %d", advice.Text, saving, w.laps, w.lap)
		}
	}
	for name, w := range want {
		if saving := f.k[drag] * w.sum / wattHour; saving > worthwhile*a.Run.Energy+blur*float64(w.laps) && !found[name] {
			t.Errorf("no advice on %s, that would save %.4f Wh", name, saving)
		}
	}
	if len(found) < 3 {
		t.Errorf("advice on %v", found)
	}
	// The score of a sector is of what its stretches could save, laps from standing included: nobody else drove them.
	for _, s := range a.Sectors {
		varied := 0.0
		for name, p := range roundParts {
			if in := (s.Name == "Home") == slices.Contains([]string{"Home up to the line", "Home from the line on"}, name); !in || s.Name != "Home" && s.Name != name {
				continue
			}
			for _, l := range r.laps {
				if l.Whole {
					more, _ := r.varied(stretch(l.Lap, p))
					varied += f.k[drag] * more / wattHour
				}
			}
		}
		if s.Laps != roundLaps-1 || s.Score != nil && (s.Score.Laps != roundLaps-1 || math.Abs(s.Score.Varying-varied) > 0.05*varied+2*blur*roundLaps) {
			t.Errorf("the score of %s is %+v, by the records the speed's variation cost %.4f Wh", s.Name, s.Score, varied)
		}
	}
}
