package rollup

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	schema "github.com/ecovolt/telemetryd/sql"
	"github.com/ecovolt/telemetryd/timeseries/channel"
	"github.com/ecovolt/telemetryd/timeseries/record"
)

// EndsTable holds the records that begin and end the buckets of some levels, so that
// a line through buckets is known without a search in the records. On the columnstore
// each search decompresses a thousand of them.
const EndsTable = "telemetry_ends"

// EndsRecords is how many records a bucket has at least whose ends are kept: of
// fewer, they would be as much as the records.
const EndsRecords = 20

// endsChannels lists those channels of the kept records.
func endsChannels(has func(int) bool) (names []string) {
	for i, c := range channel.All {
		if c.Charted && has(i) {
			names = append(names, c.Name)
		}
	}
	return names
}

// endsDDL returns the statements that make the table.
func endsDDL() []string {
	statements := []string{
		"CREATE TABLE " + EndsTable + " AS SELECT time, session, " + strings.Join(endsChannels(func(int) bool { return true }), ", ") + " FROM telemetry WITH NO DATA",
		"ALTER TABLE " + EndsTable + " ADD PRIMARY KEY (time, session)",
		"SELECT create_hypertable('" + EndsTable + "', by_range('time', INTERVAL '10 days'), create_default_indexes => false)",
		comment("TABLE "+EndsTable, "Records that begin or end a bucket of telemetry_1s or telemetry_10s, where no other has their time", ""),
		comment("COLUMN "+EndsTable+".time", "When the vehicle measured, UTC", ""),
		comment("COLUMN "+EndsTable+".session", "The run: sessions.session", ""),
	}
	for _, c := range channel.All {
		if c.Charted {
			statements = append(statements, comment("COLUMN "+EndsTable+"."+c.Name, c.Meaning, c.Unit))
		}
	}
	return statements
}

// endsLevels lists the levels of which the ends are kept, those that are stored.
func (c *Catalog) endsLevels() (levels []Level) {
	for _, l := range Levels {
		if l.Ends && c.Tables[l.Relation] != "" {
			levels = append(levels, l)
		}
	}
	return levels
}

// endsPiece is of how much time the ends are looked up at once: what that joins is
// held in memory.
const endsPiece = 2 * time.Hour

// endsPieces cuts a range into pieces to look up. A stretch without records is one,
// in which there are ends to remove at most: a year of it would be thousands.
func endsPieces(s Span, filled []Span) (pieces []Span) {
	for s.Length() > endsPiece {
		piece := Span{s.From, Ceil(s.From.Add(1), endsPiece)}
		next := s.To
		if i := slices.IndexFunc(filled, func(f Span) bool { return f.To.After(s.From) }); i >= 0 {
			next = Floor(filled[i].From, endsPiece)
		}
		if next.After(piece.To) {
			piece = Span{s.From, next}.Clip(s)
		}
		pieces, s.From = append(pieces, piece), piece.To
	}
	if !s.Empty() {
		pieces = append(pieces, s)
	}
	return pieces
}

// filled returns in order where records may lie: in their chunks, which are asked
// for where some range is longer than one.
func (p *pass) filled(ctx context.Context, spans []Span) ([]Span, error) {
	if !slices.ContainsFunc(spans, func(s Span) bool { return s.Length() > 24*time.Hour }) {
		return Merge(slices.Clone(spans), 0), nil
	}
	return schema.List(ctx, p.conn, pgx.RowToStructByPos[Span], `
		SELECT range_start, range_end FROM timescaledb_information.chunks
		WHERE hypertable_name = 'telemetry' AND hypertable_schema = current_schema()
		ORDER BY range_start`)
}

// refreshEnds looks the ends of a window up anew, after its levels.
func (p *pass) refreshEnds(ctx context.Context, conn *pgxpool.Conn, w window) error {
	var ends []string
	for _, l := range p.catalog.endsLevels() {
		ends = append(ends, fmt.Sprintf("SELECT session, unnest(ARRAY[first_time, last_time]) AS time FROM %s WHERE bucket >= $1 AND bucket < $2 AND records >= %d",
			p.catalog.Tables[l.Relation], EndsRecords))
	}
	return p.replace(ctx, conn, EndsTable, w, func(tx pgx.Tx, carried record.Mask) error {
		columns, values := "", ""
		for _, name := range endsChannels(carried.Has) {
			columns, values = columns+", "+name, values+", min(t."+name+")"
		}
		// Each record by itself would be found in a batch of a thousand that has to be
		// decompressed; to join in the order of the columnstore, TimescaleDB before 2.28
		// takes a chunk for sorted that is not; and no plan but one for this window fits.
		if _, err := tx.Exec(ctx, "SET LOCAL enable_nestloop = off; SET LOCAL enable_mergejoin = off"); err != nil {
			return err
		}
		_, err := tx.Exec(ctx, fmt.Sprintf(`
			INSERT INTO %s (time, session%s)
			SELECT t.time, t.session%s
			FROM (%s) e
			JOIN telemetry t ON t.session = e.session AND t.time = e.time
			WHERE t.time >= $1 AND t.time < $2
			GROUP BY 1, 2
			HAVING count(*) = 1`, EndsTable, columns, values, strings.Join(ends, " UNION ")), pgx.QueryExecModeExec, w.From, w.To)
		return err
	})
}

// Ends tells that telemetry_ends has what begins and ends buckets of that width, so
// far as in each stretch of the width that it returns there are EndsRecords. One
// that it lacks is in the records.
func (c *Catalog) Ends(width time.Duration) (of time.Duration, ok bool) {
	for _, l := range c.endsLevels() {
		if width%l.Width == 0 {
			of, ok = l.Width, true
		}
	}
	return of, ok
}
