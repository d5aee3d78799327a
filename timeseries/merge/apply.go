package merge

import (
	"context"
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"

	schema "github.com/ecovolt/telemetryd/sql"
	"github.com/ecovolt/telemetryd/timeseries/channel"
	"github.com/ecovolt/telemetryd/timeseries/ingest/aside"
	"github.com/ecovolt/telemetryd/timeseries/ingest/cluster"
)

// compare lays the file over the run, and finds out which records are in both,
// what those of the run lack and what is to be added. It changes nothing.
func (w *work) compare(ctx context.Context) error {
	offset, err := w.align(ctx)
	if err != nil {
		return err
	}
	w.report.Offset = offset
	if err := w.move(offset.Microseconds()); err != nil {
		return err
	}
	if _, err := w.tx.Exec(ctx, "DROP TABLE IF EXISTS merge_pairs, merge_lacking, merge_aside"); err != nil {
		return fmt.Errorf("compare anew: %w", err)
	}
	times, places := spread(w.stored, w.merged, w.step.Microseconds(), w.burst > 1)
	both := pairs(times, w.logger.times, w.step.Microseconds()/int64(2*w.burst))
	w.report.Both = len(both)
	w.deliver()
	rows := make([][]any, len(both))
	for i, p := range both {
		at := w.stored[places[p.stored]]
		rows[i] = []any{w.logger.places[p.logger], at.Time(), at.Batch, at.Ord}
	}
	if _, err := w.tx.Exec(ctx, `
		CREATE TEMP TABLE merge_pairs (
			place  integer PRIMARY KEY,
			time   timestamptz NOT NULL,
			batch  integer NOT NULL,
			of_ord integer NOT NULL
		) ON COMMIT DROP`); err != nil {
		return fmt.Errorf("note what is in both: %w", err)
	}
	if _, err := w.tx.CopyFrom(ctx, pgx.Identifier{"merge_pairs"}, []string{"place", "time", "batch", "of_ord"}, pgx.CopyFromRows(rows)); err != nil {
		return fmt.Errorf("note what is in both: %w", err)
	}
	if _, err := w.tx.Exec(ctx, "ANALYZE merge_pairs"); err != nil {
		return fmt.Errorf("note what is in both: %w", err)
	}
	if err := w.disagreeing(ctx); err != nil {
		return fmt.Errorf("compare counters: %w", err)
	}
	if err := w.lacking(ctx); err != nil {
		return fmt.Errorf("compare records: %w", err)
	}
	if err := w.misplaced(ctx); err != nil {
		return fmt.Errorf("compare records set aside: %w", err)
	}
	if w.report.Added = len(w.logger.times) - len(both); w.report.Added+w.report.Filled+w.report.SetAside > 0 {
		w.report.Batch = w.batch
	}
	return nil
}

// apply writes what compare found. The session is locked.
func (w *work) apply(ctx context.Context) error {
	if err := schema.UnpackAny(ctx, w.tx); err != nil {
		return err
	}
	if err := w.fill(ctx); err != nil {
		return fmt.Errorf("fill records: %w", err)
	}
	if err := w.add(ctx); err != nil {
		return fmt.Errorf("add records: %w", err)
	}
	return w.log(ctx)
}

// steps are what lies between times in their order, µs.
func steps(times []int64) []time.Duration {
	list := make([]time.Duration, 0, len(times))
	for i := 1; i < len(times); i++ {
		list = append(list, time.Duration(times[i]-times[i-1])*time.Microsecond)
	}
	return list
}

// deliver works out how much the radio brought while the logger wrote.
func (w *work) deliver() {
	times, step := w.logger.times, w.step
	if step == 0 || len(times) < 2 {
		return
	}
	steps := steps(times)
	own := channel.UsualStep(slices.Clone(steps))
	gap, half := channel.GapAfter(own), step.Microseconds()/2
	written, brought, i := own, 0, 0 // of the logger's time, and of the radio's records within
	for j, from := range times {
		to := from
		if j < len(steps) && steps[j] <= gap {
			written += steps[j]
			to = times[j+1]
		}
		for i < len(w.radio) && w.radio[i] < from-half {
			i++
		}
		for i < len(w.radio) && w.radio[i] <= to+half {
			brought, i = brought+1, i+1
		}
	}
	if written == 0 { // all at one time
		return
	}
	delivered := min(100, 100*float64(brought)/(float64(written)/float64(step)*float64(w.burst)))
	w.report.Delivered = &delivered
}

// disagreeing finds the counters that count from another zero than the run's:
// by the records that both have, by more than a hundredth of how far they count.
func (w *work) disagreeing(ctx context.Context) error {
	for _, name := range counters {
		if i, _ := channel.Index(name); !slices.Contains(w.channels, i) {
			continue
		}
		var other bool
		err := w.tx.QueryRow(ctx, fmt.Sprintf(`
			SELECT coalesce(percentile_cont(0.5) WITHIN GROUP (ORDER BY abs(t.%[1]s - f.%[1]s)) > 0.01 * (max(t.%[1]s) - min(t.%[1]s)), false)
			FROM merge_pairs p
			JOIN merge_file f ON f.ord = p.place
			JOIN telemetry t ON t.session = $1 AND t.time = p.time AND t.batch = p.batch AND t.ord = p.of_ord
			WHERE t.session = $1 AND t.time >= $2 AND t.time <= $3`, name), w.session, w.first, w.last).Scan(&other)
		if err != nil {
			return err
		}
		if other {
			w.report.LeftOut = append(w.report.LeftOut, name)
		}
	}
	return nil
}

// filled are the file's channels that records of the run get.
func (w *work) filled() (names []string) {
	for _, i := range w.channels {
		if name := channel.All[i].Name; !slices.Contains(notMerged, name) && !slices.Contains(w.report.LeftOut, name) {
			names = append(names, name)
		}
	}
	return names
}

// lacking notes what the records that both have do not have and the file has.
func (w *work) lacking(ctx context.Context) error {
	var named []string
	for _, name := range w.filled() {
		named = append(named, fmt.Sprintf("CASE WHEN t.%[1]s IS NULL AND f.%[1]s IS NOT NULL THEN '%[1]s' END", name))
	}
	tag, err := w.tx.Exec(ctx, `
		CREATE TEMP TABLE merge_lacking ON COMMIT DROP AS
		SELECT p.*, lacking.channels, lacking.members
		FROM merge_pairs p
		JOIN merge_file f ON f.ord = p.place
		JOIN telemetry t ON t.session = $1 AND t.time = p.time AND t.batch = p.batch AND t.ord = p.of_ord
		CROSS JOIN LATERAL (
			SELECT array_remove(ARRAY[`+strings.Join(named, ", ")+`]::text[], NULL) AS channels,
			       ARRAY(SELECT member FROM jsonb_object_keys(f.extra) member
			             WHERE coalesce(NOT record_members(t.numbers, t.extra) ? member, true)) AS members
		) lacking
		WHERE t.session = $1 AND t.time >= $2 AND t.time <= $3 AND (cardinality(lacking.channels) > 0 OR cardinality(lacking.members) > 0)`,
		w.session, w.first, w.last)
	if err != nil {
		return err
	}
	w.report.Filled = int(tag.RowsAffected())
	w.report.Channels, err = schema.List(ctx, w.tx, pgx.RowTo[string], `
		SELECT DISTINCT name
		FROM merge_lacking, unnest(channels || members) AS name
		ORDER BY name`)
	return err
}

// misplaced notes the records whose time cannot be right, but for those that the
// run has set aside already, or had until somebody put them back or dropped them.
func (w *work) misplaced(ctx context.Context) error {
	places, reasons := make([]int32, len(w.odd)), make([]string, len(w.odd))
	for i, odd := range w.odd {
		places[i], reasons[i] = odd.place, string(odd.reason)
	}
	tag, err := w.tx.Exec(ctx, `
		CREATE TEMP TABLE merge_aside ON COMMIT DROP AS
		SELECT *
		FROM (
			SELECT place, 'no time', NULL::timestamptz, timestamp, record::jsonb
			FROM merge_timeless
			UNION ALL
			SELECT o.place, o.reason, g.time, `+aside.RowSQL+`
			FROM unnest($2::int[], $3::text[]) o (place, reason)
			JOIN merge_file g ON g.ord = o.place
		) odd (place, reason, time, timestamp, record)
		WHERE NOT EXISTS (SELECT FROM set_aside a WHERE a.session = $1 AND a.timestamp = odd.timestamp AND a.record = odd.record)
		  AND NOT EXISTS (SELECT FROM repaired r WHERE r.session = $1 AND r.digest = sha256(convert_to(odd.timestamp || odd.record::text, 'UTF8')))`,
		w.session, places, reasons)
	w.report.SetAside = int(tag.RowsAffected())
	return err
}

// fill puts values into the records that both have, where those have none, and
// logs which.
func (w *work) fill(ctx context.Context) error {
	if w.report.Filled == 0 {
		return nil
	}
	if _, err := w.tx.Exec(ctx, "ANALYZE merge_lacking"); err != nil {
		return err
	}
	_, err := w.tx.Exec(ctx, `
		INSERT INTO merge_fills (session, batch, of_batch, of_ord, channels, members)
		SELECT $1, $2, batch, of_ord, channels, members
		FROM merge_lacking`, w.session, w.batch)
	if err != nil {
		return err
	}
	set := []string{"numbers = NULL", "extra = coalesce(f.extra || record_members(t.numbers, t.extra), f.extra, record_members(t.numbers, t.extra))"}
	for _, name := range w.filled() {
		set = append(set, fmt.Sprintf("%[1]s = coalesce(t.%[1]s, f.%[1]s)", name))
	}
	tag, err := w.tx.Exec(ctx, `
		UPDATE telemetry t
		SET `+strings.Join(set, ", ")+`
		FROM merge_lacking l
		JOIN merge_file f ON f.ord = l.place
		WHERE t.session = $1 AND t.time >= $2 AND t.time <= $3 AND t.time = l.time AND t.batch = l.batch AND t.ord = l.of_ord`,
		w.session, w.first, w.last)
	if err != nil {
		return err
	}
	if n := int(tag.RowsAffected()); n != w.report.Filled {
		return fmt.Errorf("%d records were filled, not %d", n, w.report.Filled)
	}
	return nil
}

// add stores the records that the run does not have.
func (w *work) add(ctx context.Context) error {
	columns, values := []string{"extra", "data_source"}, []string{"f.extra", "coalesce(f.data_source, 'logger')"}
	for _, name := range w.filled() {
		columns, values = append(columns, name), append(values, "f."+name)
	}
	tag, err := w.tx.Exec(ctx, `
		INSERT INTO telemetry (session, batch, ord, time, `+strings.Join(columns, ", ")+`)
		SELECT $1, $2, (row_number() OVER (ORDER BY f.time, f.ord) - 1)::int, f.time + make_interval(secs => $3::bigint / 1e6), `+strings.Join(values, ", ")+`
		FROM merge_file f
		WHERE f.time >= $4 AND f.time <= $5 AND NOT EXISTS (SELECT FROM merge_pairs p WHERE p.place = f.ord)`,
		w.session, w.batch, w.report.Offset.Microseconds(), w.file.from(), w.file.to())
	if n := int(tag.RowsAffected()); err == nil && n != w.report.Added {
		return fmt.Errorf("%d records were added, not %d", n, w.report.Added)
	}
	return err
}

// log enters the merge in the session, the commit log and the list of merges.
func (w *work) log(ctx context.Context) error {
	report, err := json.Marshal(w.report)
	if err != nil {
		return fmt.Errorf("encode report: %w", err)
	}
	// What changed lies between the first and the last of the file's records, and
	// half a step of the radio beside them.
	times, half := w.logger.times, w.step/2
	from, to := time.UnixMicro(times[0]).Add(-half), time.UnixMicro(times[len(times)-1]).Add(half)
	first, last := time.UnixMicro(min(times[0], w.stored[0].Micros)), time.UnixMicro(max(times[len(times)-1], w.stored[len(w.stored)-1].Micros))
	digest := sha256.Sum256(append([]byte("merge"), w.digest[:]...))
	var batch pgx.Batch
	batch.Queue(`
		UPDATE sessions
		SET batch = $2, rewritten = $2, records = records + $3, set_aside = set_aside + $4, updated_at = clock_timestamp()
		WHERE session = $1`, w.session, w.batch, w.report.Added, w.report.SetAside)
	batch.Queue(boundsSQL, w.session, first, last)
	batch.Queue(`
		INSERT INTO ingest_batches (session, batch, digest, form, min_time, max_time, records, changed, set_aside, source)
		VALUES ($1, $2, $3, 2, $4, $5, $6, $7, $8, 'merge')`, w.session, w.batch, digest[:], from, to, w.report.Added, w.report.Filled, w.report.SetAside)
	batch.Queue(`
		INSERT INTO set_aside (session, batch, source, reason, time, timestamp, record)
		SELECT $1, $2, 'merge', reason, time, timestamp, record
		FROM merge_aside
		ORDER BY place`, w.session, w.batch)
	batch.Queue(`
		INSERT INTO merges (session, batch, digest, file, shift_us, correlation, added, filled, report)
		VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9)`,
		w.session, w.batch, w.digest[:], w.opt.File, w.report.Offset.Microseconds(), w.report.Correlation, w.report.Added, w.report.Filled, report)
	if err := w.tx.SendBatch(ctx, &batch).Close(); err != nil {
		return fmt.Errorf("log merge: %w", err)
	}
	if err := cluster.Recount(ctx, w.tx, w.session); err != nil {
		return err
	}
	return w.Writer.Forget(ctx, w.tx, w.session, from, to)
}

// boundsSQL sets a session's bounds by its records, which lie between those times.
const boundsSQL = `
	UPDATE sessions
	SET first_time = oldest.time, first_text = oldest.time_text, last_time = newest.time, last_text = newest.time_text
	FROM (SELECT time, time_text
	      FROM telemetry
	      WHERE session = $1 AND time >= $2 AND time <= $3
	      ORDER BY time, batch, ord
	      LIMIT 1) oldest,
	     (SELECT time, time_text
	      FROM telemetry
	      WHERE session = $1 AND time >= $2 AND time <= $3
	      ORDER BY time DESC, batch DESC, ord DESC
	      LIMIT 1) newest
	WHERE session = $1`
