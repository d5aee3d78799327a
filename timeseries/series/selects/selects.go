// Package selects writes what queries select of channels, of the records and of rollup
// levels. It holds no state and is safe for concurrent use.
package selects

import (
	"fmt"
	"strings"

	"github.com/ecovolt/telemetryd/timeseries/channel"
)

// Aggregates returns the select list that every read of buckets has, behind the
// bucket: the records, then minimum, maximum, sum and count of each metric.
func Aggregates(raw bool, metrics []channel.Channel) string {
	var b strings.Builder
	if raw {
		b.WriteString("count(*)")
		for _, f := range metrics {
			fmt.Fprintf(&b, ", min(%[1]s), max(%[1]s), sum(%[1]s), count(%[1]s)", f.SQL())
		}
		return b.String()
	}
	// The sum of bigint is a numeric, which costs as much as the rest together. No
	// bucket of a level has more records than an int holds.
	b.WriteString("sum(records::int)")
	for _, f := range metrics {
		fmt.Fprintf(&b, ", min(%[1]s_min), max(%[1]s_max), sum(%[1]s_sum), sum(%[1]s_count::int)", f.Name)
	}
	return b.String()
}

// AggregatesWithEnds is Aggregates, and for each metric between which times
// the records that have it lie: exactly in the records, up to a bucket in
// rollups.
func AggregatesWithEnds(raw bool, metrics []channel.Channel) string {
	var b strings.Builder
	b.WriteString(Aggregates(raw, metrics))
	for _, f := range metrics {
		if raw {
			fmt.Fprintf(&b, ", min(time) FILTER (WHERE %[1]s IS NOT NULL), max(time) FILTER (WHERE %[1]s IS NOT NULL)", f.SQL())
		} else {
			fmt.Fprintf(&b, ", min(first_time) FILTER (WHERE %[1]s_count > 0), max(last_time) FILTER (WHERE %[1]s_count > 0)", f.Name)
		}
	}
	return b.String()
}

// Stored returns what a level has of metrics, as double precisions: the records, then
// minimum, maximum, sum and count of each.
func Stored(metrics []channel.Channel) []string {
	columns := []string{"records::float8"}
	for _, f := range metrics {
		columns = append(columns, f.Name+"_min", f.Name+"_max", f.Name+"_sum", f.Name+"_count::float8")
	}
	return columns
}

// Of lists the channels, a comma before each.
func Of(metrics []channel.Channel) string {
	var names strings.Builder
	for _, f := range metrics {
		names.WriteString(", " + f.SQL())
	}
	return names.String()
}

// Distance returns the expression for the metres since the start.
func Distance(raw bool) string {
	if raw {
		return "coalesce(distance_m, route_distance_km * 1000)"
	}
	return "coalesce(distance_m_max, route_distance_km_max * 1000)"
}
