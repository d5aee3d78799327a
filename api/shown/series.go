package shown

import (
	"fmt"
	"math"

	"github.com/ecovolt/telemetryd/timeseries/analysis"
	"github.com/ecovolt/telemetryd/timeseries/channel/unit"
	"github.com/ecovolt/telemetryd/timeseries/compare"
	"github.com/ecovolt/telemetryd/timeseries/kept"
	"github.com/ecovolt/telemetryd/timeseries/registry"
	"github.com/ecovolt/telemetryd/timeseries/series"
)

// keptBytes bounds the charts that are kept in other units than the stored ones.
const keptBytes = 16 << 20

// Charts shows charts in systems of units. What was asked for lately is kept, as the
// charts themselves are: one that is asked for again costs no more than in stored units.
type Charts struct{ kept *kept.Values[chart] }

// chart is a chart in other units. It holds the one that it was made of, by whose
// address it is found.
type chart struct{ of, shown *series.Answer }

// NewCharts returns Charts that has kept none.
func NewCharts() *Charts { return &Charts{kept.New[chart](keptBytes)} }

// In is a chart in a system of units; the chart itself where nothing changes.
func (c *Charts) In(system unit.System, of *series.Answer) *series.Answer {
	if system == "" {
		return of
	}
	key := fmt.Sprintf("%p %s", of, system)
	if known, ok := c.kept.Get(key); ok {
		return known.shown
	}
	shown := inUnits(of, system)
	if shown != of {
		c.kept.Put(key, chart{of, shown}, 8*len(shown.JSON())) // numbers and text, of both
	}
	return shown
}

func inUnits(of *series.Answer, system unit.System) *series.Answer {
	var out *series.Answer
	for i := range of.Sessions {
		for k, m := range of.Sessions[i].Metrics {
			u, ok := system.Shown(m.Unit)
			if !ok {
				continue
			}
			if out == nil { // the answer may be somebody else's as well
				out = &series.Answer{Request: of.Request, Sessions: append([]series.Session{}, of.Sessions...), Settled: of.Settled}
				for s := range out.Sessions {
					out.Sessions[s].Metrics = append([]series.Metric{}, of.Sessions[s].Metrics...)
				}
			}
			m.Unit, m.Min, m.Max, m.Avg, m.First, m.Last = u.Unit, list(u, m.Min), list(u, m.Max), list(u, m.Avg), list(u, m.First), list(u, m.Last)
			out.Sessions[i].Metrics[k] = m
		}
	}
	if out == nil {
		return of
	}
	return out
}

func list(u unit.Shown, values []float64) []float64 {
	if values == nil {
		return nil
	}
	out := make([]float64, len(values))
	for i, v := range values {
		out[i] = u.Of(v)
	}
	return out
}

// Comparison has the channels of compared laps in a system of units, and says which.
// The figures of the laps stay in the units that their names say.
func Comparison(c *compare.Comparison, set *registry.Set, system unit.System) {
	c.Units = map[string]string{}
	for _, lap := range c.Laps {
		means(lap.Means, set, system)
		for _, sector := range lap.Sectors {
			means(sector.Means, set, system)
		}
		for name, values := range lap.Metrics {
			known, _ := set.Find(name)
			c.Units[name] = known.Unit
			u, ok := system.Shown(known.Unit)
			if !ok {
				continue
			}
			c.Units[name] = u.Unit
			for i, value := range values {
				if v, ok := value.(float64); ok {
					if values[i] = u.Of(v); math.IsInf(u.Of(v), 0) {
						values[i] = nil
					}
				}
			}
		}
	}
}

// Laps has what laps say of channels in a system of units, and says which. Their other
// figures stay in the units that their names say.
func Laps(laps []analysis.Lap, set *registry.Set, system unit.System) {
	for _, lap := range laps {
		means(lap.Metrics, set, system)
	}
}

func means(metrics map[string]analysis.LapMetric, set *registry.Set, system unit.System) {
	for name, m := range metrics {
		known, _ := set.Find(name)
		m.Unit = &known.Unit
		if u, ok := system.Shown(known.Unit); ok {
			m.Unit, m.Mean, m.Min, m.Max = &u.Unit, of(u, m.Mean), of(u, m.Min), of(u, m.Max)
		}
		metrics[name] = m
	}
}
