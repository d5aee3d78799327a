package rollup

import (
	"context"
	"fmt"
	"log/slog"
	"maps"
	"slices"
	"time"

	"github.com/jackc/pgerrcode"
	"github.com/jackc/pgx/v5"

	schema "github.com/ecovolt/telemetryd/sql"
)

// emptiedPause is how long chunks that somebody works with are left alone.
const emptiedPause = "10 seconds"

// chunk is one of the records' or of a rollup's, by its table and its own name.
type chunk struct {
	Table, Name string // quoted
	From, To    time.Time
}

// dropEmptied drops the chunks that hold nothing where records were taken away
// and the rollups have followed.
func (p *pass) dropEmptied(ctx context.Context) error {
	ids, err := schema.List(ctx, p.conn, pgx.RowTo[int64], "SELECT id FROM emptied WHERE try_at <= clock_timestamp()")
	if err != nil || len(ids) == 0 {
		return err
	}
	chunks, err := schema.List(ctx, p.conn, pgx.RowToStructByPos[chunk], `
		SELECT DISTINCT format('%I.%I', c.hypertable_schema, c.hypertable_name), format('%I.%I', c.chunk_schema, c.chunk_name), c.range_start, c.range_end
		FROM emptied e
		JOIN timescaledb_information.chunks c ON c.range_start <= e.to_time AND c.range_end > e.from_time
		WHERE e.id = ANY($1)
		  AND (c.hypertable_name IN ('telemetry', '`+EndsTable+`') AND c.hypertable_schema = current_schema()
		       OR format('%I.%I', c.hypertable_schema, c.hypertable_name) = ANY($2))
		ORDER BY 3`, ids, slices.Collect(maps.Values(p.catalog.Tables)))
	if err != nil {
		return fmt.Errorf("list chunks: %w", err)
	}
	dropped, busy := 0, 0
	for _, c := range chunks {
		gone, err := p.dropIfEmpty(ctx, c)
		switch {
		case gone:
			dropped++
		case schema.HasCode(err, pgerrcode.LockNotAvailable):
			busy++
		case schema.HasCode(err, pgerrcode.UndefinedTable): // somebody else has dropped it
		case err != nil:
			return fmt.Errorf("drop the empty chunk %s: %w", c.Name, err)
		}
	}
	if dropped > 0 {
		p.log.Info("dropped empty chunks", slog.Int("chunks", dropped), slog.Int("in_use", busy))
	}
	if busy > 0 {
		_, err = p.conn.Exec(ctx, "UPDATE emptied SET try_at = clock_timestamp() + $2::interval WHERE id = ANY($1)", ids, emptiedPause)
	} else {
		_, err = p.conn.Exec(ctx, "DELETE FROM emptied WHERE id = ANY($1)", ids)
	}
	return err
}

// dropIfEmpty drops a chunk if it holds nothing, and reports whether it did. It
// waits for nobody: whoever reads or writes the chunk, or has just found that it
// is there, keeps it.
func (p *pass) dropIfEmpty(ctx context.Context, c chunk) (dropped bool, err error) {
	var empty bool
	isEmpty := "SELECT NOT EXISTS (SELECT FROM " + c.Name + ")"
	if err := p.conn.QueryRow(ctx, isEmpty).Scan(&empty); err != nil || !empty {
		return false, err
	}
	err = pgx.BeginFunc(ctx, p.conn, func(tx pgx.Tx) error {
		if err := p.fence.Check(ctx, tx); err != nil {
			return err
		}
		// Writers lock the table before they look for a chunk.
		if _, err := tx.Exec(ctx, "LOCK TABLE ONLY "+c.Table+" IN SHARE MODE NOWAIT"); err != nil {
			return err
		}
		if _, err := tx.Exec(ctx, "LOCK TABLE "+c.Name+" IN ACCESS EXCLUSIVE MODE NOWAIT"); err != nil {
			return err
		}
		// What the rollups do not know yet, the chunk's being there tells them:
		// see keepHistory.
		err := tx.QueryRow(ctx, isEmpty+" AND NOT EXISTS (SELECT FROM rollup_dirty WHERE from_time < $2 AND to_time >= $1)", c.From, c.To).Scan(&empty)
		if err != nil || !empty {
			return err
		}
		_, err = tx.Exec(ctx, "DROP TABLE "+c.Name)
		return err
	})
	return err == nil && empty, err
}
