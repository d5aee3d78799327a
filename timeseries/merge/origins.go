package merge

import (
	"context"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/ecovolt/telemetryd/internal/fault"
)

// Origins say where a run's records came from, for a chart: how many of each
// source lie in each column of time. The sources are those of the commit log
// (function, rest, import, merge, ...); "filled" counts records of other sources
// that a merge gave further values.
type Origins struct {
	From    time.Time        `json:"from"`
	Step    float64          `json:"step_s"` // width of a column
	Records map[string][]int `json:"records"`
}

// Origins counts a run's records by their source, in that many columns from its
// first record to its last. It returns NotFound where there is no such run.
func (m *Merger) Origins(ctx context.Context, id string, columns int) (Origins, error) {
	o := Origins{Records: map[string][]int{}}
	var session int32
	var from, to *time.Time
	err := m.Writer.Pool.QueryRow(ctx, `
		SELECT session, first_time, last_time
		FROM sessions
		WHERE id = $1 AND deleted_at IS NULL`, id).Scan(&session, &from, &to)
	if err == pgx.ErrNoRows {
		return o, fault.NoSession(id)
	}
	if err != nil {
		return o, fmt.Errorf("find session: %w", err)
	}
	if from == nil {
		return o, nil
	}
	width := max(time.Millisecond, to.Sub(*from)/time.Duration(columns)+time.Microsecond)
	o.From, o.Step = from.UTC(), width.Seconds()
	rows, err := m.Writer.Pool.Query(ctx, `
		SELECT source, floor(extract(epoch FROM time - $2::timestamptz) / $4::float8)::int AS place, count(*)
		FROM (
			SELECT t.time, b.source
			FROM telemetry t
			JOIN ingest_batches b ON b.session = t.session AND b.batch = t.batch
			WHERE t.session = $1 AND t.time >= $2 AND t.time <= $3
			UNION ALL
			SELECT t.time, 'filled'
			FROM telemetry t
			JOIN (SELECT DISTINCT of_batch, of_ord FROM merge_fills WHERE session = $1) l ON l.of_batch = t.batch AND l.of_ord = t.ord
			WHERE t.session = $1 AND t.time >= $2 AND t.time <= $3
		) one
		GROUP BY 1, 2`, session, from, to, width.Seconds())
	if err != nil {
		return o, fmt.Errorf("count records by source: %w", err)
	}
	var source string
	var place, records int
	_, err = pgx.ForEachRow(rows, []any{&source, &place, &records}, func() error {
		if o.Records[source] == nil {
			o.Records[source] = make([]int, columns)
		}
		o.Records[source][min(place, columns-1)] += records
		return nil
	})
	if err != nil {
		return o, fmt.Errorf("count records by source: %w", err)
	}
	return o, nil
}
