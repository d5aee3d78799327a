package note

import (
	"context"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"

	schema "github.com/ecovolt/telemetryd/sql"
)

// Pass is when a run came by a place that is noted of it.
type Pass struct {
	Note int64
	At   time.Time
	Lap  *int64 // nil in one that is not over
}

const (
	// mostPlaces is of how many places, the newest, passes are looked for: each takes
	// some tenths of a second in a race of a day.
	mostPlaces = 20
	// passRadius is how far beside the way of the laps a place may lie, m.
	passRadius = 25
	// passesTimeout bounds it all.
	passesTimeout = 10 * time.Second
)

// Passes returns when a run, whose laps are known, came by the places that are noted of
// it, in the order of notes and times; none without laps.
func (n *Notes) Passes(ctx context.Context, id string) (list []Pass, err error) {
	err = schema.Snapshot(ctx, n.reads, passesTimeout, func(tx pgx.Tx) error {
		list, err = schema.List(ctx, tx, pgx.RowToStructByPos[Pass], `
			WITH laps AS MATERIALIZED (SELECT lap, from_time, to_time FROM analytics.laps($1)),
			places AS MATERIALIZED (
				SELECT n.note, n.latitude, n.longitude
				FROM notes n JOIN sessions s USING (session)
				WHERE s.id = $1 AND s.deleted_at IS NULL AND n.latitude IS NOT NULL AND n.from_time IS NULL
				ORDER BY n.note DESC LIMIT $2
			)
			SELECT p.note, x.at, l.lap
			FROM places p
			CROSS JOIN LATERAL analytics.passes($1, p.latitude, p.longitude, $3) x
			LEFT JOIN laps l ON l.from_time <= x.at AND x.at < l.to_time
			ORDER BY p.note, x.at`, id, mostPlaces, passRadius)
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("find passes of noted places: %w", err)
	}
	return list, nil
}
