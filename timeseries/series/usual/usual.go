// Package usual is what is known of the usual steps of a run, of all its records and of
// those that carry a channel, and where they are to be looked for. It holds no state and
// is safe for concurrent use.
package usual

import (
	"math"
	"time"

	"github.com/ecovolt/telemetryd/timeseries/rollup"
)

// Channel is a channel that a run has.
type Channel struct {
	Name string `json:"name"`
	// Records is how many records carry it; 0 of a text state in a long run,
	// whose are not counted.
	Records int64   `json:"records,omitempty"`
	Step    float64 `json:"step_s"` // usual step between those, s; 0 when unknown
	Gap     float64 `json:"gap_s"`  // a longer silence is a gap, s
}

// Sample is what is known of how a run's records are sent.
type Sample struct {
	Channels map[string]Channel // those that can be charted and that a record carries, by name
	Step     time.Duration      // the usual one of all records
	Records  int64              // how many the run had when the steps were measured; 0 for never
}

// ResampleAfter is by what share a long run may grow before the steps of its
// channels are measured anew. Sixteen stretches cost as much as the rest of a
// summary, which a run that drives has made every few seconds.
const ResampleAfter = 0.25

// Take notes how many of the run's records carry each metric now. It reports
// false where a metric or, by states, a state is carried that was not known, and
// where a metric is in another share of the records than it was.
func (s *Sample) Take(metrics, states map[string]int64, records int64) bool {
	for name, n := range metrics {
		known, ok := s.Channels[name]
		share := float64(n) * float64(s.Records) / (float64(known.Records) * float64(records))
		switch {
		case n == 0:
			delete(s.Channels, name)
		case !ok || math.Abs(share-1) > ResampleAfter:
			return false
		default:
			known.Records = n
			s.Channels[name] = known
		}
	}
	for name, n := range states {
		if _, ok := s.Channels[name]; n > 0 && !ok {
			return false
		}
	}
	return true
}

// A run of more records than most is sampled for its usual steps, in so many stretches
// over its whole length. A thousand records of a stretch hold a hundred of a channel in
// every tenth.
const (
	most   = 16_000
	pieces = 16
)

// Stretches says where to look in a run of so many records, the oldest of which that are
// still there begin the span, and how many records of each to read: everywhere in a short
// run.
func Stretches(span rollup.Span, records int64) (list []rollup.Span, limit int) {
	if span.Empty() {
		return nil, most
	}
	if records <= most {
		return []rollup.Span{span}, most
	}
	slot := span.Length() / pieces
	// Four times as long as the records of a stretch take on average, so that no
	// query sorts much more than it answers.
	length := min(slot, time.Duration(4*float64(span.Length())/float64(records)*most/pieces))
	list = make([]rollup.Span, pieces)
	for i := range list {
		from := span.From.Add(time.Duration(i) * slot)
		list[i] = rollup.Span{From: from, To: from.Add(max(length, time.Microsecond))}
	}
	return list, most / pieces
}

// KnownSteps is a map of usual steps by channel, in s, as the summary m of a run s has
// them; NULL where the run has more than doubled since. It is an expression in SQL, $2
// the channels' names.
const KnownSteps = `CASE WHEN m.channels IS NOT NULL AND s.records <= 2 * m.records THEN
		           (SELECT coalesce(jsonb_object_agg(name, (m.channels -> name -> 'step_s')), '{}')
		            FROM unnest($2::text[]) name WHERE m.channels ? name)
		       END`
