package rollup

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgtype"
	"github.com/jackc/pgx/v5/pgxpool"

	schema "github.com/ecovolt/telemetryd/sql"
	"github.com/ecovolt/telemetryd/timeseries/record"
)

// passRecords is about how many new records one pass takes on, so that what it
// did is recorded now and then when there is much to do.
const passRecords = 3_000_000

// bulkRecords is from how many new records a refresh is a large one, where nobody says.
const bulkRecords = 200_000

// longestTurn is how long a pass keeps a connection once somebody may want it:
// where the pool has few, all else would wait for the whole pass.
const longestTurn = 100 * time.Millisecond

// pass is one pass of the refresher.
type pass struct {
	log     *slog.Logger
	bulk    int64         // from how many new records on the pass is a large one
	conn    *pgxpool.Conn // of this turn
	catalog *Catalog
	fence   schema.Fence
	result  *Result

	// What the first turn finds.
	sessions []pending
	dirty    []int64
	large    bool
	windows  windows
}

// window is a part of a level that is aggregated anew.
type window struct {
	relation
	Span
}

// pending is a session whose records are ahead of the rollups.
type pending struct {
	Session int32
	Batch   int32 // watermark of the records
	Done    int32 // watermark of the rollups
	Records int64 // that are ahead, about
}

// behind are sessions s whose newest records the rollups lack, by progress p, and ahead
// is about how many those are.
const (
	behind = "FROM sessions s LEFT JOIN rollup_progress p USING (session) WHERE s.batch > coalesce(p.batch, 0)"
	ahead  = "s.records * (s.batch - coalesce(p.batch, 0)) / s.batch"
)

// find looks for what has changed.
func (p *pass) find(ctx context.Context) (err error) {
	// Batch numbers of a session become visible in order, so that a watermark
	// by session skips nothing, in whatever order sessions commit.
	if p.sessions, err = schema.List(ctx, p.conn, pgx.RowToStructByPos[pending],
		"SELECT s.session, s.batch, coalesce(p.batch, 0), "+ahead+" "+behind+" ORDER BY 4, s.session DESC"); err != nil {
		return err
	}
	// The small ones first: a race that is on must not wait for an import.
	total := int64(0)
	for i, s := range p.sessions {
		if total += s.Records; total > passRecords && i > 0 {
			p.sessions, p.result.More = p.sessions[:i], true
			break
		}
	}
	var changed []Change
	for _, s := range p.sessions {
		changed = append(changed, Change{s.Session, s.Done, s.Batch})
	}
	spans, records, err := Changed(ctx, p.conn, changed, 10*time.Minute)
	if err != nil {
		return err
	}
	lost, err := p.findDirty(ctx)
	if err != nil {
		return err
	}
	spans = append(spans, lost...)
	if spans, err = p.keepHistory(ctx, spans); err != nil {
		return err
	}
	if p.large = records >= p.bulk; p.large {
		if err := p.compress(ctx, spans); err != nil {
			return err
		}
	}
	if err := p.summarize(ctx, spans); err != nil {
		return err
	}
	filled, err := p.filled(ctx, spans)
	if err != nil {
		return err
	}
	p.windows.left = p.plan(spans, filled)
	return nil
}

// findDirty returns the ranges that changed other than by batches.
func (p *pass) findDirty(ctx context.Context) (spans []Span, err error) {
	rows, err := p.conn.Query(ctx, "SELECT id, from_time, to_time FROM rollup_dirty")
	if err != nil {
		return nil, err
	}
	var id int64
	var from, to time.Time
	_, err = pgx.ForEachRow(rows, []any{&id, &from, &to}, func() error {
		p.dirty = append(p.dirty, id)
		spans = append(spans, Span{from, to.Add(time.Microsecond)})
		return nil
	})
	return spans, err
}

// refreshSettings make aggregation hash, which it does on whole vectors of the
// columnstore; TimescaleDB costs its sorted plans too low, and rows of rollups
// are too wide to sort.
var refreshSettings = [][2]string{
	{"statement_timeout", "0"},
	{"jit", "off"},
	{"enable_sort", "off"},
	{"max_parallel_workers_per_gather", "0"},
	{"timescaledb.enable_decompression_sorted_merge", "off"},
	{"work_mem", "64MB"},
}

// settings are those of this database's refreshes. For each window TimescaleDB
// writes a few lines to the server's log, 300 MB a day while a car drives: where we
// may, they are left out. What fails is in our own log.
func (p *pass) settings() (set, reset string) {
	settings := refreshSettings
	if p.catalog.aggregates && p.catalog.quiet {
		settings = append(slices.Clone(settings), [2]string{"log_min_messages", "fatal"})
	}
	for _, setting := range settings {
		set += fmt.Sprintf("SET %s = '%s';", setting[0], setting[1])
		reset += "RESET " + setting[0] + ";"
	}
	return set, reset
}

// keepHistory leaves out what lies before the oldest records: where a retention
// policy dropped them, a refresh would empty the rollups as well. Of sessions
// that were deleted, the rollups' rows are removed there.
func (p *pass) keepHistory(ctx context.Context, spans []Span) ([]Span, error) {
	if len(spans) == 0 {
		return spans, nil
	}
	oldest, err := OldestRecord(ctx, p.conn)
	if err != nil || oldest.IsZero() {
		return spans, err
	}
	kept := spans[:0]
	lost := false
	for _, s := range spans {
		lost = lost || s.From.Before(oldest)
		if s = s.Clip(Span{oldest, s.To}); !s.Empty() {
			kept = append(kept, s)
		}
	}
	if lost && len(p.dirty) > 0 {
		forget := func(table, timeColumn string) error {
			_, err := p.conn.Exec(ctx, fmt.Sprintf(`
				DELETE FROM %s m USING rollup_dirty d
				WHERE d.id = ANY($1) AND m.session = d.session AND m.%s < $2
				  AND NOT EXISTS (SELECT FROM sessions s WHERE s.session = d.session)`, table, timeColumn), p.dirty, oldest)
			return err
		}
		for _, table := range p.catalog.Tables {
			if err := forget(table, "bucket"); err != nil {
				return nil, err
			}
		}
		if err := forget(EndsTable, "time"); err != nil {
			return nil, err
		}
	}
	return kept, nil
}

// OldestRecord returns where the records begin that are still there; zero when
// there are none. It is the start of a chunk, a day.
func OldestRecord(ctx context.Context, q schema.Querier) (time.Time, error) {
	var oldest *time.Time
	err := q.QueryRow(ctx, `
		SELECT min(range_start) FROM timescaledb_information.chunks
		WHERE hypertable_name = 'telemetry' AND hypertable_schema = current_schema()`).Scan(&oldest)
	if err != nil || oldest == nil {
		return time.Time{}, err
	}
	return oldest.UTC(), nil
}

// maxWindows bounds how many windows of one level are refreshed one by one.
// Beyond it, neighbours are joined: TimescaleDB itself leaves out the buckets
// in between that did not change, at a small cost for each call.
const maxWindows = 24

// plan lists the windows that hold the ranges, finest level first, since each
// level reads the one below. Records lie in filled only.
func (p *pass) plan(spans, filled []Span) (windows []window) {
	list := relations()
	if !p.catalog.aggregates {
		list = plainRelations()
	}
	if levels := p.catalog.endsLevels(); len(levels) > 0 {
		list = append(list, relation{name: EndsTable, width: levels[len(levels)-1].Width})
	}
	for _, rel := range list {
		of := make([]Span, len(spans))
		for i, s := range spans {
			of[i] = s.Outward(rel.width)
		}
		of = Merge(of, 0)
		for gap := 10 * rel.width; p.catalog.aggregates && rel.name != EndsTable && len(of) > maxWindows; gap *= 4 {
			of = Merge(of, gap)
		}
		for _, s := range of {
			pieces := []Span{s}
			if rel.name == EndsTable {
				pieces = endsPieces(s, filled)
			}
			for _, piece := range pieces {
				windows = append(windows, window{rel, piece})
			}
		}
	}
	return windows
}

// refresh aggregates windows anew, until none is left that can be or the turn is
// over, which began then.
func (p *pass) refresh(ctx context.Context, conn *pgxpool.Conn, since time.Time) error {
	w, ok := p.windows.take()
	if !ok {
		return nil
	}
	set, reset := p.settings()
	defer func() {
		// A connection that keeps these settings must not return to the pool.
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), 5*time.Second)
		defer cancel()
		if _, err := conn.Exec(ctx, reset); err != nil {
			conn.Conn().Close(ctx)
		}
	}()
	if _, err := conn.Exec(ctx, set); err != nil {
		return err
	}
	for ; ok; w, ok = p.windows.take() {
		if err := p.refreshWindow(ctx, conn, w); err != nil {
			return fmt.Errorf("%s from %v to %v: %w", w.name, w.From, w.To, err)
		}
		if p.windows.done(w); time.Since(since) >= longestTurn {
			break
		}
	}
	return nil
}

func (p *pass) refreshWindow(ctx context.Context, conn *pgxpool.Conn, w window) error {
	switch {
	case w.name == EndsTable:
		return p.refreshEnds(ctx, conn, w)
	case !p.catalog.aggregates:
		return p.refreshTable(ctx, conn, w)
	}
	// It cannot run in a transaction block, nor with parameters in all versions.
	_, err := conn.Exec(ctx, fmt.Sprintf("CALL refresh_continuous_aggregate('%s', %s, %s%s)",
		w.name, timeLiteral(w.From), timeLiteral(w.To), p.catalog.refreshOptions))
	return err
}

// refreshTable aggregates a window of whole buckets anew where there are no
// continuous aggregates. Channels that no run of that time carries are left out.
func (p *pass) refreshTable(ctx context.Context, conn *pgxpool.Conn, w window) error {
	finer := w.finer
	if finer != "" {
		finer = plainTable(finer)
	}
	return p.replace(ctx, conn, plainTable(w.name), w, func(tx pgx.Tx, carried record.Mask) error {
		some := w.relation.of(carried)
		if len(some.columns) == 0 {
			return nil
		}
		columns := ""
		for _, c := range some.columns {
			columns += ", " + c.name
		}
		_, err := tx.Exec(ctx, "INSERT INTO "+plainTable(w.name)+" (session, bucket"+columns+")\n"+some.query(finer, "WHERE %s >= $1 AND %s < $2\n"), w.From, w.To)
		return err
	})
}

// replace makes a window of a table of ours anew, by what runs of that time carry.
func (p *pass) replace(ctx context.Context, conn *pgxpool.Conn, table string, w window, insert func(tx pgx.Tx, carried record.Mask) error) error {
	return pgx.BeginFunc(ctx, conn, func(tx pgx.Tx) error {
		if err := p.fence.Check(ctx, tx); err != nil {
			return err
		}
		if _, err := tx.Exec(ctx, fmt.Sprintf("DELETE FROM %s WHERE %[2]s >= $1 AND %[2]s < $2", table, w.timeColumn()), w.From, w.To); err != nil {
			return err
		}
		// What a batch that comes now brings beyond it is told by that batch, which
		// has its buckets made again.
		carried, err := carriedWithin(ctx, tx, w.Span)
		if err != nil {
			return err
		}
		return insert(tx, carried)
	})
}

// carriedWithin returns the channels that runs of that time carry: all where one of
// them does not know.
func carriedWithin(ctx context.Context, tx pgx.Tx, s Span) (record.Mask, error) {
	var carried pgtype.Bits
	err := tx.QueryRow(ctx, `
		SELECT CASE WHEN bool_and(carried IS NOT NULL AND carried_batch = batch) THEN bit_or(carried) END
		FROM sessions
		WHERE first_time < $2 AND last_time >= $1`, s.From, s.To).Scan(&carried)
	if err != nil {
		return record.Mask{}, fmt.Errorf("find the channels of runs: %w", err)
	}
	return record.MaskOf(carried.Bytes), nil
}

func timeLiteral(t time.Time) string {
	return "'" + t.UTC().Format("2006-01-02 15:04:05.000000") + "+00'::timestamptz"
}

// compress moves the chunks of a large import to the columnstore, if their day
// is over.
func (p *pass) compress(ctx context.Context, spans []Span) error {
	chunks, err := schema.List(ctx, p.conn, pgx.RowToStructByPos[chunk], `
		SELECT format('%I.%I', hypertable_schema, hypertable_name), format('%I.%I', chunk_schema, chunk_name), range_start, range_end
		FROM timescaledb_information.chunks
		WHERE hypertable_name = 'telemetry' AND hypertable_schema = current_schema()
		  AND range_end < now() - INTERVAL '1 hour'
		  AND EXISTS (SELECT FROM timescaledb_information.hypertables h
		              WHERE h.hypertable_name = 'telemetry' AND h.hypertable_schema = current_schema() AND h.compression_enabled)
		ORDER BY range_start`)
	if err != nil {
		return err
	}
	for _, c := range chunks {
		if !c.holds(spans) {
			continue
		}
		if _, err := p.conn.Exec(ctx, "SELECT compress_chunk('"+c.Name+"', if_not_compressed => true)"); err != nil {
			// The refresh works without, only slower.
			if ctx.Err() != nil {
				return err
			}
			p.log.Warn("a chunk was not moved to the columnstore", slog.String("chunk", c.Name), slog.Any("error", err))
			continue
		}
		p.result.Compressed++
	}
	return nil
}

var errRebuilt = errors.New("the rollups were made anew meanwhile")

// advance records that the rollups now hold the sessions up to their batches.
func (p *pass) advance(ctx context.Context) error {
	if len(p.sessions) == 0 && len(p.dirty) == 0 {
		return nil
	}
	return pgx.BeginFunc(ctx, p.conn, func(tx pgx.Tx) error {
		if err := p.fence.Check(ctx, tx); err != nil {
			return err
		}
		now, err := definitionVersion(ctx, tx, "FOR SHARE")
		if err != nil {
			return err
		}
		if now != p.catalog.version {
			return errRebuilt // the new ones hold nothing yet
		}
		var ids, batches []int32
		for _, s := range p.sessions {
			ids, batches = append(ids, s.Session), append(batches, s.Batch)
		}
		tag, err := tx.Exec(ctx, `
			INSERT INTO rollup_progress (session, batch)
			SELECT p.session, p.batch
			FROM unnest($1::int[], $2::int[]) p (session, batch)
			JOIN sessions USING (session)
			ON CONFLICT (session) DO UPDATE
			SET batch = greatest(rollup_progress.batch, excluded.batch), refreshed_at = clock_timestamp()`, ids, batches)
		if err != nil {
			return err
		}
		p.result.Sessions = int(tag.RowsAffected())
		_, err = tx.Exec(ctx, `
			WITH done AS (DELETE FROM rollup_dirty WHERE id = ANY($1) RETURNING from_time, to_time)
			INSERT INTO emptied (from_time, to_time)
			SELECT from_time, to_time FROM done`, p.dirty)
		return err
	})
}

func definitionVersion(ctx context.Context, q schema.Querier, lock string) (version string, err error) {
	err = q.QueryRow(ctx, "SELECT version || ' ' || applied_at FROM repeatable_objects WHERE name = 'rollups' "+lock).Scan(&version)
	if err != nil {
		return "", fmt.Errorf("read the version of the rollups: %w", err)
	}
	return version, nil
}
