package merge

import (
	"cmp"
	"slices"

	"github.com/ecovolt/telemetryd/timeseries/record"
)

// pair is a record that is in both.
type pair struct {
	logger int // place in the file's order of time
	stored int // place among the times
}

// pairs finds the records of the logger that are stored already: those at the
// very same time, one for one, and then those that are each other's nearest and
// no more than within apart, µs. Both lists are in order of time.
func pairs(stored, logger []int64, within int64) []pair {
	var found []pair
	freeStored, freeLogger := make([]int, 0, len(stored)), make([]int, 0, len(logger))
	i, j := 0, 0
	for i < len(stored) && j < len(logger) {
		switch at := stored[i]; {
		case at < logger[j]:
			freeStored = append(freeStored, i)
			i++
		case at > logger[j]:
			freeLogger = append(freeLogger, j)
			j++
		default:
			found = append(found, pair{j, i})
			i, j = i+1, j+1
		}
	}
	for ; i < len(stored); i++ {
		freeStored = append(freeStored, i)
	}
	for ; j < len(logger); j++ {
		freeLogger = append(freeLogger, j)
	}
	atStored := func(i int) int64 { return stored[freeStored[i]] }
	atLogger := func(j int) int64 { return logger[freeLogger[j]] }
	toLogger := nearest(len(freeStored), len(freeLogger), atStored, atLogger)
	toStored := nearest(len(freeLogger), len(freeStored), atLogger, atStored)
	for i, j := range toLogger {
		if j >= 0 && toStored[j] == i && distance(atStored(i), atLogger(j)) <= within {
			found = append(found, pair{freeLogger[j], freeStored[i]})
		}
	}
	slices.SortFunc(found, func(a, b pair) int { return a.logger - b.logger })
	return found
}

// nearest finds for each of n times the nearest of m others, or -1; the last of
// those that are equally near.
func nearest(n, m int, at, other func(int) int64) []int {
	list := make([]int, n)
	j := 0
	for i := range n {
		list[i] = -1
		if m == 0 {
			continue
		}
		for j+1 < m && distance(at(i), other(j+1)) <= distance(at(i), other(j)) {
			j++
		}
		list[i] = j
	}
	return list
}

// burst is how many records a radio sends with one time, as a rule: more than one
// where its clock is coarse. A time has fewer for what was lost, and one more or
// less where records stand at the edge of two: so it is what 7 of 10 times do not
// exceed.
func burst(times []int64) int {
	var counts []int
	for i := range times {
		if i == 0 || times[i] != times[i-1] {
			counts = append(counts, 0)
		}
		counts[len(counts)-1]++
	}
	if slices.Sort(counts); len(counts) == 0 || counts[len(counts)/2] == 1 {
		return 1
	}
	return counts[len(counts)*7/10]
}

// spread returns when stored records were, in order, and their places. Those that a
// coarse clock gave one time came one after the other, until its next one; merged
// are batches of other clocks.
func spread(stored []record.Cursor, merged []int32, step int64, coarse bool) (times []int64, places []int) {
	times, places = make([]int64, len(stored)), make([]int, len(stored))
	var same []int // at one time
	flush := func(next int64) {
		for k, i := range same {
			times[i] += int64(k) * min(step, next-times[same[0]]) / int64(len(same))
		}
		same = same[:0]
	}
	for i, at := range stored {
		times[i], places[i] = at.Micros, i
		if !coarse || slices.Contains(merged, at.Batch) {
			continue
		}
		if len(same) > 0 && stored[same[0]].Micros != at.Micros {
			flush(at.Micros)
		}
		same = append(same, i)
	}
	if len(same) > 0 {
		flush(stored[same[0]].Micros + step)
	}
	slices.SortStableFunc(places, func(i, j int) int { return cmp.Compare(times[i], times[j]) })
	slices.Sort(times)
	return times, places
}

func distance(a, b int64) int64 { return max(a-b, b-a) }
