package brief

import (
	"cmp"
	"fmt"
	"net/url"
	"slices"

	"github.com/ecovolt/telemetryd/timeseries/analysis"
	"github.com/ecovolt/telemetryd/timeseries/analysis/split"
)

// drives is a table of laps or stints.
type drives struct {
	Head []string
	Rows []row
}

type row struct {
	Title, Link, About string
	Cells              []figure
}

func (p *page) driveCells(d *split.Drive) []figure {
	return []figure{
		lapTime("seconds", &d.Seconds), p.figure("distance_m", d.Distance, "m", 0), p.figure("energy_wh", d.Energy, "Wh", 2),
		p.figure("efficiency_km_kwh", d.Efficiency, "km/kWh", 1), p.figure("avg_speed_kmh", d.AvgSpeed, "km/h", 1), p.figure("max_speed_kmh", d.MaxSpeed, "km/h", 1),
	}
}

func (p *page) head(what string) []string {
	return []string{what, "Time", "Distance, m", "Energy, " + p.unit("Wh"), "km/kWh", "Mean " + p.unit("km/h"), "Top " + p.unit("km/h")}
}

// mostStints bounds the table of a run without laps.
const mostStints = 12

// laps are the best and the worst by time and by efficiency; without laps, the stints.
func (p *page) laps() {
	all := p.run.Laps
	if p.Count = len(all.Laps); p.Count == 0 {
		p.StintTable.Head = p.head("Stint")
		for i := range all.Stints[:min(mostStints, len(all.Stints))] {
			s := &all.Stints[i]
			p.StintTable.Rows = append(p.StintTable.Rows, row{fmt.Sprint(s.Stint), p.view(s.From, s.To, 0), "", p.driveCells(&s.Drive)})
		}
		p.Stints = len(all.Stints) > 0
		return
	}
	p.Laps = true
	p.LapTable.Head = append(p.head("Lap"), "Coasting, %")
	if best := all.Best; best != nil && best.Theoretical != nil {
		f := lapTime("theoretical_s", best.Theoretical)
		p.Best = &f
	}
	byTime := func(l *analysis.Lap) *int64 { return l.TimeRank }
	byEnergy := func(l *analysis.Lap) *int64 { return l.EfficiencyRank }
	quickest, slowest := ends(all.Laps, byTime)
	p.add("quickest", quickest)
	p.add("slowest", slowest)
	if quickest != nil && slowest != quickest {
		lap := func(l *analysis.Lap) string { return fmt.Sprintf("%s:%d", url.PathEscape(p.ID), l.Lap) }
		p.Compare = p.Site + "/compare?" + url.Values{"laps": {lap(quickest) + "," + lap(slowest)}}.Encode()
	}
	frugal, thirsty := ends(all.Laps, byEnergy)
	p.add("most efficient", frugal)
	p.add("least efficient", thirsty)
	if len(p.LapTable.Rows) == 0 { // none has a rank
		for i := range all.Laps[:min(4, len(all.Laps))] {
			p.add("not ranked", &all.Laps[i])
		}
	}
}

// add enters a lap into the table, once.
func (p *page) add(about string, l *analysis.Lap) {
	if l == nil {
		return
	}
	title := fmt.Sprint(l.Lap)
	if i := slices.IndexFunc(p.LapTable.Rows, func(r row) bool { return r.Title == title }); i >= 0 {
		p.LapTable.Rows[i].About += ", " + about
		return
	}
	var coasting *float64
	if l.Coasting != nil {
		percent := 100 * *l.Coasting
		coasting = &percent
	}
	p.LapTable.Rows = append(p.LapTable.Rows, row{title, p.view(l.From, l.To, 0), about, append(p.driveCells(&l.Drive), p.figure("coasting", coasting, "", 0))})
}

// ends are the first and the last of those that have a rank.
func ends(laps []analysis.Lap, rank func(*analysis.Lap) *int64) (first, last *analysis.Lap) {
	for i := range laps {
		l := &laps[i]
		r := rank(l)
		if r == nil {
			continue
		}
		if first == nil || *r < *rank(first) {
			first = l
		}
		if last == nil || *r > *rank(last) {
			last = l
		}
	}
	return first, last
}

// sector is what a part of the track took all laps.
type sector struct {
	Name           string
	Length, Energy figure
	Best, Worst    *passage
	Spread         figure
	Share          figure
}

// passage is one lap's time through it.
type passage struct {
	Figure figure
	Lap    int64
	Link   string
}

func (p *page) sectors() {
	all := p.run.Laps
	type sums struct {
		energy          *float64
		best, worst     *analysis.SectorDrive
		quickest, least *analysis.Lap
	}
	taken, total := map[int32]*sums{}, 0.0
	for i := range all.Laps {
		for k := range all.Laps[i].Sectors {
			d := &all.Laps[i].Sectors[k]
			s := taken[d.Sector]
			if s == nil {
				s = &sums{}
				taken[d.Sector] = s
			}
			if d.Energy != nil {
				if s.energy == nil {
					s.energy = new(float64)
				}
				*s.energy += *d.Energy
				total += *d.Energy
			}
			if d.TimeRank == nil {
				continue
			}
			if s.best == nil || *d.TimeRank < *s.best.TimeRank {
				s.best, s.quickest = d, &all.Laps[i]
			}
			if s.worst == nil || *d.TimeRank > *s.worst.TimeRank {
				s.worst, s.least = d, &all.Laps[i]
			}
		}
	}
	pass := func(d *analysis.SectorDrive, lap *analysis.Lap) *passage {
		if d == nil {
			return nil
		}
		from := d.From
		if more := d.Seconds - d.To.Sub(d.From).Seconds(); more > 1e-3 { // it was there when the lap began, too
			from = lap.From
		}
		return &passage{lapTime("seconds", &d.Seconds), lap.Lap, p.view(from, d.To, 0)}
	}
	for _, l := range all.Sectors {
		s := cmp.Or(taken[l.Sector], &sums{})
		p.Sectors = append(p.Sectors, sector{
			clip(l.Name), p.figure("length_m", &l.Length, "m", 0), p.figure("energy_wh", s.energy, "Wh", 1),
			pass(s.best, s.quickest), pass(s.worst, s.least), p.figure("spread_s", l.Spread, "s", 2), share(s.energy, total),
		})
	}
}

// part is what a way of moving or a driver mode took.
type part struct {
	Name                     string
	Time, Efficiency, Energy figure
	Share                    figure
}

// parts are the shares of a run of one kind.
type parts struct {
	Title, Head string
	Rows        []part
}

// mostModes bounds how many are listed: a car may send anything.
const mostModes = 8

// shares are where the energy went: by how the car moved, and by its driver modes.
func (p *page) shares() {
	list := func(title, head string, n int, at func(int) (string, *split.Part)) {
		total := 0.0
		for i := range n {
			if _, s := at(i); s.Energy != nil {
				total += *s.Energy
			}
		}
		of := parts{Title: title, Head: head}
		for i := range min(mostModes, n) {
			name, s := at(i)
			of.Rows = append(of.Rows, part{
				clip(name), lasting("seconds", &s.Seconds), p.figure("efficiency_km_kwh", s.Efficiency, "km/kWh", 1), p.figure("energy_wh", s.Energy, "Wh", 1), share(s.Energy, total),
			})
		}
		if n > 0 {
			p.Shares = append(p.Shares, of)
		}
	}
	motion, modes := p.run.Laps.Motion, p.run.Laps.Modes
	list("Where the energy went", "While", len(motion), func(i int) (string, *split.Part) { return motion[i].Motion, &motion[i].Part })
	list("Driver modes", "Mode", len(modes), func(i int) (string, *split.Part) { return modes[i].Mode, &modes[i].Part })
}
