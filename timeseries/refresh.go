package timeseries

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/ecovolt/telemetryd/internal/retry"
)

// refreshLock is the advisory lock of the instance that refreshes.
const refreshLock = 0x74656c656d5f7266

// RefreshOptions tune the refresher. The zero value is fit for use.
type RefreshOptions struct {
	// Every is how long to wait between two looks for changes; 0 is 1 s.
	Every time.Duration
	// KeepRowstore leaves chunks as they are before a large refresh. Otherwise
	// those whose day is over are moved to the columnstore first, from where
	// they are aggregated ten times as fast.
	KeepRowstore bool
}

// passRecords is about how many new records one pass takes on, so that what it
// did is recorded now and then when there is much to do.
const passRecords = 3_000_000

// bulkRecords is from how many new records a refresh is a large one.
const bulkRecords = 200_000

// RefreshResult says what one pass of the refresher did.
type RefreshResult struct {
	Busy       bool // another instance is at it; nothing was done
	Sessions   int  // sessions brought up to date
	Windows    int  // windows refreshed, over all levels
	Compressed int  // chunks moved to the columnstore
	Summaries  int  // session summaries brought up to date
	More       bool // the most was done that one pass takes; the next has work
	Took       time.Duration
}

// RunRefresher keeps rollups and summaries up to date until ctx ends. Any
// number of instances may run it; one at a time works.
func (s *Store) RunRefresher(ctx context.Context, opt RefreshOptions) {
	every := opt.Every
	if every <= 0 {
		every = time.Second
	}
	backoff := retry.Backoff(every, 30*time.Second)
	for {
		wait := every
		result, err := s.Refresh(ctx, opt)
		switch {
		case ctx.Err() != nil:
			return
		case err != nil:
			wait = backoff.NextBackOff()
			s.log.Error("refreshing rollups failed", slog.Any("error", err), slog.Duration("retry_in", wait))
		default:
			backoff.Reset()
			if result.More {
				wait = 0
			}
			if result.Took > 5*time.Second || result.Compressed > 0 {
				s.log.Info("rollups refreshed", slog.Int("sessions", result.Sessions), slog.Int("windows", result.Windows),
					slog.Int("compressed_chunks", result.Compressed), slog.Duration("took", result.Took))
			}
		}
		select {
		case <-ctx.Done():
			return
		case <-time.After(wait):
		}
		if err == nil && !result.More {
			s.uploads.Yield(ctx, mostPatience-wait-2*result.Took)
		}
	}
}

// mostPatience bounds how long a commit may wait for its refresh to be done,
// with what that takes itself. The rollups promise 5 s. Until then uploads go
// first: a burst is stored sooner when no refresh competes with it, and charts
// read from the records meanwhile what the rollups lack.
const mostPatience = 2500 * time.Millisecond

// Refresh brings the rollups and summaries up to what is committed now, and no
// more than the ranges that changed. It may be stopped at any moment: what was
// not finished is found again, since progress is recorded after the refresh.
func (s *Store) Refresh(ctx context.Context, opt RefreshOptions) (result RefreshResult, err error) {
	start := time.Now()
	defer func() { result.Took = time.Since(start) }()
	conn, err := s.pool.Acquire(ctx)
	if err != nil {
		return result, fmt.Errorf("refresh rollups: %w", err)
	}
	defer conn.Release()
	var mine bool
	if err := conn.QueryRow(ctx, "SELECT pg_try_advisory_lock($1)", int64(refreshLock)).Scan(&mine); err != nil {
		return result, fmt.Errorf("refresh rollups: %w", err)
	}
	if !mine {
		result.Busy = true
		return result, nil
	}
	defer func() {
		// A connection that cannot give the lock back must not return to the pool.
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), 5*time.Second)
		defer cancel()
		_, unlockErr := conn.Exec(ctx, resetSettings()+fmt.Sprintf("SELECT pg_advisory_unlock(%d)", int64(refreshLock)))
		if unlockErr != nil {
			conn.Conn().Close(ctx)
		}
	}()
	r := refresh{conn: conn, opt: opt, result: &result}
	if r.catalog, err = s.catalog.get(ctx, conn); err != nil {
		return result, err
	}
	version, err := rollupVersion(ctx, conn, "")
	if err != nil {
		return result, fmt.Errorf("refresh rollups: %w", err)
	}
	if version != r.catalog.version {
		s.catalog.forget() // another instance made them anew
		if r.catalog, err = s.catalog.get(ctx, conn); err != nil {
			return result, err
		}
	}
	if r.catalog.stored() {
		err = r.rollups(ctx)
	}
	if err != nil {
		s.catalog.forget()
		return result, fmt.Errorf("refresh rollups: %w", err)
	}
	if result.Summaries, err = refreshSummaries(ctx, conn.Conn()); err != nil {
		return result, fmt.Errorf("refresh summaries: %w", err)
	}
	return result, nil
}

// refresh is one pass.
type refresh struct {
	conn    *pgxpool.Conn
	catalog *catalog
	opt     RefreshOptions
	result  *RefreshResult
}

// pending is a session whose records are ahead of the rollups.
type pending struct {
	Session int32
	Batch   int32 // watermark of the records
	Done    int32 // watermark of the rollups
	Records int64 // that are ahead, about
}

func (r *refresh) rollups(ctx context.Context) error {
	// Batch numbers of a session become visible in order, so that a watermark
	// by session skips nothing, in whatever order sessions commit.
	rows, err := r.conn.Query(ctx, `
		SELECT s.session, s.batch, coalesce(p.batch, 0), s.records * (s.batch - coalesce(p.batch, 0)) / s.batch
		FROM sessions s LEFT JOIN rollup_progress p USING (session)
		WHERE s.batch > coalesce(p.batch, 0)
		ORDER BY 4, s.session DESC`)
	if err != nil {
		return err
	}
	sessions, err := pgx.CollectRows(rows, pgx.RowToStructByPos[pending])
	if err != nil {
		return err
	}
	// The small ones first: a race that is on must not wait for an import.
	total := int64(0)
	for i, p := range sessions {
		if total += p.Records; total > passRecords && i > 0 {
			sessions, r.result.More = sessions[:i], true
			break
		}
	}
	spans, records, err := r.changedByBatches(ctx, sessions)
	if err != nil {
		return err
	}
	dirty, dirtySpans, err := r.dirty(ctx)
	if err != nil {
		return err
	}
	spans = append(spans, dirtySpans...)
	if spans, err = r.keepHistory(ctx, spans, dirty); err != nil {
		return err
	}
	if len(spans) == 0 && len(sessions) == 0 {
		return nil
	}
	if records >= bulkRecords && !r.opt.KeepRowstore {
		if err := r.compress(ctx, spans); err != nil {
			return err
		}
	}
	if err := r.refresh(ctx, spans); err != nil {
		return err
	}
	return r.advance(ctx, sessions, dirty)
}

// changedByBatches gives the ranges of the batches that the rollups lack, and
// how many records those have.
func (r *refresh) changedByBatches(ctx context.Context, sessions []pending) ([]timeSpan, int64, error) {
	var ids, after, upTo []int32
	for _, p := range sessions {
		ids, after, upTo = append(ids, p.Session), append(after, p.Done), append(upTo, p.Batch)
	}
	rows, err := r.conn.Query(ctx, `
		SELECT b.session, b.batch, b.min_time, b.max_time, b.records
		FROM unnest($1::int[], $2::int[], $3::int[]) p (session, after, up_to)
		JOIN ingest_batches b ON b.session = p.session AND b.batch > p.after AND b.batch <= p.up_to
		WHERE b.records > 0`, ids, after, upTo)
	if err != nil {
		return nil, 0, err
	}
	type batch struct {
		session, number int32
		span            timeSpan
	}
	var spans []timeSpan
	var sparse []batch
	var total int64
	var b batch
	var first, last time.Time
	var records int64
	_, err = pgx.ForEachRow(rows, []any{&b.session, &b.number, &first, &last, &records}, func() error {
		total += records
		b.span = timeSpan{first, last.Add(time.Microsecond)}
		if isSparse(b.span, records) {
			sparse = append(sparse, b)
			return nil
		}
		spans = append(spans, b.span)
		if len(spans) > 10_000 {
			spans = mergeSpans(spans, 0)
		}
		return nil
	})
	if err != nil {
		return nil, 0, err
	}
	for _, b := range sparse {
		buckets, err := touchedBuckets(ctx, r.conn, b.session, b.number, b.span, 10*time.Minute)
		if err != nil {
			return nil, 0, err
		}
		for _, bucket := range buckets {
			spans = append(spans, timeSpan{bucket, bucket.Add(10 * time.Minute)}.clip(b.span))
		}
	}
	return spans, total, nil
}

// isSparse tells a batch that spans much more time than its records fill: one
// stray timestamp spans months in which nothing changed.
func isSparse(span timeSpan, records int64) bool {
	return span.length() > time.Hour && span.length() > time.Duration(records)*10*time.Second
}

// touchedBuckets gives the buckets of that width that a batch has records in.
func touchedBuckets(ctx context.Context, q querier, session, batch int32, span timeSpan, width time.Duration) ([]time.Time, error) {
	rows, err := q.Query(ctx, `
		SELECT DISTINCT time_bucket($5::interval, time)
		FROM telemetry
		WHERE session = $1 AND batch = $2 AND time >= $3 AND time < $4`, session, batch, span.From, span.To, width)
	if err != nil {
		return nil, err
	}
	return pgx.CollectRows(rows, pgx.RowTo[time.Time])
}

// dirty gives the ranges that changed other than by batches.
func (r *refresh) dirty(ctx context.Context) (ids []int64, spans []timeSpan, err error) {
	rows, err := r.conn.Query(ctx, "SELECT id, from_time, to_time FROM rollup_dirty")
	if err != nil {
		return nil, nil, err
	}
	var id int64
	var from, to time.Time
	_, err = pgx.ForEachRow(rows, []any{&id, &from, &to}, func() error {
		ids = append(ids, id)
		spans = append(spans, timeSpan{from, to.Add(time.Microsecond)})
		return nil
	})
	return ids, spans, err
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

func resetSettings() string {
	var b strings.Builder
	for _, setting := range refreshSettings {
		b.WriteString("RESET " + setting[0] + ";")
	}
	return b.String()
}

// keepHistory leaves out what lies before the oldest records: where a retention
// policy dropped them, a refresh would empty the rollups as well. Of sessions
// that were deleted, the rollups' rows are removed there.
func (r *refresh) keepHistory(ctx context.Context, spans []timeSpan, dirty []int64) ([]timeSpan, error) {
	if len(spans) == 0 {
		return spans, nil
	}
	oldest, err := oldestChunk(ctx, r.conn)
	if err != nil || oldest.IsZero() {
		return spans, err
	}
	kept := spans[:0]
	lost := false
	for _, s := range spans {
		lost = lost || s.From.Before(oldest)
		if s = s.clip(timeSpan{oldest, s.To}); !s.empty() {
			kept = append(kept, s)
		}
	}
	if lost && len(dirty) > 0 {
		for _, table := range r.catalog.tables {
			_, err := r.conn.Exec(ctx, fmt.Sprintf(`
				DELETE FROM %s m USING rollup_dirty d
				WHERE d.id = ANY($1) AND m.session = d.session AND m.bucket < $2
				  AND NOT EXISTS (SELECT FROM sessions s WHERE s.session = d.session)`, table), dirty, oldest)
			if err != nil {
				return nil, err
			}
		}
	}
	return kept, nil
}

// oldestChunk gives where the records begin that are still there; zero when
// there are none.
func oldestChunk(ctx context.Context, q querier) (time.Time, error) {
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

// refresh aggregates the ranges anew, finest level first, since each level
// reads the one below.
func (r *refresh) refresh(ctx context.Context, spans []timeSpan) error {
	defer r.conn.Exec(ctx, resetSettings())
	for _, setting := range refreshSettings {
		if _, err := r.conn.Exec(ctx, fmt.Sprintf("SET %s = '%s'", setting[0], setting[1])); err != nil {
			return err
		}
	}
	list := rollups()
	if !r.catalog.aggregates {
		list = plainRollups()
	}
	for _, rollup := range list {
		windows := make([]timeSpan, len(spans))
		for i, s := range spans {
			windows[i] = s.outward(rollup.width)
		}
		windows = mergeSpans(windows, 0)
		for gap := 10 * rollup.width; r.catalog.aggregates && len(windows) > maxWindows; gap *= 4 {
			windows = mergeSpans(windows, gap)
		}
		for _, w := range windows {
			r.result.Windows++
			if !r.catalog.aggregates {
				if err := r.refreshTable(ctx, rollup, w); err != nil {
					return fmt.Errorf("%s from %v to %v: %w", rollup.relation, w.From, w.To, err)
				}
				continue
			}
			// It cannot run in a transaction block, nor with parameters in all versions.
			_, err := r.conn.Exec(ctx, fmt.Sprintf("CALL refresh_continuous_aggregate('%s', %s, %s%s)",
				rollup.relation, timeLiteral(w.From), timeLiteral(w.To), r.catalog.refreshOptions))
			if err != nil {
				return fmt.Errorf("%s from %v to %v: %w", rollup.relation, w.From, w.To, err)
			}
		}
	}
	return nil
}

// refreshTable aggregates a window of whole buckets anew where there are no
// continuous aggregates.
func (r *refresh) refreshTable(ctx context.Context, rollup rollup, window timeSpan) error {
	finer := rollup.finer
	if finer != "" {
		finer = plainTable(finer)
	}
	return pgx.BeginFunc(ctx, r.conn, func(tx pgx.Tx) error {
		if _, err := tx.Exec(ctx, "DELETE FROM "+rollup.plainTable()+" WHERE bucket >= $1 AND bucket < $2", window.From, window.To); err != nil {
			return err
		}
		_, err := tx.Exec(ctx, "INSERT INTO "+rollup.plainTable()+"\n"+rollup.query(finer, "WHERE %s >= $1 AND %s < $2\n"), window.From, window.To)
		return err
	})
}

func timeLiteral(t time.Time) string {
	return "'" + t.UTC().Format("2006-01-02 15:04:05.000000") + "+00'::timestamptz"
}

// compress moves the chunks of a large import to the columnstore, if their day
// is over.
func (r *refresh) compress(ctx context.Context, spans []timeSpan) error {
	rows, err := r.conn.Query(ctx, `
		SELECT format('%I.%I', chunk_schema, chunk_name), range_start, range_end
		FROM timescaledb_information.chunks
		WHERE hypertable_name = 'telemetry' AND hypertable_schema = current_schema()
		  AND range_end < now() - INTERVAL '1 hour'
		  AND EXISTS (SELECT FROM timescaledb_information.hypertables h
		              WHERE h.hypertable_name = 'telemetry' AND h.hypertable_schema = current_schema() AND h.compression_enabled)
		ORDER BY range_start`)
	if err != nil {
		return err
	}
	type chunk struct {
		Name     string
		From, To time.Time
	}
	chunks, err := pgx.CollectRows(rows, pgx.RowToStructByPos[chunk])
	if err != nil {
		return err
	}
	for _, c := range chunks {
		changed := false
		for _, s := range spans {
			changed = changed || !s.clip(timeSpan{c.From, c.To}).empty()
		}
		if !changed {
			continue
		}
		if _, err := r.conn.Exec(ctx, "SELECT compress_chunk('"+c.Name+"', if_not_compressed => true)"); err != nil {
			// The refresh works without, only slower.
			if ctx.Err() != nil {
				return err
			}
			continue
		}
		r.result.Compressed++
	}
	return nil
}

var errRebuilt = errors.New("the rollups were made anew meanwhile")

// advance records that the rollups now hold the sessions up to their batches.
func (r *refresh) advance(ctx context.Context, sessions []pending, dirty []int64) error {
	return pgx.BeginFunc(ctx, r.conn, func(tx pgx.Tx) error {
		now, err := rollupVersion(ctx, tx, "FOR SHARE")
		if err != nil {
			return err
		}
		if now != r.catalog.version {
			return errRebuilt // the new ones hold nothing yet
		}
		var ids, batches []int32
		for _, p := range sessions {
			ids, batches = append(ids, p.Session), append(batches, p.Batch)
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
		r.result.Sessions = int(tag.RowsAffected())
		_, err = tx.Exec(ctx, "DELETE FROM rollup_dirty WHERE id = ANY($1)", dirty)
		return err
	})
}

func rollupVersion(ctx context.Context, q querier, lock string) (version string, err error) {
	err = q.QueryRow(ctx, "SELECT version || ' ' || applied_at FROM repeatable_objects WHERE name = 'rollups' "+lock).Scan(&version)
	if err != nil {
		return "", fmt.Errorf("read the version of the rollups: %w", err)
	}
	return version, nil
}

// forgetDerived removes what is derived from the records of a session, in the
// transaction that deletes them and before the session's own row and its
// batches go. The rollups forget it soon after. A session that never appeared
// has no bounds but its batches'.
func forgetDerived(ctx context.Context, tx pgx.Tx, session int32) error {
	for _, table := range []string{"summary_parts", "session_summaries", "rollup_progress"} {
		if _, err := tx.Exec(ctx, "DELETE FROM "+table+" WHERE session = $1", session); err != nil {
			return fmt.Errorf("delete from %s: %w", table, err)
		}
	}
	_, err := tx.Exec(ctx, `
		INSERT INTO rollup_dirty (session, from_time, to_time)
		SELECT s.session, coalesce(s.first_time, b.first_time), coalesce(s.last_time, b.last_time)
		FROM sessions s, (
			SELECT min(min_time) AS first_time, max(max_time) AS last_time
			FROM ingest_batches
			WHERE session = $1) b
		WHERE s.session = $1 AND coalesce(s.first_time, b.first_time) IS NOT NULL`, session)
	if err != nil {
		return fmt.Errorf("note what the rollups have to forget: %w", err)
	}
	return nil
}
