package brief

import (
	"fmt"
	"math"
	"slices"
	"strings"
	"time"

	"github.com/ecovolt/telemetryd/timeseries/fix"
	"github.com/ecovolt/telemetryd/timeseries/series"
	"github.com/ecovolt/telemetryd/timeseries/series/line"
	"github.com/ecovolt/telemetryd/timeseries/track"
)

// chart is a channel over the run.
type chart struct {
	Title, Class         string
	Width, Height, Floor int
	Low, High            string
	Bands, Lines         []string // paths
	Gaps                 []stretch
	Laps                 []string
	Ticks                []tick
}

type stretch struct{ X, W string }

type tick struct{ X, Text, Anchor string }

// The sizes of drawings.
const (
	left, wide, high, floor = 30, 520, 92, 80
	mapSize, mapMargin      = 150, 6
)

// mostLapMarks is up to how many laps are marked in charts.
const mostLapMarks = 60

func (p *page) draw() {
	if p.run.Charts != nil && len(p.run.Charts.Sessions) > 0 {
		one := &p.run.Charts.Sessions[0]
		for i, title := range []string{"Speed", "Power"} {
			if i < len(one.Metrics) {
				p.chart(title, one.X, one.Width, &one.Metrics[i])
			}
		}
	}
	switch {
	case p.run.Circuit != nil && len(p.run.Circuit.Line) > 0:
		p.circuit(p.run.Circuit)
	case p.run.Track != nil:
		p.way(p.run.Track)
	}
}

// chart draws the mean as a line in a band from the lowest to the highest value, of
// buckets that begin at x; no line leads over a gap.
func (p *page) chart(title string, x []float64, width float64, m *series.Metric) {
	low, top := 0.0, math.Inf(-1)
	for i := range x {
		if !math.IsNaN(m.Avg[i]) {
			low, top = min(low, m.Min[i]), max(top, m.Max[i])
		}
	}
	if math.IsInf(top, 0) || math.IsInf(low, 0) {
		return // no record has a value, or what cannot be drawn
	}
	top = max(top, low+1e-9)
	start := float64(p.Session.Start.UnixMicro()) / 1e3
	length := max(1, float64(p.Session.End.UnixMicro())/1e3-start)
	px := func(ms float64) float64 { return left + min(1, max(0, (ms-start)/length))*(wide-left) }
	py := func(v float64) float64 { return floor - (v-low)/(top-low)*(floor-4) }
	c := chart{Title: title + ", " + m.Unit, Class: strings.ToLower(title), Width: wide, Height: high, Floor: floor, Low: number(low, 0), High: number(top, 0)}
	for _, gap := range m.Gaps {
		a, b := px(gap[0]), px(gap[1])
		c.Gaps = append(c.Gaps, stretch{number(a, 1), number(max(0.6, b-a), 1)})
	}
	var part []int
	flush := func() {
		if len(part) == 0 {
			return
		}
		var line, band, back strings.Builder
		for n, i := range part {
			cmd := "L"
			if n == 0 {
				cmd = "M"
			}
			fmt.Fprintf(&line, "%s%.1f %.1f", cmd, px(x[i]), py(m.Avg[i]))
			fmt.Fprintf(&band, "%s%.1f %.1f", cmd, px(x[i]), py(m.Max[i]))
			j := part[len(part)-1-n]
			fmt.Fprintf(&back, "L%.1f %.1f", px(x[j]), py(m.Min[j]))
		}
		if len(part) == 1 {
			line.WriteString("h1")
		}
		c.Lines, c.Bands = append(c.Lines, line.String()), append(c.Bands, band.String()+back.String()+"Z")
		part = part[:0]
	}
	next := 0
	for i := range x {
		if math.IsNaN(m.Avg[i]) {
			continue
		}
		for ; next < len(m.Gaps) && m.Gaps[next][0] < x[i]; next++ {
			if len(part) > 0 && m.Gaps[next][1] > x[part[len(part)-1]]+width { // it leads out of its bucket
				flush()
			}
		}
		part = append(part, i)
	}
	flush()
	if laps := p.run.Laps.Laps; len(laps) <= mostLapMarks {
		for i := range laps {
			c.Laps = append(c.Laps, number(px(float64(laps[i].From.UnixMicro())/1e3), 1))
		}
	}
	clock := "15:04:05"
	if length > 864e5 {
		clock = "2 Jan 15:04"
	}
	for i, anchor := range []string{"start", "middle", "end"} {
		at := start + float64(i)/2*length
		c.Ticks = append(c.Ticks, tick{number(px(at), 1), time.UnixMilli(int64(at)).In(p.Zone).Format(clock), anchor})
	}
	p.Charts = append(p.Charts, c)
}

// way is the map: the circuit, or where the run went.
type way struct {
	Name          string
	Width, Height int
	Path          string
	Gates         []spot
	Start         *spot
}

type spot struct{ X, Y string }

// Bounds of what a map this small can show: pieces of a way, and corners of a circuit.
// Of more it has some, evenly.
const (
	maxParts   = 1000
	maxCorners = 400
)

// circuit draws the track that the run goes round, with its gates.
func (p *page) circuit(c *track.Circuit) {
	corners := make([]line.Point, 0, maxCorners+1)
	for n := 0; n < len(c.Line); n += 1 + len(c.Line)/maxCorners {
		corners = append(corners, point(c.Line[n].Latitude, c.Line[n].Longitude))
	}
	m := newMap(corners)
	w := m.way
	w.Name, w.Path = clip(c.Name), m.path(corners)+"Z"
	for i, gate := range c.Sectors {
		at := m.spot(point(gate.Latitude, gate.Longitude))
		if i == 0 && c.FinishSet {
			w.Start = &at
			continue
		}
		w.Gates = append(w.Gates, at)
	}
	p.Track = w
}

// way draws where the run went.
func (p *page) way(t *series.Track) {
	all := slices.Concat(t.Parts...)
	if len(all) == 0 {
		return
	}
	m := newMap(all)
	w := m.way
	for n := 0; n < len(t.Parts); n += 1 + len(t.Parts)/maxParts {
		w.Path += m.path(t.Parts[n])
	}
	start := m.spot(all[0])
	w.Start = &start
	p.Track = w
}

func point(lat, lon float64) line.Point { return line.Point{Latitude: lat, Longitude: lon} }

// sheetMap puts places on a map that holds some.
type sheetMap struct {
	first      line.Point
	scale      float64 // of longitudes
	k          float64 // units of the map a metre
	minX, minY float64
	way        *way
}

func newMap(hold []line.Point) *sheetMap {
	m := &sheetMap{first: hold[0], scale: math.Cos(hold[0].Latitude * math.Pi / 180)}
	maxX, maxY := 0.0, 0.0
	for _, at := range hold {
		x, y := m.plane(at)
		m.minX, maxX, m.minY, maxY = min(m.minX, x), max(maxX, x), min(m.minY, y), max(maxY, y)
	}
	m.k = (mapSize - 2*mapMargin) / max(1, maxX-m.minX, maxY-m.minY)
	m.way = &way{Width: mapSize, Height: int(math.Ceil((maxY-m.minY)*m.k)) + 2*mapMargin}
	return m
}

// plane is where a place lies from the first one, m to the east and to the south.
func (m *sheetMap) plane(at line.Point) (x, y float64) {
	return math.Remainder(at.Longitude-m.first.Longitude, 360) * m.scale * fix.MetresPerDegree, (m.first.Latitude - at.Latitude) * fix.MetresPerDegree
}

func (m *sheetMap) put(at line.Point) (x, y float64) {
	x, y = m.plane(at)
	return mapMargin + (x-m.minX)*m.k, mapMargin + (y-m.minY)*m.k
}

func (m *sheetMap) spot(at line.Point) spot {
	x, y := m.put(at)
	return spot{number(x, 1), number(y, 1)}
}

func (m *sheetMap) path(points []line.Point) string {
	var d strings.Builder
	for i, at := range points {
		x, y := m.put(at)
		cmd := "L"
		if i == 0 {
			cmd = "M"
		}
		fmt.Fprintf(&d, "%s%.1f %.1f", cmd, x, y)
	}
	return d.String()
}
