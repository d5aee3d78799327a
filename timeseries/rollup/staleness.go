package rollup

import (
	"context"
	"fmt"
	"time"
)

// Staleness returns for how long the oldest batch that the rollups lack has
// been stored. It is zero when they have everything. What they lack is read from
// the records: charts are exact meanwhile, and slower.
func (r *Rollups) Staleness(ctx context.Context) (time.Duration, error) {
	conn, err := r.pool.Acquire(ctx)
	if err != nil {
		return 0, fmt.Errorf("how stale rollups are: %w", err)
	}
	defer conn.Release()
	cat, err := r.Catalog(ctx, conn)
	if err != nil || !cat.Stored() {
		return 0, err
	}
	var age time.Duration
	err = conn.QueryRow(ctx, `
		SELECT coalesce(max(clock_timestamp() - b.received_at), INTERVAL '0')
		FROM sessions s
		LEFT JOIN rollup_progress p USING (session)
		JOIN ingest_batches b ON b.session = s.session AND b.batch = coalesce(p.batch, 0) + 1
		WHERE s.deleted_at IS NULL AND s.batch > coalesce(p.batch, 0)`).Scan(&age)
	if err != nil {
		return 0, fmt.Errorf("how stale rollups are: %w", err)
	}
	return max(age, 0), nil
}
