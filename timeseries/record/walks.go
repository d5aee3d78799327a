package record

import (
	"math"
	"slices"
	"strings"

	"github.com/ecovolt/telemetryd/timeseries/channel"
)

// Walks is how far a reader has come with what is computed of a record and of those
// before it. Package walk reads the records for it.
type Walks struct {
	walks   []channel.Walk                  // nil for what a record tells alone
	inputs  []func(i int) (float64, bool)   // of each
	current func(input int) (float64, bool) // of the record
	columns []float64                       // of the record, where Read read them
	column  func(input int) (float64, bool)
	values  []float64
}

// Neighbours reports whether something that is computed depends on the records before.
func (s *Selection) Neighbours() bool {
	return slices.ContainsFunc(s.computed, func(c Computed) bool { return c.Walk != nil })
}

// Inputs lists what the selection's computed members are made of, as a query selects
// it, a comma before each.
func (s *Selection) Inputs() string {
	var list strings.Builder
	for _, input := range s.inputs {
		list.WriteString(", ")
		list.WriteString(input)
	}
	return list.String()
}

// Walks begins a walk over records of one run in the order of their cursors.
func (s *Selection) Walks() *Walks {
	w := &Walks{walks: make([]channel.Walk, len(s.computed)), columns: make([]float64, len(s.inputs)), values: make([]float64, len(s.computed))}
	w.column = func(i int) (float64, bool) { return w.columns[i], !math.IsNaN(w.columns[i]) }
	for at, c := range s.computed {
		if c.Walk != nil {
			w.walks[at] = c.Walk()
		}
		w.inputs = append(w.inputs, func(i int) (float64, bool) { return w.current(s.places[at][i]) })
	}
	return w
}

// Read goes on to the next record, whose Inputs are the columns that come next. It returns
// what depends on the records before, by its place among all that is computed: NaN for
// NULL. That is valid until the next step.
func (w *Walks) Read(micros int64, c *Columns) []float64 {
	for i := range w.columns {
		w.columns[i] = c.Float()
	}
	return w.step(micros, w.column)
}

func (w *Walks) step(micros int64, input func(i int) (float64, bool)) []float64 {
	w.current = input
	for at, walk := range w.walks {
		if walk == nil {
			continue
		}
		v, ok := walk.Step(micros, w.inputs[at])
		if !ok {
			v = math.NaN()
		}
		w.values[at] = v
	}
	return w.values
}

// Primed reports whether records older than those that went by do not matter.
func (w *Walks) Primed() bool {
	return !slices.ContainsFunc(w.walks, func(walk channel.Walk) bool { return walk != nil && !walk.Primed() })
}

// Know tells what the record read last has of what depends on those before it, as
// Walks.Read returns it: without, it has none of that.
func (r *Row) Know(values []float64) { r.known = values }

// Walk goes on to the record read last.
func (r *Row) Walk(w *Walks) { r.Know(w.step(r.cursor.Micros, r.input)) }

// input is an input of what is computed; false for NULL.
func (r *Row) input(i int) (float64, bool) {
	raw := r.inputs()[i]
	if raw == nil {
		return 0, false
	}
	return float(raw), true
}
