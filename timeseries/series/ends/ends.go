// Package ends looks for the first and the last record of stretches of a run that has
// a channel. A Search is for use by one goroutine.
package ends

import (
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/ecovolt/telemetryd/timeseries/channel"
	"github.com/ecovolt/telemetryd/timeseries/record"
)

// Sample is one value of a channel.
type Sample struct {
	Time  int64 // µs since 1970
	Value float64
}

// Search is for many pairs of stretches at once.
type Search struct {
	bounds    [4][]time.Time
	low, high int64 // of all
}

// Add asks for the first record in [firstLow, firstHigh) and the last one in
// [lastLow, lastHigh), in µs since 1970.
func (s *Search) Add(firstLow, firstHigh, lastLow, lastHigh int64) {
	if len(s.bounds[0]) == 0 {
		s.low, s.high = firstLow, lastHigh
	}
	s.low, s.high = min(s.low, firstLow, lastLow), max(s.high, firstHigh, lastHigh)
	for k, t := range [4]int64{firstLow, firstHigh, lastLow, lastHigh} {
		s.bounds[k] = append(s.bounds[k], time.UnixMicro(t))
	}
}

// Queue adds the query to the batch. The pair that was added as number k, from 0, goes
// to found, if both are there.
func (s *Search) Queue(batch *pgx.Batch, session int32, c channel.Channel, found func(k int, first, last Sample)) {
	batch.Queue(fmt.Sprintf(`
		SELECT c.i, f.time, f.value, l.time, l.value
		FROM unnest($2::timestamptz[], $3::timestamptz[], $4::timestamptz[], $5::timestamptz[])
			WITH ORDINALITY c (first_low, first_high, last_low, last_high, i)
		CROSS JOIN LATERAL (
			SELECT time, %[1]s AS value FROM telemetry
			WHERE session = $1 AND time >= c.first_low AND time < c.first_high AND time >= $6 AND time < $7 AND %[1]s IS NOT NULL
			ORDER BY time, batch, ord LIMIT 1
		) f
		CROSS JOIN LATERAL (
			SELECT time, %[1]s AS value FROM telemetry
			WHERE session = $1 AND time >= c.last_low AND time < c.last_high AND time >= $6 AND time < $7 AND %[1]s IS NOT NULL
			ORDER BY time DESC, batch DESC, ord DESC LIMIT 1
		) l`, c.SQL()), session, s.bounds[0], s.bounds[1], s.bounds[2], s.bounds[3], time.UnixMicro(s.low), time.UnixMicro(s.high)).
		Query(func(rows pgx.Rows) error {
			return record.ReadColumns(rows, func(r *record.Columns) {
				k := int(r.Int()) - 1
				first := Sample{r.Micros(), r.Float()}
				found(k, first, Sample{r.Micros(), r.Float()})
			})
		})
}
