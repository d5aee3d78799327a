package series

import (
	"time"

	"github.com/ecovolt/telemetryd/internal/fault"
	"github.com/ecovolt/telemetryd/internal/load"
	"github.com/ecovolt/telemetryd/timeseries/record/walk"
	"github.com/ecovolt/telemetryd/timeseries/rollup"
)

// Class says whose read it is, and so what it may cost.
type Class int

// The classes. A stranger's read may cost less than half of a member's.
const (
	Member Class = iota // an account or a key
	Guest
)

// A read costs cells: the values that the database goes over. On one processor
// 10 million take about 1 s, whether records are aggregated (0.09 µs a value,
// eight of 4.5 million records each) or looked up (20 µs each).
const (
	// rowCells is a level's row, which has four values for each metric.
	rowCells = 4
	// memberCells is a member of a record that has no column.
	memberCells = 4
	// lookUpCells is the search for one end of the line in a pixel column.
	lookUpCells = 100
	// keptCells is the same where it is kept.
	keptCells = 20
	// walkCells is a record whose value depends on those before it.
	walkCells = 10
	// heavyCells is what a read costs that takes turns with others of its kind.
	heavyCells = 2_500_000
)

// bounds is what a read of a class may cost, and how large its answer may be: in
// cells, and in points times metrics times sessions.
var bounds = [...]struct{ cells, values int }{Member: {50_000_000, maxValues}, Guest: {20_000_000, maxValues / 5}}

// cost is what a read is about to cost.
type cost struct {
	scan, lookUps int
	walked        int           // records, at most of one session
	width         time.Duration // of buckets, the same for all sessions; 0 with ModeM4
}

// add counts what a window of a session costs.
func (c *cost) add(v *view, window rollup.Span, req *Request, want wanted) {
	if window.Empty() {
		return
	}
	level := raw
	if req.Mode != ModeM4 {
		level = v.level(c.width)
	} else if _, grid, kept := v.m4Grid(window, req.Points); kept {
		level = grid
		c.lookUps += 2 * keptCells * len(req.Metrics) * req.Points
	} else if !v.fewRecords(window, m4Scan) {
		level = v.levelWithin(window.Length() / time.Duration(req.Points))
		c.lookUps += 2 * lookUpCells * len(req.Metrics) * min(req.Points, v.recordsIn(window))
	}
	alone, walked := v.apart(want.all())
	if len(walked.metrics) > 0 {
		c.walked = max(c.walked, v.recordsIn(window))
		c.scan += walkCells * len(walked.metrics) * v.recordsIn(window)
	}
	for _, p := range v.parts(alone.metrics, level) {
		for _, s := range p.cover(window, p.level) {
			for _, m := range p.metrics {
				switch {
				case s.level != raw:
					c.scan += rowCells * int(s.span.Length()/rollup.Levels[s.level].Width)
				case m.HasColumn():
					c.scan += v.recordsIn(s.span)
				default:
					c.scan += memberCells * v.recordsIn(s.span)
				}
			}
		}
	}
}

func (c cost) cells() int { return c.scan + c.lookUps }

// check refuses a read that costs more than its class may, with what would fit.
// price tells what another window would cost.
func (c cost) check(req *Request, window rollup.Span, price func(rollup.Span) cost) error {
	most := bounds[req.Class].cells
	fitting := func(fit func(cost) bool) time.Duration {
		fits := window
		for fits.Length() > time.Second && !fit(price(fits)) {
			fits.From = fits.To.Add(-fits.Length() * 7 / 8)
		}
		return fits.Length().Truncate(time.Second)
	}
	if c.walked > walk.Most {
		return fault.Field("metrics", "a rate is computed from the records, about %d here, and over %d at most: a window of %v fits", c.walked, walk.Most,
			fitting(func(c cost) bool { return c.walked <= walk.Most }))
	}
	if c.cells() <= most {
		return nil
	}
	const tooMuch = "this read goes over about %d values, and may over %d: "
	if c.scan < most/2 {
		return fault.Field("points", tooMuch+"with these metrics at most %d points fit", c.cells(), most, max(1, req.Points*(most-c.scan)/c.lookUps))
	}
	return fault.Field("to", tooMuch+"with these metrics and points a window of %v fits", c.cells(), most,
		fitting(func(c cost) bool { return c.cells() <= most }))
}

// turns are for heavy reads, by class.
type turns [Guest + 1]*load.Queue

// newTurns leaves connections for what costs little.
func newTurns(connections int) turns {
	const patience = 2 * timeout
	members := load.NewQueue(max(1, (connections-1)/2), 1, patience)
	if connections < 4 {
		return turns{members, members}
	}
	return turns{members, load.NewQueue(1, 1, patience)}
}
