package merge

import (
	"slices"

	"github.com/ecovolt/telemetryd/timeseries/record"
)

// pair is a record that is in both.
type pair struct {
	logger int // place in the file's order of time
	stored record.Cursor
}

// pairs finds the records of the logger that are stored already: those at the
// very same time, one for one, and then those that are each other's nearest and
// no more than within apart, µs. Both lists are in order of time.
func pairs(stored []record.Cursor, logger []int64, within int64) []pair {
	var found []pair
	freeStored, freeLogger := make([]int, 0, len(stored)), make([]int, 0, len(logger))
	i, j := 0, 0
	for i < len(stored) && j < len(logger) {
		switch at := stored[i].Micros; {
		case at < logger[j]:
			freeStored = append(freeStored, i)
			i++
		case at > logger[j]:
			freeLogger = append(freeLogger, j)
			j++
		default:
			found = append(found, pair{j, stored[i]})
			i, j = i+1, j+1
		}
	}
	for ; i < len(stored); i++ {
		freeStored = append(freeStored, i)
	}
	for ; j < len(logger); j++ {
		freeLogger = append(freeLogger, j)
	}
	atStored := func(i int) int64 { return stored[freeStored[i]].Micros }
	atLogger := func(j int) int64 { return logger[freeLogger[j]] }
	toLogger := nearest(len(freeStored), len(freeLogger), atStored, atLogger)
	toStored := nearest(len(freeLogger), len(freeStored), atLogger, atStored)
	for i, j := range toLogger {
		if j >= 0 && toStored[j] == i && distance(atStored(i), atLogger(j)) <= within {
			found = append(found, pair{freeLogger[j], stored[freeStored[i]]})
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

func distance(a, b int64) int64 { return max(a-b, b-a) }
