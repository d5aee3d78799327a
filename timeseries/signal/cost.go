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
		cells := each * r.among(req)
		if total += cells; total <= most {
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
	longest := time.Duration(float64(runs[0].window.Length()) * float64(most) / float64(each*runs[0].among(req)))
	return 0, fault.Field("to", tooMuch+"of these channels a window of %v fits", total, most, longest.Truncate(time.Second))
}

// among guesses how many of the run's records are looked at.
func (r *run) among(req *Request) int {
	length := r.window.Length()
	if len(req.Laps) > 0 {
		length = 0
		for _, l := range req.Laps {
			length += max(0, l.Clip(r.all).Length())
		}
	}
	if r.all.Empty() || length <= 0 {
		return 0
	}
	return int(math.Ceil(float64(r.records) * float64(length) / float64(r.all.Length())))
}
