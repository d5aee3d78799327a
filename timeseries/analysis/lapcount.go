package analysis

import (
	"math"
	"strings"

	"github.com/ecovolt/telemetryd/timeseries/channel"
)

// lapCounters are members of records that count laps, as cars and loggers spell them,
// by the number that they have in the first lap.
var lapCounters = []struct {
	member string
	first  int
}{
	{"lap", 1}, {"Lap", 1}, {"LAP", 1}, {"lap_number", 1}, {"Lap Number", 1}, {"LapNumber", 1}, {"lapNumber", 1},
	{"lap_count", 0}, {"Lap Count", 0}, {"LapCount", 0}, {"lapCount", 0},
}

// lapNumber is in which lap a record says that the car is, from 1; 0 is before the
// first. It is an expression over a row of telemetry.
var lapNumber = func() string {
	var names, values []string
	for _, c := range lapCounters {
		names = append(names, channel.Literal(c.member))
		value := (&channel.Channel{Member: c.member}).SQL()
		if c.first == 0 {
			value += " + 1"
		}
		values = append(values, value)
	}
	return "CASE WHEN numbers IS NOT NULL OR extra ?| ARRAY[" + strings.Join(names, ", ") + "] THEN coalesce(" + strings.Join(values, ", ") + ") END"
}()

// mostCounted bounds a number of a lap.
const mostCounted = 100_000

// lapCount follows a counter of laps.
type lapCount struct {
	Known  bool  `json:"known"`
	Number int64 `json:"number"`
	At     int64 `json:"at"` // of the newest record that carries it, µs since 1970
}

// counted is a change of the counter, between two records.
type counted struct {
	At, After int64 // µs since 1970
	Number    int64
}

// add takes what a record says; it appends a change.
func (c *lapCount) add(dst []counted, at int64, number float64) []counted {
	if !(number >= 0 && number <= mostCounted) || number != math.Trunc(number) {
		return dst
	}
	n, after := int64(number), c.At
	if !c.Known {
		after = at
	}
	if changed := !c.Known || n != c.Number; changed {
		dst = append(dst, counted{at, after, n})
	}
	c.Known, c.Number, c.At = true, n, at
	return dst
}

// atStart is within which time of its first record a run carries the counter from the
// start, µs.
const atStart = 5_000_000

// countedLaps are the laps of a run by its counter: from one step of 1 to the next. The
// first one begins where the run first moves. What was counted while nothing was heard
// is no lap: nobody knows when it began.
func (r *run) countedLaps() []lap {
	var list []lap
	var begin *crossing
	for i, c := range r.Counted {
		here := crossing{At: float64(c.At), Error: float64(c.At-c.After) / 1e6 / math.Sqrt(12)}
		step := i > 0 && c.Number == r.Counted[i-1].Number+1
		if step && begin != nil && here.At > begin.At { // it may have moved later
			one := r.legs([]crossing{*begin, here}, 0)[0]
			list = append(list, lap{leg: one})
		}
		switch {
		case step && c.Number >= 1:
			begin = &here
		case i == 0 && c.Number == 1 && c.At-r.First <= atStart:
			if begin = &here; r.Moved != nil && r.Moved.At > c.At {
				begin.At = float64(r.Moved.At)
			}
		default:
			begin = nil
		}
	}
	return list
}
