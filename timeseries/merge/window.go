package merge

import (
	"fmt"
	"slices"
	"time"

	"github.com/ecovolt/telemetryd/internal/fault"
	"github.com/ecovolt/telemetryd/timeseries/decode"
	"github.com/ecovolt/telemetryd/timeseries/ingest/cluster"
	"github.com/ecovolt/telemetryd/timeseries/record"
)

// window is records of the file in order of time.
type window struct {
	times  []int64 // µs
	places []int32 // in the file
}

// Len, Less and Swap sort by time.
func (w window) Len() int           { return len(w.times) }
func (w window) Less(i, j int) bool { return w.times[i] < w.times[j] }
func (w window) Swap(i, j int) {
	w.times[i], w.times[j] = w.times[j], w.times[i]
	w.places[i], w.places[j] = w.places[j], w.places[i]
}

func (w window) part(i, j int) window { return window{w.times[i:j], w.places[i:j]} }
func (w window) from() time.Time      { return time.UnixMicro(w.times[0]) }
func (w window) to() time.Time        { return time.UnixMicro(w.times[len(w.times)-1]) }

// largest is the cluster that has most of times, which are in order.
func largest(times []int64) (most cluster.Cluster) {
	for _, c := range cluster.Fresh(times, false) {
		if c.Fresh > most.Fresh {
			most = c
		}
	}
	return most
}

// leaveOutStrays leaves all clusters of the file out but the largest. A logger
// whose clock is set late begins with records of 1980; laid over the run as they
// are, they would make of the drive a single cell of the grid.
func (w *work) leaveOutStrays() {
	drive := largest(w.file.times)
	i, _ := slices.BinarySearch(w.file.times, drive.From)
	j := i + drive.Fresh
	for _, part := range []window{w.file.part(0, i), w.file.part(j, len(w.file.times))} {
		w.leaveOut(part, func(int64) record.Oddity { return record.Stray }, func(int64) string { return "is more than 7 days from most of the file's records" })
	}
	w.file = w.file.part(i, j)
}

// move lays the file over the run, but for records whose time then cannot be right. An offset is refused that most records are moved by to such a time,
// or that puts all of them more than 7 days from the run's.
func (w *work) move(offset int64) error {
	now := time.Now()
	oddity := func(at int64) record.Oddity { return decode.Oddity(at+offset, now) }
	odd := func(i int) record.Oddity { return oddity(w.file.times[i]) }
	n := len(w.file.times)
	if why := odd(n / 2); why != "" {
		return fault.Field("offset", "would put the file's records from %s to %s, which cannot be right: %s",
			moved(w.file.times[0], offset), moved(w.file.times[n-1], offset), why)
	}
	i, j := 0, n
	for odd(i) != "" {
		i++
	}
	for odd(j-1) != "" {
		j--
	}
	for _, part := range []window{w.file.part(0, i), w.file.part(j, n)} {
		w.leaveOut(part, oddity, func(at int64) string {
			return fmt.Sprintf("would be at %s, which cannot be right: %s", moved(at, offset), oddity(at))
		})
	}
	w.file = w.file.part(i, j)
	w.logger = window{slices.Clone(w.file.times), w.file.places}
	for i := range w.logger.times {
		w.logger.times[i] += offset
	}
	from, to := w.logger.times[0], w.logger.times[j-i-1]
	k, _ := slices.BinarySearchFunc(w.stored, from-cluster.Apart, func(at record.Cursor, t int64) int { return int(max(-1, min(1, at.Micros-t))) })
	if k == len(w.stored) || w.stored[k].Micros > to+cluster.Apart {
		return fault.Field("offset", "would put the file's records from %s to %s, more than 7 days from the run's", moved(from, 0), moved(to, 0))
	}
	return nil
}

func moved(micros, offset int64) string { return record.FormatTime(time.UnixMicro(micros + offset)) }

// leaveOut counts records as not merged since their time cannot be right, and
// names them.
func (w *work) leaveOut(part window, oddity func(micros int64) record.Oddity, why func(micros int64) string) {
	w.report.Odd += len(part.times)
	for i, at := range part.times {
		w.odd = append(w.odd, misplaced{part.places[i], oddity(at)})
		w.problem(int(part.places[i]), "%q %s", moved(at, 0), why(at))
	}
}

// problem names a record that is not merged.
func (w *work) problem(place int, format string, args ...any) {
	if len(w.report.Problems) < decode.MaxProblems {
		w.report.Problems = append(w.report.Problems, fault.Problem{Index: &place, Line: int(w.lines[place]), Field: "timestamp", Reason: fmt.Sprintf(format, args...)})
	}
}
