package compare

import (
	"context"
	"math"
	"slices"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/ecovolt/telemetryd/internal/fault"
	"github.com/ecovolt/telemetryd/internal/load"
	schema "github.com/ecovolt/telemetryd/sql"
	"github.com/ecovolt/telemetryd/timeseries/analysis"
	"github.com/ecovolt/telemetryd/timeseries/channel"
	"github.com/ecovolt/telemetryd/timeseries/channel/unit"
	"github.com/ecovolt/telemetryd/timeseries/column"
	"github.com/ecovolt/telemetryd/timeseries/kept"
	"github.com/ecovolt/telemetryd/timeseries/rollup"
	"github.com/ecovolt/telemetryd/timeseries/series"
)

// Reader compares laps of one database.
type Reader struct {
	pool     *pgxpool.Pool
	channels series.Channels
	rollups  *rollup.Rollups
	columns  *column.Memory
	heavy    *load.Queue
	told     *kept.Values[told]
}

// New returns a Reader on the connections for what somebody waits for, of records of which
// columns are held in memory.
func New(pool *pgxpool.Pool, channels series.Channels, rollups *rollup.Rollups, columns *column.Memory) *Reader {
	return &Reader{pool, channels, rollups, columns, load.NewQueue(max(1, int(pool.Config().MaxConns)/3), 1, 2*timeout), kept.New[told](keptBytes)}
}

const (
	// MaxLaps bounds the laps of a request, maxPoints its places, and maxMetrics
	// its channels.
	MaxLaps    = 6
	maxPoints  = 2000
	maxMetrics = 16
	// timeout bounds each statement.
	timeout = 10 * time.Second
	// heavyCells is how many values of records a request goes over that takes
	// turns with others of its kind; see package series for what one costs.
	heavyCells = 1_000_000
	// keptBytes is how much of what laps' records say of channels is kept.
	keptBytes = 16 << 20
)

// mostCells bounds the values of records that a request goes over, by class: those
// of a lap are held at once.
var mostCells = [...]int{series.Member: 5_000_000, series.Guest: 1_000_000}

// Request asks for laps over one another.
type Request struct {
	Laps    []Lap
	Metrics []string
	Points  int
	By      string // position, distance or time
	Class   series.Class
	Units   unit.System // of the speeds in sentences
}

// Lap names a lap of a run, as analytics.laps counts.
type Lap struct {
	Run    string
	Number int64
}

// Comparison is laps over one another. All columns are as long as its axis.
type Comparison struct {
	By       string        `json:"by" enum:"position,distance,time" doc:"What the axis is"`
	Distance []float64     `json:"distance_m,omitempty" doc:"The axis by position or distance: from 0 at the start line to the lap's end, m"`
	Time     []float64     `json:"time_s,omitempty" doc:"The axis by time: since each lap began, s"`
	Sectors  []Sector      `json:"sectors" doc:"The line, parted as its track is; empty where the axis is no line"`
	Laps     []ComparedLap `json:"laps"`
	// Units is set by who shows the channels in other units than the stored ones.
	Units map[string]string `json:"units,omitempty" doc:"Units of the laps' metrics by name, where units was asked for"`
}

// Sector is a part of the line.
type Sector struct {
	Name string  `json:"name" doc:"What it is called on the track; one in which the axis begins comes first and last"`
	From float64 `json:"from_m" doc:"Begin on the axis, m"`
	To   float64 `json:"to_m" doc:"End on the axis, m"`
}

// ComparedLap is a lap beside the first one.
type ComparedLap struct {
	Run      string    `json:"session" doc:"Id of the run"`
	Lap      int64     `json:"lap" doc:"Number of the lap in its run, from 1"`
	Start    time.Time `json:"start" doc:"When it began"`
	End      time.Time `json:"end" doc:"When it ended"`
	Aligned  string    `json:"aligned" enum:"position,distance,time" doc:"How it was laid on the axis: distance, scaled to the axis, also where it did not go along the line"`
	Seconds  float64   `json:"time_s" doc:"Its time, s"`
	Distance *float64  `json:"distance_m" doc:"Sum of speed times time over no gap, m; null where nothing measures it"`
	Energy   *float64  `json:"energy_j" doc:"Sum of power times time over no gap, J; null where nothing measures it"`
	Error    *float64  `json:"error_s" doc:"Standard deviation of its time, s"`
	// Cruise is the mean square deviation of speed from its own mean over the
	// time of the lap in which the car was measured and did not stand: of the
	// steps between two records that carry a speed, are no gap and have 0.5 m/s
	// or more at both ends, along which speed goes evenly from one to the other.
	Cruise   *float64         `json:"cruise_variance" doc:"Variance of speed over the time of the lap in which the car did not stand (0.5 m/s or more) and no gap was, (m/s)^2"`
	From     *float64         `json:"from_ms" doc:"How quick it was when it began, m/s: the mean of 1.5 s to each side, or as far as there are records on both; null where that was not measured"`
	To       *float64         `json:"to_ms" doc:"How quick it was when it ended, m/s; as from_ms"`
	PerKm    *float64         `json:"energy_j_per_km" doc:"Energy over distance, J/km"`
	Match    float64          `json:"match" doc:"Share of the axis for which the lap has records, 0 to 1: what lies in a gap is missing"`
	TimeMore []*float64       `json:"dt_s,omitempty" doc:"By how much later than the first lap it was there, s; not by time"`
	More     []*float64       `json:"de_j" doc:"By how much more energy than the first lap it had used there, J; null where nothing measures it"`
	Sectors  []LapSector      `json:"sectors" doc:"The sectors of the lap; they add up to it"`
	Metrics  map[string][]any `json:"metrics" doc:"Channels by name: what the lap's records say at each place, null where they say nothing"`
	Summary  string           `json:"summary" doc:"Its difference to the first lap in sentences, of the figures here, with the sector that has the most of it: the share is of all sectors in which there was some; and by how much quicker the two ended than they began, where that is part of the energy. Speeds are in the units asked for, m/s without. Empty of the first lap"`
	Means    Means            `json:"means" doc:"Those of them that are numbers, by name: mean, lowest and highest of the lap's records"`
}

// Means are what the records of a lap or a sector say of channels, each once.
type Means map[string]analysis.LapMetric

// LapSector is what a sector took a lap.
type LapSector struct {
	Seconds  float64  `json:"time_s" doc:"Its time, s"`
	Energy   *float64 `json:"energy_j" doc:"J"`
	Distance *float64 `json:"distance_m" doc:"By the lap's odometer over no gap, m"`
	Means    Means    `json:"means" doc:"As the lap's, of the records of the sector"`
}

// laid is a lap on the axis.
type laid struct {
	way     *analysis.Way
	course  *analysis.Course
	aligned string
	track   track
}

// Read compares laps. It fails with fault.Invalid and the parameter, with
// fault.NotFound for a run or a lap that is not there, and with fault.Unavailable
// where it takes too long. The analysis of the runs must be up to date.
func (r *Reader) Read(ctx context.Context, req Request) (*Comparison, error) {
	want, err := r.check(ctx, &req)
	if err != nil {
		return nil, err
	}
	if err := r.columns.ForgetDropped(ctx, r.pool, r.rollups); err != nil {
		return nil, fault.Wrap("compare laps", err)
	}
	var answer *Comparison
	err = r.heavy.Try(ctx, func(admitted bool) error {
		return schema.Snapshot(ctx, r.pool, timeout, func(tx pgx.Tx) (err error) {
			answer, err = r.read(ctx, tx, &req, want, admitted)
			return err
		})
	})
	if schema.TimedOut(ctx, err) {
		return nil, &fault.Error{Kind: fault.Unavailable, Message: "the laps hold more than can be read in time; ask for fewer laps or metrics", RetryAfter: timeout, Err: err}
	}
	if err != nil {
		return nil, fault.Wrap("compare laps", err)
	}
	return answer, nil
}

// check returns the channels, or what is wrong with the request.
func (r *Reader) check(ctx context.Context, req *Request) ([]channel.Channel, error) {
	switch {
	case len(req.Laps) == 0 || len(req.Laps) > MaxLaps:
		return nil, fault.Field("laps", "1 to %d laps, not %d", MaxLaps, len(req.Laps))
	case req.Points < 2 || req.Points > maxPoints:
		return nil, fault.Field("points", "2 to %d points, not %d", maxPoints, req.Points)
	}
	return r.metrics(ctx, req.Metrics)
}

// metrics are the channels of these names, each once, or what is wrong with them.
func (r *Reader) metrics(ctx context.Context, names []string) ([]channel.Channel, error) {
	if len(names) > maxMetrics {
		return nil, fault.Field("metrics", "at most %d metrics, not %d", maxMetrics, len(names))
	}
	known, err := r.channels.Find(ctx, names)
	if err != nil {
		return nil, fault.Wrap("compare laps", err)
	}
	var want []channel.Channel
	for _, name := range names {
		c, ok := known[name]
		switch {
		case !ok:
			return nil, fault.Field("metrics", "%q is not a channel", fault.Clip(name))
		case c.Type == channel.JSON:
			return nil, fault.Field("metrics", "%q is neither a measurement nor a state", fault.Clip(name))
		case !slices.ContainsFunc(want, func(other channel.Channel) bool { return other.Name == c.Name }):
			want = append(want, c)
		}
	}
	return want, nil
}

// read compares laps as a snapshot shows them.
func (r *Reader) read(ctx context.Context, tx pgx.Tx, req *Request, want []channel.Channel, admitted bool) (*Comparison, error) {
	courses := map[string]*analysis.Course{}
	laps := make([]laid, len(req.Laps))
	cells, each := 0, cellsOf(want)
	for i, lap := range req.Laps {
		course := courses[lap.Run]
		var err error
		if course == nil {
			if course, err = analysis.ReadCourse(ctx, tx, lap.Run); err != nil {
				return nil, err
			}
			courses[lap.Run] = course
		}
		way, err := course.Lap(ctx, tx, lap.Number)
		if err != nil {
			return nil, err
		}
		laps[i] = laid{way: way, course: course}
		cells += recordsOf(course, way) * each
	}
	most := mostCells[req.Class]
	switch {
	case cells > most:
		return nil, fault.Field("laps", "these laps and metrics go over about %d values, and may over %d", cells, most)
	case cells > heavyCells && !admitted:
		return nil, load.ErrHeavy
	}
	// A run may have most of its records in few of its hours.
	left := most / each
	if !admitted {
		left = min(left, heavyCells/each)
	}
	for i := range laps {
		if err := laps[i].way.Read(ctx, tx); err != nil {
			return nil, err
		}
	}
	answer, axis, err := align(req, laps)
	if err != nil {
		return nil, err
	}
	first := laps[0].track.at(axis)
	edges := answer.edges()
	sources := map[*analysis.Course]*source{}
	rec := newRecords(want)
	for i := range laps {
		l := &laps[i]
		at := l.track.at(axis)
		c := ComparedLap{
			Run: l.course.ID, Lap: l.way.Lap, Start: l.way.From.UTC(), End: l.way.To.UTC(), Aligned: l.aligned,
			Seconds: round(l.way.Seconds), Distance: l.way.Distance, Energy: l.way.Energy, Error: l.way.Error, Sectors: []LapSector{}, Metrics: map[string][]any{},
		}
		if c.Distance != nil && c.Energy != nil && *c.Distance > 0 {
			perKm := *c.Energy / *c.Distance * 1000
			c.PerKm = &perKm
		}
		if req.By != "time" {
			c.TimeMore = less(at, first, func(s state) float64 { return s.elapsed })
		}
		both := c.Energy != nil && laps[0].way.Energy != nil
		c.More = less(at, first, func(s state) float64 {
			if !both {
				return math.NaN()
			}
			return s.energy
		})
		from := sources[l.course]
		if from == nil {
			if from, err = r.source(ctx, tx, l.course, want); err != nil {
				return nil, err
			}
			sources[l.course] = from
		}
		if err := rec.read(ctx, tx, l, from, left); err != nil {
			return nil, err
		}
		switch left -= len(rec.all.t); {
		case left < 0 && !admitted:
			return nil, load.ErrHeavy
		case left < 0:
			return nil, fault.Field("laps", "these laps and metrics go over more than %d values", most)
		}
		c.Means = rec.means([][2]float64{{0, l.way.Seconds}})
		parts := l.track.at(edges)
		for k := 1; k < len(parts); k++ {
			a, b := parts[k-1], parts[k]
			s := LapSector{Seconds: round(b.elapsed - a.elapsed), Means: rec.means(between(a.at, b.at, l.way.Seconds))}
			if c.Energy != nil {
				s.Energy = number(b.energy - a.energy)
			}
			if c.Distance != nil {
				s.Distance = number(b.way - a.way)
			}
			c.Sectors = append(c.Sectors, s)
		}
		c.Cruise = rec.cruise()
		c.From, c.To = rec.speed.about(0), rec.speed.about(l.way.Seconds)
		c.Match = round(l.track.share(rec.gaps, axis[len(axis)-1]))
		for k, ch := range want {
			c.Metrics[ch.Name] = rec.channels[k].at(at)
		}
		answer.Laps = append(answer.Laps, c)
		answer.Laps[i].Summary = answer.sentences(&answer.Laps[i], &answer.Laps[0], req.Units)
	}
	return answer, nil
}

// recordsOf guesses how many records a lap has.
func recordsOf(c *analysis.Course, w *analysis.Way) int {
	share := 1.0
	if whole := c.Last.Sub(c.First).Seconds(); whole > 0 {
		share = min(1, w.Seconds/whole)
	}
	return int(float64(c.Records) * share)
}

// cellsOf is as how many values a record counts.
func cellsOf(want []channel.Channel) int {
	each := 2
	for _, ch := range want {
		if each++; !ch.HasColumn() {
			each += 3
		}
	}
	return each
}

// between is when a lap went from one place of the axis to another: where it begins
// within that, it came to its end before it was at its begin. Times of knots are off
// by rounding; a record at the lap's end is of the next one.
func between(from, to, seconds float64) [][2]float64 {
	from, to = min(from, seconds), min(to, seconds)
	if to < from {
		return [][2]float64{{from, seconds}, {0, to}}
	}
	return [][2]float64{{from, to}}
}

// less are the differences to the first lap.
func less(at, first []state, of func(state) float64) []*float64 {
	list := make([]*float64, len(at))
	for i := range at {
		list[i] = number(of(at[i]) - of(first[i]))
	}
	return list
}

// round leaves out what is nothing but rounding: a millionth of the unit.
func round(v float64) float64 { return math.Round(v*1e6) / 1e6 }

// number is nil where there is none.
func number(v float64) *float64 {
	if math.IsNaN(v) || math.IsInf(v, 0) {
		return nil
	}
	v = round(v)
	return &v
}
