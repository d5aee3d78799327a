package series

import (
	"context"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgtype"

	"github.com/ecovolt/telemetryd/internal/fault"
	schema "github.com/ecovolt/telemetryd/sql"
	"github.com/ecovolt/telemetryd/timeseries/column"
	"github.com/ecovolt/telemetryd/timeseries/kept"
	"github.com/ecovolt/telemetryd/timeseries/record"
	"github.com/ecovolt/telemetryd/timeseries/rollup"
	"github.com/ecovolt/telemetryd/timeseries/rollup/tall"
	"github.com/ecovolt/telemetryd/timeseries/series/round"
	"github.com/ecovolt/telemetryd/timeseries/series/usual"
)

// raw stands for the records themselves where a level is asked for.
const raw = -1

// view is one session as one snapshot shows it.
type view struct {
	tx      pgx.Tx
	catalog *rollup.Catalog
	session int32
	id      string
	version string
	// rewritten and batch are those of the session's row.
	rewritten, batch int32
	growing          bool // records came a moment ago
	records          int64
	settled          bool
	// steps are the usual steps of the channels that were asked for, in s, by the
	// run's summary. Nil where that is too old to tell.
	steps map[string]float64
	// span holds all records.
	span rollup.Span
	// carried are the channels that a record of it may carry: all where that is
	// not known.
	carried record.Mask
	// lost is where the session's records begin that are still there, if a
	// retention policy dropped older ones; else zero.
	lost time.Time
	// dirty are the ranges that the rollups do not show yet, merged; meaningful
	// only with rollups.
	dirty []rollup.Span
	// tall is what the levels have of members that were asked for; nil for nothing.
	tall *tall.Known
	// columns are those of a view of these levels, see ofMembers.
	columns []tall.Column
	// held is what is in memory of the session, and sampled the usual steps that were
	// looked for.
	held    column.Run
	sampled *kept.Values[time.Duration]
}

// viewsSQL finds sessions by id, what their summaries know of the usual steps of these
// channels, and which ranges the levels lack.
const viewsSQL = `
	SELECT s.session, s.id, ` + schema.SessionVersion + `, s.records, s.first_time, s.last_time,
	       s.ended_at IS NOT NULL OR s.updated_at < now() - INTERVAL '1 hour',
	       ` + column.Growing + `,
	       ` + usual.KnownSteps + `,
	       CASE WHEN s.carried_batch = s.batch THEN s.carried END, s.rewritten, s.batch, lacking.since, lacking.until
	FROM sessions s LEFT JOIN session_summaries m USING (session),
	     LATERAL (
		SELECT array_agg(min_time) AS since, array_agg(max_time) AS until
		FROM (
			SELECT b.min_time, b.max_time FROM ingest_batches b
			WHERE b.session = s.session AND b.min_time IS NOT NULL
			  AND b.batch > coalesce((SELECT p.batch FROM rollup_progress p WHERE p.session = s.session), 0)
			UNION ALL
			SELECT d.from_time, d.to_time FROM rollup_dirty d WHERE d.session = s.session
		) changed
	     ) lacking
	WHERE s.id = ANY($1) AND s.deleted_at IS NULL`

// openViews prepares the transaction and finds the sessions, and what their
// summaries know of these channels, and the levels of these members.
func (r *Reader) openViews(ctx context.Context, tx pgx.Tx, cat *rollup.Catalog, ids, channels, members []string) ([]*view, error) {
	var batch pgx.Batch
	// These go by keys, whatever the parameters: to plan them anew takes a tenth of
	// what a small read does.
	batch.Queue("SELECT set_config('plan_cache_mode', 'force_generic_plan', true)")
	var found map[string]*view
	batch.Queue(viewsSQL, ids, channels).Query(func(rows pgx.Rows) (err error) {
		found, err = scanViews(rows, cat)
		return err
	})
	var levels map[string]*tall.Known
	if len(members) > 0 {
		levels = tall.Queue(&batch, ids, members)
	}
	batch.Queue(cat.Settings, fmt.Sprint(timeout.Milliseconds()))
	if err := tx.SendBatch(ctx, &batch).Close(); err != nil {
		return nil, err
	}
	for id, v := range found {
		v.tall = levels[id]
	}
	return r.finish(ctx, tx, found, ids)
}

// scanViews reads what viewsSQL found, by id.
func scanViews(rows pgx.Rows, cat *rollup.Catalog) (map[string]*view, error) {
	found := map[string]*view{}
	v := view{catalog: cat}
	var first, last *time.Time
	var carried pgtype.Bits
	var since, until []time.Time
	_, err := pgx.ForEachRow(rows, []any{&v.session, &v.id, &v.version, &v.records, &first, &last, &v.settled, &v.growing, &v.steps, &carried, &v.rewritten, &v.batch, &since, &until}, func() error {
		one := v
		one.carried = record.MaskOf(carried.Bytes)
		if first != nil && last != nil {
			one.span = rollup.Span{From: first.UTC(), To: last.Add(time.Microsecond).UTC()}
		}
		for i := range since {
			one.dirty = append(one.dirty, rollup.Span{From: since[i].UTC(), To: until[i].Add(time.Microsecond).UTC()})
		}
		found[one.id] = &one
		v.steps, since, until = nil, nil, nil
		return nil
	})
	return found, err
}

// finish returns the views in the order of the ids, once they know what is lost and what
// is held.
func (r *Reader) finish(ctx context.Context, tx pgx.Tx, found map[string]*view, ids []string) ([]*view, error) {
	views := make([]*view, len(ids))
	for i, id := range ids {
		v := found[id]
		if v == nil {
			return nil, fault.NoSession(id)
		}
		v.tx, v.sampled = tx, r.sampled
		if err := v.findLost(ctx); err != nil {
			return nil, err
		}
		v.dirty = rollup.Few(v.dirty)
		if v.tall != nil {
			v.tall.Behind = rollup.Few(v.tall.Behind)
		}
		var err error
		v.held, err = r.columns.Open(ctx, tx, column.State{
			ID: id, Session: v.session, Rewritten: v.rewritten, Batch: v.batch, Records: v.records,
			From: v.span.From.UnixMicro(), To: v.span.To.UnixMicro(), Growing: v.growing,
		}, column.Loader{Pool: r.pool, Settings: v.catalog.Settings})
		if err != nil {
			return nil, err
		}
		views[i] = v
	}
	return views, nil
}

// findLost finds out which records are gone, and trusts the rollups there.
func (v *view) findLost(ctx context.Context) error {
	if !v.catalog.Stored() || v.span.Empty() || !v.span.From.Before(v.catalog.Oldest) {
		return nil
	}
	// Since the catalog was read, older records may have come.
	oldest, err := rollup.OldestRecord(ctx, v.tx)
	if err != nil || !v.span.From.Before(oldest) {
		return err
	}
	v.lost = oldest
	v.dirty = rollup.Since(oldest, v.dirty)
	if v.tall != nil {
		v.tall.Behind = rollup.Since(oldest, v.tall.Behind)
	}
	return nil
}

// level returns the coarsest rollup that buckets of that width can be made of.
func (v *view) level(width time.Duration) int {
	return v.coarsest(func(l rollup.Level) bool { return width%l.Width == 0 && v.catalog.Tables[l.Relation] != "" })
}

// littleCells is how many rows, times the metrics and one, are read in the time that a
// chart may take: 9 ms.
const littleCells = 27_000

// width returns the width of buckets for a window: the narrowest for which few rows
// are read. Of many, no level is left out that is up to twice as wide.
func (v *view) width(window rollup.Span, points, metrics int) time.Duration {
	return round.Width(window, points, func(width time.Duration) bool {
		level := v.level(width)
		if level != raw {
			of := rollup.Levels[level].Width
			return width/of <= 3 || int(window.Length()/of)*(metrics+1) <= littleCells
		}
		return v.recordsIn(window)*(metrics+1) <= littleCells || v.levelWithin(4*width) == raw
	})
}

// stateLevel does the same for text states, which not every level has.
func (v *view) stateLevel(width time.Duration) int {
	return v.coarsest(func(l rollup.Level) bool { return width%l.Width == 0 && v.catalog.Tables[l.States] != "" })
}

// coarsest returns the last level that will do.
func (v *view) coarsest(will func(rollup.Level) bool) int {
	best := raw
	for i, level := range rollup.Levels {
		if will(level) {
			best = i
		}
	}
	return best
}

// levelName returns the name that answers use.
func levelName(level int) string {
	if level == raw {
		return "raw"
	}
	return rollup.Levels[level].Name
}

// relation returns the table that holds a level, and its column of time.
func (v *view) relation(level int) (table, timeColumn string) {
	if level == raw {
		return "telemetry", "time"
	}
	if v.columns != nil {
		return tall.Relation(rollup.Levels[level].Width, v.columns), "bucket"
	}
	return v.catalog.Tables[rollup.Levels[level].Relation], "bucket"
}

// segment is a range that one level serves exactly: whole buckets, none dirty.
type segment struct {
	level int
	span  rollup.Span
}

// below returns which level serves what is left at the edges of another one.
func below(level int) int {
	for level--; level >= 0 && !rollup.Levels[level].Edges; level-- {
	}
	return level
}

// cover cuts a window into segments, the bulk at that level and the edges at
// finer ones. What the rollups do not show yet is left to the records.
func (v *view) cover(window rollup.Span, level int) []segment {
	window = window.Clip(v.span)
	if window.Empty() {
		return nil
	}
	if level == raw {
		return []segment{{raw, window}}
	}
	finest := level
	for below(finest) != raw {
		finest = below(finest)
	}
	width := rollup.Levels[finest].Width
	var segments []segment
	at := window.From
	clean := func(to time.Time) {
		segments = v.coverClean(segments, rollup.Span{From: at, To: to}, level)
		at = to
	}
	for _, d := range v.dirty {
		d = d.Outward(width).Clip(rollup.Span{From: at, To: window.To})
		if d.Empty() {
			continue
		}
		clean(d.From)
		segments = addSegment(segments, segment{raw, d})
		at = d.To
	}
	clean(window.To)
	return segments
}

// coverClean covers a span that holds nothing dirty.
func (v *view) coverClean(segments []segment, s rollup.Span, level int) []segment {
	if s.Empty() {
		return segments
	}
	if level == raw {
		return addSegment(segments, segment{raw, s})
	}
	inner := s.Inward(rollup.Levels[level].Width)
	// The session's own ends are no edges: nothing lies beyond them.
	if s.From.Equal(v.span.From) {
		inner.From = rollup.Floor(s.From, rollup.Levels[level].Width)
	}
	if s.To.Equal(v.span.To) {
		inner.To = rollup.Ceil(s.To, rollup.Levels[level].Width)
	}
	if inner.Empty() {
		return v.coverClean(segments, s, below(level))
	}
	segments = v.coverClean(segments, rollup.Span{From: s.From, To: inner.From}, below(level))
	segments = addSegment(segments, segment{level, inner})
	return v.coverClean(segments, rollup.Span{From: inner.To, To: s.To}, below(level))
}

// addSegment appends a segment, joined to the last one if that is of its kind.
func addSegment(segments []segment, p segment) []segment {
	if n := len(segments); n > 0 && segments[n-1].level == p.level && segments[n-1].span.To.Equal(p.span.From) {
		segments[n-1].span.To = p.span.To
		return segments
	}
	return append(segments, p)
}
