// Package usual says where usual steps, of the records of a run and of those that carry
// a channel, are known or to be looked for. It holds no state and is safe for concurrent
// use.
package usual

import (
	"time"

	"github.com/ecovolt/telemetryd/timeseries/rollup"
)

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
// them; NULL where the run has more than doubled since. It is an expression in SQL,
// names the parameter with the channels'.
func KnownSteps(names string) string {
	return `CASE WHEN m.channels IS NOT NULL AND s.records <= 2 * m.records THEN
		           (SELECT coalesce(jsonb_object_agg(name, (m.channels -> name -> 'step_s')), '{}')
		            FROM unnest(` + names + `::text[]) name WHERE m.channels ? name)
		       END`
}
