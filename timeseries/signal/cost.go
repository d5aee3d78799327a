package signal

import (
	"math"
	"time"

	"github.com/ecovolt/telemetryd/internal/fault"
	"github.com/ecovolt/telemetryd/timeseries/record/walk"
	"github.com/ecovolt/telemetryd/timeseries/series"
)

// A read costs cells: the values that the database goes over, and what it takes to
// group a record. See package series for what one costs.
const (
	// groupCells is the search for a record's cell, and its group.
	groupCells = 3
	// memberCells is a member of a record that has no column, or an input of a formula.
	memberCells = 4
	// heavyCells is what a read costs that takes turns with others of its kind.
	heavyCells = 1_000_000
)

// mostCells bounds a read by its class.
var mostCells = [...]int{series.Member: 50_000_000, series.Guest: 10_000_000}

// cost returns what a read costs, or what would fit where that is too much.
func (req *Request) cost(want wanted, runs []run) (int, error) {
	each := groupCells
	for _, c := range want.all() {
		switch {
		case c.Formula != nil:
			each += memberCells * max(1, len(c.Formula.Inputs))
		case c.HasColumn():
			each++
		default:
			each += memberCells
		}
	}
	if want.walked() {
		each = mostCells[series.Member] / walk.Most
	}
	total, fits := 0, 0
	most := mostCells[req.Class]
	for _, r := range runs {
		if total += r.cells(each); total <= most {
			fits++
		}
	}
	const tooMuch = "this read goes over about %d values, and may over %d: "
	switch {
	case total <= most:
		return total, nil
	case len(runs) > 1 && fits > 0:
		return 0, fault.Field("also", tooMuch+"the first %d of these runs fit", total, most, fits)
	case len(req.Laps) > 0:
		return 0, fault.Field("laps", tooMuch+"about %d of these laps fit", total, most, max(1, len(req.Laps)*most/total))
	}
	longest := time.Duration(float64(runs[0].window.Length()) * float64(most) / float64(runs[0].cells(each)))
	return 0, fault.Field("to", tooMuch+"of these channels a window of %v fits", total, most, longest.Truncate(time.Second))
}

// cells is what the run's part costs at so many for a record that is looked at. Of those of the
// window that are not, the time alone is, twice: for the extents and for the counts.
func (r *run) cells(each int) int {
	all := r.within(r.window.Length())
	if r.spans == nil {
		return each * all
	}
	length := time.Duration(0)
	for _, s := range r.spans {
		length += s.Length()
	}
	return each*r.within(length) + 2*all
}

// within guesses how many records the run has in that long.
func (r *run) within(length time.Duration) int {
	if r.all.Empty() || length <= 0 {
		return 0
	}
	return int(math.Ceil(float64(r.records) * float64(length) / float64(r.all.Length())))
}
