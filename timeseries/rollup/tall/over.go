package tall

import (
	"context"
	"fmt"

	schema "github.com/ecovolt/telemetryd/sql"
)

// Over counts the members with numbers, over all runs, that have no levels since others
// came first. Only runs that have used up their slots have any.
func Over(ctx context.Context, db schema.Querier) (n int64, err error) {
	err = db.QueryRow(ctx, `
		SELECT count(*)
		FROM level_members f
		JOIN sessions s ON s.session = f.session AND s.deleted_at IS NULL
		JOIN session_members m ON m.session = f.session AND m.numbers > 0
		LEFT JOIN level_members l ON l.session = m.session AND l.member = m.member
		WHERE f.slot = $1 AND l.member IS NULL`, mostMembers).Scan(&n)
	if err != nil {
		return 0, fmt.Errorf("count members without levels: %w", err)
	}
	return n, nil
}
