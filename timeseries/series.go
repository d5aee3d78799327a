package timeseries

import (
	"context"
	"errors"
	"fmt"
	"math"
	"slices"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"github.com/ecovolt/telemetryd/internal/fault"
	"github.com/ecovolt/telemetryd/timeseries/channel"
	"github.com/ecovolt/telemetryd/timeseries/rollup"
)

// Bounds of a series request. A chart has a few thousand pixels; the most is
// for exports that want a plain resampling.
const (
	MaxSeriesPoints   = 100_000
	MaxSeriesMetrics  = 32
	MaxSeriesSessions = 16
	// MaxSeriesValues bounds points times metrics times sessions.
	MaxSeriesValues = 500_000
)

// seriesTimeout bounds each query of a series, so that no request can occupy
// the database for long.
const seriesTimeout = 10 * time.Second

// Align says what the x axis of a series is.
type Align int

// The x axes. By elapsed time and by distance, several runs lie over another.
const (
	AlignTime     Align = iota // milliseconds since 1970, UTC
	AlignElapsed               // seconds since the session's first record
	AlignDistance              // metres since the start, by the vehicle's counter
)

// String gives the name that requests and answers use.
func (a Align) String() string { return [...]string{"time", "elapsed", "distance"}[a] }

// Fill says what stands where the session has no records.
type Fill int

// The ways to fill. A gap is one empty point, so that a line breaks.
const (
	FillGap  Fill = iota // one empty point for each stretch without records
	FillNull             // an empty point for every bucket without records
	FillLOCF             // every bucket, with the last value carried on; count 0
)

// String gives the name that requests and answers use.
func (f Fill) String() string { return [...]string{"gap", "null", "locf"}[f] }

// Mode says what is kept of the records of a bucket.
type Mode int

// The modes. M4 draws the same pixels as the records themselves would: the
// bucket is then a pixel column of exactly a window's points-th part.
const (
	ModeMinMax Mode = iota // minimum, maximum, mean, count
	ModeM4                 // those, and the first and the last with their times
)

// String gives the name that requests and answers use.
func (m Mode) String() string { return [...]string{"minmax", "m4"}[m] }

// SeriesRequest asks for metrics of one or more sessions at a resolution.
type SeriesRequest struct {
	Sessions []string
	// Metrics names charted fields, and text states such as driver_mode.
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
}

// Series answers a SeriesRequest.
type Series struct {
	Request  SeriesRequest // with the window that was meant
	Sessions []SessionSeries
	// Settled tells that the sessions got no records for a while: an answer that
	// can be kept.
	Settled bool
}

// SessionSeries is the part of a Series that belongs to one session. All
// columns have the length of X.
type SessionSeries struct {
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
	Metrics []MetricSeries
	States  []StateSeries
}

// StateSeries is one text state of one session: the newest in each bucket, ""
// where there is none.
type StateSeries struct {
	Name string
	Last []string
}

// wanted are the fields of a request.
type wanted struct{ metrics, states []channel.Channel }

// MetricSeries is one metric of one session. NaN stands for no value.
type MetricSeries struct {
	Name  string
	Unit  string
	Min   []float64
	Max   []float64
	Avg   []float64
	Count []int64
	// With ModeM4, the first and last record of the column that have the metric.
	First, Last   []float64
	FirstX, LastX []float64
}

// Series reads metrics at a resolution: at most as many points as asked for,
// from the coarsest rollup that is fine enough. Minimum, maximum and count are
// those of the records in each bucket, whatever is not yet in the rollups
// included; so is the mean, up to rounding.
func (s *Store) Series(ctx context.Context, req SeriesRequest) (*Series, error) {
	want, err := req.check()
	if err != nil {
		return nil, err
	}
	answer, err := s.series(ctx, req, want)
	if s.Rollups.Outdated(err) {
		answer, err = s.series(ctx, req, want)
	}
	var pgErr *pgconn.PgError
	if errors.As(err, &pgErr) && pgErr.Code == "57014" && ctx.Err() == nil {
		return nil, &fault.Error{Kind: fault.Unavailable, Message: "the window holds more than can be aggregated in time; ask for a shorter window or fewer metrics", RetryAfter: seriesTimeout, Err: err}
	}
	if err != nil && fault.As(err) == nil {
		return nil, fmt.Errorf("read series: %w", err)
	}
	return answer, err
}

// check gives the fields of the metrics, or what is wrong with the request.
func (r *SeriesRequest) check() (want wanted, err error) {
	var problems []fault.Problem
	wrong := func(field, format string, args ...any) {
		problems = append(problems, fault.Problem{Field: field, Reason: fmt.Sprintf(format, args...)})
	}
	if len(r.Sessions) == 0 || len(r.Sessions) > MaxSeriesSessions {
		wrong("sessions", "1 to %d sessions, not %d", MaxSeriesSessions, len(r.Sessions))
	}
	if len(r.Metrics) == 0 || len(r.Metrics) > MaxSeriesMetrics {
		wrong("metrics", "1 to %d metrics, not %d", MaxSeriesMetrics, len(r.Metrics))
	}
	for i, name := range r.Metrics {
		f, ok := channel.ByName(name)
		switch {
		case !ok:
			wrong("metrics", "%q is not a field of a record", fault.Clip(name))
		case slices.Contains(r.Metrics[:i], name):
			wrong("metrics", "%q is named twice", name)
		case f.Charted:
			want.metrics = append(want.metrics, f)
		case !slices.Contains(rollup.States, name):
			wrong("metrics", "%q has no series: it is neither a measurement nor a state", name)
		case r.Mode == ModeM4 || r.Align == AlignDistance:
			wrong("metrics", "%q is a state: ask for it with mode=minmax on an axis of time", name)
		default:
			want.states = append(want.states, f)
		}
	}
	switch {
	case r.Points < 1 || r.Points > MaxSeriesPoints:
		wrong("points", "1 to %d points, not %d", MaxSeriesPoints, r.Points)
	case r.Points*max(1, len(r.Metrics))*max(1, len(r.Sessions)) > MaxSeriesValues:
		wrong("points", "points times metrics times sessions is over %d", MaxSeriesValues)
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

func (s *Store) series(ctx context.Context, req SeriesRequest, want wanted) (*Series, error) {
	conn, err := s.pool.Acquire(ctx)
	if err != nil {
		return nil, err
	}
	defer conn.Release()
	cat, err := s.Rollups.Catalog(ctx, conn)
	if err != nil {
		return nil, err
	}
	answer := &Series{Request: req, Settled: true}
	// One snapshot: what the rollups lack and what the records have must be
	// known of the same moment.
	err = pgx.BeginTxFunc(ctx, conn, pgx.TxOptions{IsoLevel: pgx.RepeatableRead, AccessMode: pgx.ReadOnly}, func(tx pgx.Tx) error {
		views, err := openViews(ctx, tx, cat, req.Sessions)
		if err != nil {
			return err
		}
		for _, v := range views {
			answer.Settled = answer.Settled && v.settled
		}
		answer.Sessions = make([]SessionSeries, len(views))
		for i, v := range views {
			answer.Sessions[i] = SessionSeries{ID: v.id, Version: v.version}
		}
		if req.Align == AlignDistance {
			return distanceSeries(ctx, answer, views, want.metrics)
		}
		return timeSeries(ctx, answer, views, want)
	})
	if err != nil {
		return nil, err
	}
	return answer, nil
}

// timeSeries reads with an axis of time, absolute or since the start.
func timeSeries(ctx context.Context, answer *Series, views []*view, want wanted) error {
	req := &answer.Request
	var window rollup.Span
	if req.Align == AlignTime {
		window = rollup.Span{From: req.From.Truncate(time.Microsecond), To: req.To.Truncate(time.Microsecond)}
		for _, v := range views {
			if v.span.Empty() {
				continue
			}
			if req.From.IsZero() && (window.From.IsZero() || v.span.From.Before(window.From)) {
				window.From = v.span.From
			}
			if req.To.IsZero() && v.span.To.After(window.To) {
				window.To = v.span.To
			}
		}
	} else {
		// Elapsed time is counted from an origin of its own, so that all sessions
		// share one grid.
		window.From = elapsedOrigin
		if req.Start != nil {
			window.From = elapsedOrigin.Add(seconds(*req.Start))
		}
		if req.End != nil {
			window.To = elapsedOrigin.Add(seconds(*req.End))
		} else {
			for _, v := range views {
				if end := elapsedOrigin.Add(v.span.Length()); end.After(window.To) {
					window.To = end
				}
			}
		}
	}
	if window.Empty() {
		if !req.From.IsZero() && !req.To.IsZero() {
			return fault.Field("to", "the window is shorter than a microsecond")
		}
		window.To = window.From // nothing there
	}
	if req.Align == AlignTime {
		req.From, req.To = window.From, window.To
	}
	for i, v := range views {
		out := &answer.Sessions[i]
		own := window
		shift := time.Duration(0)
		if req.Align == AlignElapsed && !v.span.Empty() {
			shift = v.span.From.Sub(elapsedOrigin)
			own = rollup.Span{From: window.From.Add(shift), To: window.To.Add(shift)}
		}
		var err error
		switch {
		case window.Empty():
			empty(out, want, req.Mode)
		case req.Mode == ModeM4:
			err = v.readM4(ctx, out, own, req, want)
		default:
			err = v.readBuckets(ctx, out, own, req, want)
		}
		if err != nil {
			return err
		}
		if req.Align == AlignElapsed {
			toElapsed(out, shift)
		}
	}
	return nil
}

// elapsedOrigin stands for the start of every session on an axis of elapsed
// time. Buckets of every width begin there.
var elapsedOrigin = time.UnixMicro(rollup.Origin).UTC()

func seconds(v float64) time.Duration { return time.Duration(v*1e6) * time.Microsecond }

// toElapsed turns a time axis into seconds since the session's start. Buckets
// keep the absolute grid that rollups have; counted from the bucket of the
// first record, they fall on one grid for all sessions.
func toElapsed(out *SessionSeries, shift time.Duration) {
	start := elapsedOrigin.Add(shift).UnixMicro()
	width := int64(0)
	if !out.Points && (len(out.Metrics) == 0 || out.Metrics[0].First == nil) {
		width = int64(math.Round(out.Width * 1e3))
	}
	convert := func(xs []float64) {
		for i := range xs {
			micro := int64(math.Round(xs[i] * 1e3))
			if width > 0 {
				micro = rollup.FloorMicro(micro, width) - rollup.FloorMicro(start, width)
			} else {
				micro -= start
			}
			xs[i] = float64(micro) / 1e6
		}
	}
	convert(out.X)
	for _, m := range out.Metrics {
		convert(m.FirstX)
		convert(m.LastX)
	}
	out.Width /= 1e3
}

// empty gives out columns without points.
func empty(out *SessionSeries, want wanted, mode Mode) {
	out.Level = "raw"
	out.columns(want, 0, mode)
}

// columns makes empty columns.
func (s *SessionSeries) columns(want wanted, capacity int, mode Mode) {
	s.X = make([]float64, 0, capacity)
	s.Metrics = make([]MetricSeries, len(want.metrics))
	for i, f := range want.metrics {
		s.Metrics[i] = newMetricSeries(f, capacity, mode)
	}
	s.States = make([]StateSeries, len(want.states))
	for i, f := range want.states {
		s.States[i] = StateSeries{f.Name, make([]string, 0, capacity)}
	}
}

func newMetricSeries(f channel.Channel, capacity int, mode Mode) MetricSeries {
	column := func() []float64 { return make([]float64, 0, capacity) }
	m := MetricSeries{Name: f.Name, Unit: f.Unit, Min: column(), Max: column(), Avg: column(), Count: make([]int64, 0, capacity)}
	if mode == ModeM4 {
		m.First, m.Last, m.FirstX, m.LastX = column(), column(), column(), column()
	}
	return m
}
