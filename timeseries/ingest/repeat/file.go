package repeat

import (
	"context"
	"fmt"
	"time"

	"github.com/ecovolt/telemetryd/internal/fault"
	schema "github.com/ecovolt/telemetryd/sql"
)

// Known is a file that was imported.
type Known struct {
	Run string // id of a run that its records are in
	At  time.Time
}

// String says it to a person.
func (k *Known) String() string {
	return fmt.Sprintf("this content is in run %q, imported on %s", fault.Clip(k.Run), k.At.UTC().Format("2006-01-02 15:04 MST"))
}

// File looks a file up by SHA-256 sums of what is in it, among those of these
// runs; nil runs are all. It returns nil where it was not imported.
func File(ctx context.Context, q schema.Querier, digests [][]byte, runs []string) (*Known, error) {
	known, err := schema.Find[Known](ctx, q, `
		SELECT s.id, f.imported_at
		FROM imported_files f
		JOIN sessions s USING (session)
		WHERE f.digest = ANY ($1) AND ($2::text[] IS NULL OR s.id = ANY ($2)) AND s.deleted_at IS NULL
		ORDER BY f.imported_at
		LIMIT 1`, digests, runs)
	if err != nil {
		return nil, fmt.Errorf("look for the file: %w", err)
	}
	return known, nil
}
