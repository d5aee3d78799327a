// Package pack says which records of a long file go straight into the columnstore.
//
// To store rows, to enter them in an index, and to read them again for the columnstore
// takes longer than to encode them at once. TimescaleDB does that in COPY, where it is
// told that the rows are sorted: it believes that, and reads of a session in which they
// are not would be out of order. So it is told for those records alone that come after
// all that were packed of their session, in an import of whole runs. Small batches never
// are: each would be packed by itself.
//
// An Order is used by one goroutine. Times are microseconds since the Unix epoch.
package pack

import (
	"context"
	"fmt"
	"iter"
	"math"
	"time"

	"github.com/jackc/pgx/v5"

	schema "github.com/ecovolt/telemetryd/sql"
)

// Possible reports whether the database takes records so: from 2.29 on, since versions
// before store what constraints forbid, or nothing where rollups hang on the table; and
// as long as the columnstore has the order that batches of an import have.
func Possible(ctx context.Context, q schema.Querier) (possible bool, err error) {
	err = q.QueryRow(ctx, `
		SELECT coalesce(current_setting('timescaledb.license', true) = 'timescale', false)
		   AND (SELECT split_part(extversion, '-', 1) FROM pg_extension WHERE extname = 'timescaledb') ~ '^(2\.(29|[3-9]\d)|[3-9])\M'
		   AND (SELECT array_agg(attname::text ORDER BY segmentby_column_index, orderby_column_index) = '{session,time,batch,ord}' AND bool_and(orderby_asc IS NOT false)
		        FROM timescaledb_information.compression_settings
		        WHERE hypertable_name = 'telemetry' AND hypertable_schema = current_schema()) IS TRUE`).Scan(&possible)
	if err != nil {
		return false, fmt.Errorf("look for the columnstore: %w", err)
	}
	return possible, nil
}

// Queue has what a transaction copies from now on packed.
func Queue(b *pgx.Batch) {
	b.Queue("SET LOCAL timescaledb.enable_direct_compress_copy = on")
	b.Queue("SET LOCAL timescaledb.enable_direct_compress_copy_client_sorted = on")
}

// day is how much time a chunk of records holds.
const day = 24 * time.Hour

// Order is that of a session's records that are packed.
type Order struct {
	begun  bool
	newest int64
}

// Take reports whether the records of these times are to be packed: whether they come
// after those that are, each after the one before, and their day is over. Into a day
// that is not, others write rows all the time.
func (o *Order) Take(times iter.Seq[int64], now time.Time) bool {
	newest := int64(math.MinInt64)
	if o.begun {
		newest = o.newest
	}
	begun := false
	for t := range times {
		if t < newest {
			return false
		}
		newest, begun = t, true
	}
	if !begun || time.UnixMicro(newest).Truncate(day).Add(day+time.Hour).After(now) {
		return false
	}
	o.begun, o.newest = true, newest
	return true
}
