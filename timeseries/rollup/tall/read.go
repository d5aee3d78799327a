package tall

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"

	schema "github.com/ecovolt/telemetryd/sql"
	"github.com/ecovolt/telemetryd/timeseries/rollup"
)

// Known is what the levels have of a run.
type Known struct {
	// Slots are the places of members in the levels; those that are not among them
	// have none.
	Slots map[string]int16
	// Behind are the ranges of time that the levels do not show yet.
	Behind []rollup.Span
}

// Queue asks in a batch for what the levels have of these members of runs. It returns
// what the answers, which are read with the batch, fill in by the runs' ids.
func Queue(batch *pgx.Batch, ids, members []string) map[string]*Known {
	known := map[string]*Known{}
	// Of one that was changed otherwise than by its newest batches nothing is known.
	batch.Queue(`
		SELECT s.id, m.member, m.slot
		FROM sessions s
		JOIN member_level_progress p ON p.session = s.session AND p.rewritten = s.rewritten
		JOIN level_members m ON m.session = s.session AND m.member = ANY($2)
		WHERE s.id = ANY($1) AND s.deleted_at IS NULL
		  AND NOT EXISTS (
			SELECT FROM ingest_batches b
			WHERE b.session = s.session AND b.batch > p.changed AND b.changed > 0)`, ids, members).Query(func(rows pgx.Rows) error {
		var id, member string
		var slot int16
		_, err := pgx.ForEachRow(rows, []any{&id, &member, &slot}, func() error {
			if known[id] == nil {
				known[id] = &Known{Slots: map[string]int16{}}
			}
			known[id].Slots[member] = slot
			return nil
		})
		return err
	})
	batch.Queue(`
		SELECT s.id, b.min_time, b.max_time
		FROM sessions s
		JOIN member_level_progress p USING (session)
		JOIN ingest_batches b ON b.session = s.session AND b.batch > p.batch
		WHERE s.id = ANY($1) AND s.deleted_at IS NULL AND b.min_time IS NOT NULL AND b.members IS DISTINCT FROM false`, ids).Query(func(rows pgx.Rows) error {
		var id string
		var from, to time.Time
		_, err := pgx.ForEachRow(rows, []any{&id, &from, &to}, func() error {
			if k := known[id]; k != nil {
				k.Behind = append(k.Behind, rollup.Span{From: from.UTC(), To: to.Add(time.Microsecond).UTC()})
			}
			return nil
		})
		return err
	})
	return known
}

// Members returns the members of a run that have levels, by its id. Of one that is
// not followed yet those are too few.
func Members(ctx context.Context, q schema.Querier, id string) (map[string]bool, error) {
	list, err := schema.List(ctx, q, pgx.RowTo[string], `
		SELECT m.member
		FROM level_members m JOIN sessions s USING (session)
		WHERE s.id = $1 AND s.deleted_at IS NULL`, schema.Storable(id))
	if err != nil {
		return nil, fmt.Errorf("read which members have levels: %w", err)
	}
	members := make(map[string]bool, len(list))
	for _, m := range list {
		members[m] = true
	}
	return members, nil
}

// Has reports whether there is a level of that width.
func Has(width time.Duration) bool { return slices.Contains(widths, width) }

// Column is a member as a column of a level.
type Column struct {
	Name string
	Slot int16
}

// Relation is a level as a relation with the columns that the rollups have of a
// channel: session, bucket, first_time, last_time, and NAME_min, NAME_max, NAME_sum and
// NAME_count of each.
func Relation(width time.Duration, columns []Column) string {
	var list strings.Builder
	var slots []string
	for _, c := range columns {
		slots = append(slots, fmt.Sprint(c.Slot))
		fmt.Fprintf(&list, `,
			min(low) FILTER (WHERE slot = %[1]d) AS %[2]s_min, max(high) FILTER (WHERE slot = %[1]d) AS %[2]s_max,
			sum(sum) FILTER (WHERE slot = %[1]d) AS %[2]s_sum, coalesce(sum(count) FILTER (WHERE slot = %[1]d), 0) AS %[2]s_count`, c.Slot, c.Name)
	}
	return fmt.Sprintf(`(
		SELECT session, bucket, 0 AS records, min(first_time) AS first_time, max(last_time) AS last_time%s
		FROM member_levels
		WHERE width = %d AND slot IN (%s)
		GROUP BY session, bucket) levels`, list.String(), int(width.Seconds()), strings.Join(slots, ", "))
}
