package chaos

import (
	"context"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/ecovolt/telemetryd/internal/retry"
	"github.com/ecovolt/telemetryd/timeseries"
)

// stored lists the ids of a session's records in the order of their arrival.
func (r *run) stored(ctx context.Context, session string) ([]string, error) {
	conn, err := pgx.Connect(ctx, r.url)
	if err != nil {
		return nil, err
	}
	defer conn.Close(ctx)
	rows, err := conn.Query(ctx, `
		SELECT format('%s.%s.%s', t.session, t.batch, t.ord)
		FROM telemetry t
		JOIN sessions s USING (session)
		WHERE s.id = $1
		ORDER BY t.batch, t.ord`, session)
	if err != nil {
		return nil, err
	}
	return pgx.CollectRows(rows, pgx.RowTo[string])
}

// count holds what is there against what was sent.
func (r *run) count(ctx context.Context, diaries []*diary) error {
	pool, err := pgxpool.New(ctx, r.url)
	if err != nil {
		return err
	}
	defer pool.Close()
	// How often each record of a session is there.
	there := map[string]map[int]int{}
	rows, err := pool.Query(ctx, `
		SELECT s.id, t.message_id, count(*)
		FROM telemetry t
		JOIN sessions s USING (session)
		GROUP BY 1, 2`)
	if err != nil {
		return err
	}
	var session string
	var id, n int
	if _, err := pgx.ForEachRow(rows, []any{&session, &id, &n}, func() error {
		if there[session] == nil {
			there[session] = map[int]int{}
		}
		there[session][id] = n
		r.report.Doubled += n - 1
		return nil
	}); err != nil {
		return err
	}
	for _, b := range r.batches {
		found := 0
		for i := b.from; i < b.to; i++ {
			found += min(1, there[b.session][i])
		}
		switch {
		case b.acknowledged:
			r.report.Acknowledged += b.to - b.from
			r.report.Lost += b.to - b.from - found
		case found != 0 && found != b.to-b.from:
			r.report.Torn++
		}
	}
	for _, d := range diaries {
		want, err := r.stored(ctx, d.session)
		if err != nil {
			return err
		}
		r.report.Unseen += d.missed(want)
	}
	return r.charts(ctx, pool)
}

// charts brings the rollups up to date and holds them against the records.
func (r *run) charts(ctx context.Context, pool *pgxpool.Pool) error {
	rollups := timeseries.New(pool, timeseries.Options{}).Rollups
	for {
		result, err := rollups.Refresh(ctx)
		if err != nil {
			return fmt.Errorf("bring the rollups up to date: %w", err)
		}
		if !result.More && !result.Busy {
			break
		}
		// One of the daemons is at it, or one that died: its lease has to run out.
		if err := retry.Pause(ctx, 100*time.Millisecond); err != nil {
			return err
		}
	}
	catalog, err := rollups.Catalog(ctx, pool)
	if err != nil {
		return err
	}
	return pool.QueryRow(ctx, `
		SELECT count(*)
		FROM (
			SELECT session, time_bucket('1 minute', time) AS bucket, count(*) AS records, min(speed_ms) AS low, max(speed_ms) AS high
			FROM telemetry
			GROUP BY 1, 2) r
		FULL JOIN `+catalog.Tables["telemetry_1m"]+` l USING (session, bucket)
		WHERE (r.records, r.low, r.high) IS DISTINCT FROM (l.records, l.speed_ms_min, l.speed_ms_max)`).Scan(&r.report.Charts)
}
