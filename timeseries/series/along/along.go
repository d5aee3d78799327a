// Package along knows where a vehicle was in rows that do not all say so. It is for
// use by one goroutine.
package along

import "math"

// mostWaiting is up to how many rows wait for one that knows where they were; beyond,
// neighbours are joined.
const mostWaiting = 20_000

// Row is a record, or a bucket of a level, and where the vehicle was.
type Row struct {
	At          float64 // m; NaN where it does not know
	First, Last int64   // µs
	Records     int64
	Metrics     []Sums
}

// Sums is what the records of a row have of a metric.
type Sums struct {
	Min, Max, Sum float64
	Count         int64
}

// Places finds where the vehicle was in rows that come in order of time: not
// every record carries the counter, and where it is missing it is interpolated
// by time. Before the first row that knows it and behind the last one the
// vehicle is taken to stand.
type Places struct {
	Place   func(Row) // takes them
	known   bool
	before  Row   // the newest row that knows where it was
	waiting []Row // those since
}

// Add takes the row that comes next.
func (a *Places) Add(row Row) {
	if math.IsNaN(row.At) {
		if len(a.waiting) == mostWaiting {
			a.thin()
		}
		a.waiting = append(a.waiting, row)
		return
	}
	for _, w := range a.waiting {
		w.At = row.At
		if a.known {
			share := 0.5
			if between := row.First - a.before.First; between > 0 {
				share = float64(w.First-a.before.First) / float64(between)
			}
			w.At = a.before.At + share*(row.At-a.before.At)
		}
		a.Place(w)
	}
	a.Place(row)
	a.known, a.before, a.waiting = true, row, a.waiting[:0]
}

// End places what waits when no more rows come.
func (a *Places) End() {
	for _, w := range a.waiting {
		if w.At = a.before.At; a.known {
			a.Place(w)
		}
	}
}

// thin joins neighbours, since no row may come that knows where they were.
func (a *Places) thin() {
	for i := 0; i+1 < len(a.waiting); i += 2 {
		one, next := a.waiting[i], a.waiting[i+1]
		one.Last = max(one.Last, next.Last)
		one.Records += next.Records
		for m, b := range next.Metrics {
			switch o := &one.Metrics[m]; {
			case o.Count == 0:
				*o = b
			case b.Count > 0:
				*o = Sums{min(o.Min, b.Min), max(o.Max, b.Max), o.Sum + b.Sum, o.Count + b.Count}
			}
		}
		a.waiting[i/2] = one
	}
	a.waiting = a.waiting[:len(a.waiting)/2]
}
