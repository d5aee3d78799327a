package series

import (
	"fmt"
	"math"
	"slices"
	"strings"
	"time"

	"github.com/ecovolt/telemetryd/internal/fault"
	"github.com/ecovolt/telemetryd/timeseries/channel"
	"github.com/ecovolt/telemetryd/timeseries/rollup"
)

// Bounds of a series request. A chart has a few thousand pixels; the most is
// for exports that want a plain resampling.
const (
	MaxPoints   = 100_000
	maxMetrics  = 32
	MaxSessions = 16
	// maxValues bounds points times metrics times sessions.
	maxValues = 500_000
)

// timeout bounds each query of a series, so that no request can occupy
// the database for long.
const timeout = 10 * time.Second

// Align says what the x axis of a series is.
type Align int

// The x axes. By elapsed time and by distance, several runs lie over another.
const (
	AlignTime     Align = iota // milliseconds since 1970, UTC
	AlignElapsed               // seconds since the session's first record
	AlignDistance              // metres since the start, by the vehicle's counter
)

// String returns the name that requests and answers use.
func (a Align) String() string { return [...]string{"time", "elapsed", "distance"}[a] }

// Fill says what stands where the session has no records.
type Fill int

// The ways to fill. A gap is one empty point, so that a line breaks.
const (
	FillGap  Fill = iota // one empty point for each stretch without records
	FillNull             // an empty point for every bucket without records
	FillLOCF             // every bucket, with the last value carried on; count 0
)

// String returns the name that requests and answers use.
func (f Fill) String() string { return [...]string{"gap", "null", "locf"}[f] }

// Mode says what is kept of the records of a bucket.
type Mode int

// The modes. M4 draws the same pixels as the records themselves would: the
// bucket is then a pixel column of exactly a window's points-th part.
const (
	ModeMinMax Mode = iota // minimum, maximum, mean, count
	ModeM4                 // those, and the first and the last with their times
)

// String returns the name that requests and answers use.
func (m Mode) String() string { return [...]string{"minmax", "m4"}[m] }

// Request asks for metrics of one or more sessions at a resolution.
type Request struct {
	Sessions []string
	// Versions are those of the sessions, if the caller has just read them: what is in
	// memory of them need not be found out anew.
	Versions []string
	// Metrics names charted channels, and text states such as driver_mode.
	Metrics []string
	// From and To bound the window by time, half-open, with AlignTime. Zero is
	// where the sessions begin or end.
	From, To time.Time
	// Start and End bound it by the x axis otherwise: seconds or metres. Nil is
	// where the sessions begin or end.
	Start, End *float64
	// Points is the most points to give for each metric, such as the chart's
	// width in pixels.
	Points int
	Fill   Fill
	Align  Align
	Mode   Mode
	Class  Class
}

// check returns the channels of the metrics, or what is wrong with the request.
func (r *Request) check(find func(name string) (channel.Channel, bool)) (want wanted, err error) {
	var problems []fault.Problem
	wrong := func(field, format string, args ...any) {
		problems = append(problems, fault.Problem{Field: field, Reason: fmt.Sprintf(format, args...)})
	}
	if len(r.Sessions) == 0 || len(r.Sessions) > MaxSessions {
		wrong("sessions", "1 to %d sessions, not %d", MaxSessions, len(r.Sessions))
	}
	if len(r.Metrics) == 0 || len(r.Metrics) > maxMetrics {
		wrong("metrics", "1 to %d metrics, not %d", maxMetrics, len(r.Metrics))
	}
	for i, name := range r.Metrics {
		f, ok := find(name)
		switch {
		case !ok:
			wrong("metrics", "%q is not a channel", fault.Clip(name))
		case slices.Contains(r.Metrics[:i], name):
			wrong("metrics", "%q is named twice", name)
		case f.Charted:
			want.metrics = append(want.metrics, f)
		case !rollup.IsState(f):
			wrong("metrics", "%q has no series: it is neither a measurement nor a state", name)
		case r.Mode == ModeM4 || r.Align == AlignDistance:
			wrong("metrics", "%q is a state: ask for it with mode=minmax on an axis of time", name)
		default:
			want.states = append(want.states, f)
		}
	}
	lines := max(1, len(r.Metrics)) * max(1, len(r.Sessions))
	switch {
	case r.Points < 1 || r.Points > MaxPoints:
		wrong("points", "1 to %d points, not %d", MaxPoints, r.Points)
	case r.Points*lines > bounds[r.Class].values:
		wrong("points", "points times metrics times sessions is over %d: at most %d points fit", bounds[r.Class].values, bounds[r.Class].values/lines)
	}
	if r.Align == AlignTime {
		if r.Start != nil || r.End != nil {
			wrong("start", "start and end go with align=elapsed or align=distance; by time, use from and to")
		}
		if !r.From.IsZero() && !r.To.IsZero() && !r.From.Before(r.To) {
			wrong("to", "the window must end after it begins")
		}
		for name, t := range map[string]time.Time{"from": r.From, "to": r.To} {
			if !t.IsZero() && (t.Year() < 1970 || t.Year() > 2261) {
				wrong(name, "out of range")
			}
		}
	} else {
		if !r.From.IsZero() || !r.To.IsZero() {
			wrong("from", "from and to go with align=time; use start and end")
		}
		if r.Start != nil && r.End != nil && !(*r.Start < *r.End) {
			wrong("end", "the window must end after it begins")
		}
		for name, v := range map[string]*float64{"start": r.Start, "end": r.End} {
			if v != nil && !(*v >= 0 && *v <= 1e9) {
				wrong(name, "0 to 1e9")
			}
		}
		if r.Mode == ModeM4 && r.Align == AlignDistance {
			wrong("mode", "m4 needs an axis of time")
		}
	}
	if len(problems) > 0 {
		return wanted{}, &fault.Error{Kind: fault.Invalid, Message: "invalid input", Problems: problems}
	}
	return want, nil
}

// key tells the answer that these views give from all others.
func (r *Request) key(want wanted, views []*view) string {
	edge := func(v *float64) float64 {
		if v == nil {
			return math.NaN()
		}
		return *v
	}
	var b strings.Builder
	fmt.Fprint(&b, r.From.UnixMicro(), r.To.UnixMicro(), edge(r.Start), edge(r.End), r.Points, r.Fill, r.Align, r.Mode, r.Class)
	for _, c := range want.all() {
		fmt.Fprintf(&b, " %q %q %d %q", c.Name, c.Unit, c.Type, c.Values())
	}
	for _, v := range views { // what the levels lack shows in how an answer is made, not in its figures
		fmt.Fprintf(&b, " %d %s %v %v %v %p", v.session, v.version, v.settled, v.steps, v.dirty, v.catalog)
	}
	return b.String()
}

// ParseAlign reads the name of an Align; "" is AlignTime.
func ParseAlign(text string) (Align, bool) {
	return parseName(text, AlignTime, AlignElapsed, AlignDistance)
}

// ParseFill reads the name of a Fill; "" is FillGap.
func ParseFill(text string) (Fill, bool) { return parseName(text, FillGap, FillNull, FillLOCF) }

// ParseMode reads the name of a Mode; "" is ModeMinMax.
func ParseMode(text string) (Mode, bool) { return parseName(text, ModeMinMax, ModeM4) }

func parseName[T interface{ String() string }](text string, values ...T) (T, bool) {
	if text == "" {
		return values[0], true
	}
	for _, v := range values {
		if v.String() == text {
			return v, true
		}
	}
	return values[0], false
}
