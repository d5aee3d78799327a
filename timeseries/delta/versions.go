package delta

import (
	"context"
	"fmt"
	"strings"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	schema "github.com/ecovolt/telemetryd/sql"
	"github.com/ecovolt/telemetryd/timeseries/places"
)

// Reader reads versions and deltas.
type Reader struct {
	pool   *pgxpool.Pool
	places places.Places
}

// New makes a Reader on a migrated database.
func New(pool *pgxpool.Pool) *Reader { return &Reader{pool: pool} }

// The version of the list of sessions changes with every visible change: the newest
// key grows when a session appears, the count falls when one goes, and the sums
// grow while the set stays the same.
const versionsQuery = `
SELECT 'session:' || id, ` + schema.SessionVersion + `
FROM sessions s
WHERE id = ANY ($1::text[]) AND deleted_at IS NULL
UNION ALL
SELECT topic, version::text
FROM changes
WHERE topic = ANY ($2::text[])
UNION ALL
SELECT 'sessions', concat_ws('.', max(session), count(*), sum(batch::bigint), sum(revision::bigint))
FROM sessions
WHERE $3 AND deleted_at IS NULL
HAVING $3`

// Versions returns the version of each topic (schema.Topic...) in one query.
// Topics without one are absent: nothing was ever announced there, or the
// session does not exist.
func (d *Reader) Versions(ctx context.Context, topics []string) (map[string]string, error) {
	ids, others, all := []string{}, []string{}, false
	for _, topic := range topics {
		if schema.Storable(topic) == "" {
			continue // asking would fail for everybody
		}
		if topic == schema.TopicSessions {
			all = true
		} else if id, ok := strings.CutPrefix(topic, schema.TopicSession("")); ok {
			ids = append(ids, id)
		} else {
			others = append(others, topic)
		}
	}
	rows, err := d.pool.Query(ctx, versionsQuery, ids, others, all)
	if err != nil {
		return nil, fmt.Errorf("read versions: %w", err)
	}
	versions := make(map[string]string, len(topics))
	var topic, version string
	_, err = pgx.ForEachRow(rows, []any{&topic, &version}, func() error {
		versions[topic] = version
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("read versions: %w", err)
	}
	return versions, nil
}
