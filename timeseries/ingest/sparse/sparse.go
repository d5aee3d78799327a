// Package sparse keeps batches out that would cut the hypertable into a great
// many chunks that hold next to nothing. A chunk is a day, takes longer to make
// than thousands of records to store, and every plan that has no time to go by
// names it. Functions are stateless.
package sparse

import (
	"context"
	"fmt"
	"iter"
	"slices"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/ecovolt/telemetryd/internal/fault"
	schema "github.com/ecovolt/telemetryd/sql"
)

const (
	// mostDays is how many days with few records a run may begin at once.
	mostDays = 40
	// fewRecords are worth no chunk.
	fewRecords = 100
	// named is how many of the days a refusal names.
	named = 10

	day = 24 * time.Hour
)

// Wide reports whether records between those times, in µs since 1970, may begin
// more days than Check permits.
func Wide(first, last int64) bool {
	return last-first > ((mostDays - 1) * day).Microseconds()
}

// Check returns an Invalid fault that names the days if records of these times,
// in µs since 1970, are the first ones of more than 40 days (UTC) with fewer than
// 100 records each.
func Check(ctx context.Context, tx pgx.Tx, times iter.Seq[int64]) error {
	counts := map[int64]int{}
	for t := range times {
		counts[time.UnixMicro(t).Truncate(day).Unix()]++
	}
	var days []time.Time
	for start, n := range counts {
		if n < fewRecords {
			days = append(days, time.Unix(start, 0).UTC())
		}
	}
	if len(days) <= mostDays {
		return nil
	}
	slices.SortFunc(days, time.Time.Compare)
	fresh, err := schema.List(ctx, tx, pgx.RowTo[time.Time], `
		SELECT d.day
		FROM unnest($1::timestamptz[]) d (day)
		WHERE NOT EXISTS (
			SELECT FROM timescaledb_information.chunks c
			WHERE c.hypertable_name = 'telemetry' AND c.hypertable_schema = current_schema()
			  AND c.range_start <= d.day AND c.range_end > d.day)
		ORDER BY 1`, days)
	if err != nil {
		return fmt.Errorf("look for days with records: %w", err)
	}
	if len(fresh) <= mostDays {
		return nil
	}
	var list []string
	for _, d := range fresh[:min(named, len(fresh))] {
		list = append(list, d.UTC().Format(time.DateOnly))
	}
	if more := len(fresh) - len(list); more > 0 {
		list = append(list, fmt.Sprintf("and %d more", more))
	}
	return fault.Field("timestamp", "the records lie on %d days of which no run has any yet, fewer than %d on each; at most %d such days are taken at once: %s",
		len(fresh), fewRecords, mostDays, strings.Join(list, ", "))
}
