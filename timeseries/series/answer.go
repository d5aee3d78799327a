package series

import (
	"slices"
	"sync"

	"github.com/ecovolt/telemetryd/timeseries/channel"
)

// Answer answers a Request.
type Answer struct {
	Request  Request // with the window that was meant
	Sessions []Session
	// Settled tells that the sessions got no records for a while: an answer that
	// can be kept.
	Settled bool

	encode sync.Once
	text   []byte
}

// Session is the part of an Answer that belongs to one session. All
// columns have the length of X.
type Session struct {
	ID      string
	Version string // changes whenever the session's records do
	// Level served the bulk of the answer: raw or the name of a rollup.
	Level string
	// Points tells that the answer holds the records themselves, one by one:
	// the window has no more than were asked for.
	Points bool
	// Width of a bucket in the unit of the x axis (ms, s or m); 0 with Points.
	Width   float64
	X       []float64
	Metrics []Metric
	States  []State
}

// State is one text state of one session: the newest in each bucket, ""
// where there is none.
type State struct {
	Name string
	Last []string
}

// wanted are the fields of a request.
type wanted struct{ metrics, states []channel.Channel }

func (w wanted) all() []channel.Channel { return slices.Concat(w.metrics, w.states) }

// Metric is one metric of one session. NaN stands for no value.
type Metric struct {
	Name  string
	Unit  string
	Min   []float64
	Max   []float64
	Avg   []float64
	Count []int64
	// Step is the usual time between the run's records that carry the metric, and
	// GapAfter the length from which on a silence of it is a gap, both in s.
	Step, GapAfter float64
	// Gaps are the gaps between samples of the window, on the x axis: outside of
	// them, a point without a value is no gap. Where a level serves the window, a
	// gap is known up to a column's width.
	Gaps [][2]float64
	// With ModeM4, the first and last record of the column that have the metric.
	First, Last   []float64
	FirstX, LastX []float64
}

// empty makes out an answer without points.
func empty(out *Session, want wanted, mode Mode) {
	out.Level = "raw"
	out.columns(want, 0, mode)
}

// columns makes empty columns.
func (s *Session) columns(want wanted, capacity int, mode Mode) {
	s.X = make([]float64, 0, capacity)
	s.Metrics = make([]Metric, len(want.metrics))
	for i, f := range want.metrics {
		s.Metrics[i] = newMetric(f, capacity, mode)
	}
	s.States = make([]State, len(want.states))
	for i, f := range want.states {
		s.States[i] = State{f.Name, make([]string, 0, capacity)}
	}
}

func newMetric(f channel.Channel, capacity int, mode Mode) Metric {
	column := func() []float64 { return make([]float64, 0, capacity) }
	m := Metric{Name: f.Name, Unit: f.Unit, Min: column(), Max: column(), Avg: column(), Count: make([]int64, 0, capacity)}
	if mode == ModeM4 {
		m.First, m.Last, m.FirstX, m.LastX = column(), column(), column(), column()
	}
	return m
}
