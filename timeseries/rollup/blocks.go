package rollup

import (
	"context"
	"fmt"

	"github.com/jackc/pgerrcode"
	"github.com/jackc/pgx/v5"

	schema "github.com/ecovolt/telemetryd/sql"
)

// summarize has the index of the records by time know the blocks that were written
// since. What no refresh has summarised is read by every query for a stretch of
// time, and PostgreSQL itself summarises it no sooner than it vacuums. A chunk that
// somebody compresses or vacuums is left alone.
func (p *pass) summarize(ctx context.Context, spans []Span) error {
	if len(spans) == 0 {
		return nil
	}
	all := spans[0]
	for _, s := range spans {
		if s.From.Before(all.From) {
			all.From = s.From
		}
		if s.To.After(all.To) {
			all.To = s.To
		}
	}
	chunks, err := schema.List(ctx, p.conn, pgx.RowToStructByPos[chunk], `
		SELECT c.chunk_name, format('%I.%I', n.nspname, i.relname), c.range_start, c.range_end
		FROM timescaledb_information.chunks c
		JOIN pg_index x ON x.indrelid = to_regclass(format('%I.%I', c.chunk_schema, c.chunk_name))
		JOIN pg_class i ON i.oid = x.indexrelid
		JOIN pg_namespace n ON n.oid = i.relnamespace
		JOIN pg_am a ON a.oid = i.relam AND a.amname = 'brin'
		WHERE c.hypertable_name = 'telemetry' AND c.hypertable_schema = current_schema()
		  AND c.range_start < $2 AND c.range_end > $1`, all.From, all.To)
	if err != nil {
		return fmt.Errorf("list the records' indexes by time: %w", err)
	}
	for _, c := range chunks {
		if !c.holds(spans) {
			continue
		}
		// Both are one transaction, since they are sent as one.
		_, err := p.conn.Exec(ctx, "SET LOCAL lock_timeout = '100ms'; SELECT brin_summarize_new_values('"+c.Name+"')")
		if err != nil && !schema.HasCode(err, pgerrcode.LockNotAvailable) && !schema.HasCode(err, pgerrcode.UndefinedTable) {
			return fmt.Errorf("summarise %s: %w", c.Name, err)
		}
	}
	return nil
}

// holds reports whether some of the spans lies in the chunk.
func (c chunk) holds(spans []Span) bool {
	for _, s := range spans {
		if !s.Clip(Span{c.From, c.To}).Empty() {
			return true
		}
	}
	return false
}
