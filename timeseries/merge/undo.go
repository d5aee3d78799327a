package merge

import (
	"context"
	"crypto/sha256"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/ecovolt/telemetryd/internal/fault"
	schema "github.com/ecovolt/telemetryd/sql"
	"github.com/ecovolt/telemetryd/timeseries/ingest/cluster"
	"github.com/ecovolt/telemetryd/timeseries/record"
)

// Done is a merge in a run's list.
type Done struct {
	Batch    int32
	File     string
	MergedAt time.Time
	UndoneBy *int32 // the batch that undid it
	Report   Report
}

// List lists the merges of a run, the oldest first.
func (m *Merger) List(ctx context.Context, session string) ([]Done, error) {
	list, err := schema.List(ctx, m.Writer.Pool, pgx.RowToStructByPos[Done], `
		SELECT m.batch, m.file, m.merged_at, m.undone_by, m.report
		FROM merges m
		JOIN sessions s USING (session)
		WHERE s.id = $1 AND s.deleted_at IS NULL
		ORDER BY m.batch`, session)
	if err != nil {
		return nil, fmt.Errorf("list merges: %w", err)
	}
	return list, nil
}

// Undo takes merges back: the records that they added or set aside go, and what they filled in is NULL again. Without batches it takes back
// all of the run's. It returns the batches that were undone, NotFound where there
// is no such run or merge, and a Conflict where a merge that came later stays.
func (m *Merger) Undo(ctx context.Context, id string, batches ...int32) (undone []int32, err error) {
	if record.TextProblem([]byte(id)) != "" {
		return nil, fault.NoSession(id)
	}
	err = schema.Tx(ctx, m.Writer.Pool, func(ctx context.Context, tx pgx.Tx) error {
		undone, err = m.undo(ctx, tx, id, batches)
		return err
	})
	if err == nil {
		m.Writer.OnCommit(id)
	}
	return undone, err
}

func (m *Merger) undo(ctx context.Context, tx pgx.Tx, id string, batches []int32) ([]int32, error) {
	var of run
	if err := of.read(ctx, tx, id, true); err != nil {
		return nil, err
	}
	if err := schema.UnpackAny(ctx, tx); err != nil {
		return nil, err
	}
	session, batch, first, last := of.session, of.batch, of.first, of.last
	there, err := schema.List(ctx, tx, pgx.RowTo[int32], `
		SELECT batch
		FROM merges
		WHERE session = $1 AND undone_by IS NULL
		ORDER BY batch`, session)
	if err != nil {
		return nil, fmt.Errorf("list merges: %w", err)
	}
	if len(batches) == 0 {
		batches = there
	}
	if len(batches) == 0 {
		return nil, fault.New(fault.NotFound, "nothing was merged into session %q", fault.Clip(id))
	}
	for _, b := range batches {
		if !slices.Contains(there, b) {
			return nil, fault.New(fault.NotFound, "batch %d of session %q is no merge, or undone already", b, fault.Clip(id))
		}
	}
	for _, b := range there {
		if b > slices.Min(batches) && !slices.Contains(batches, b) {
			return nil, fault.New(fault.Conflict, "merge %d came later, and found records of the merge to undo in the run; undo it as well", b)
		}
	}
	var removed, emptied int64
	if first != nil {
		if removed, emptied, err = takeBack(ctx, tx, session, first, last, batches); err != nil {
			return nil, err
		}
	}
	digest := sha256.Sum256(fmt.Appendf(nil, "undo %d", batch))
	var log pgx.Batch
	log.Queue(`
		UPDATE sessions
		SET batch = $2, rewritten = $2, records = records - $3, updated_at = clock_timestamp()
		WHERE session = $1`, session, batch, removed)
	log.Queue(boundsSQL, session, first, last)
	log.Queue(`
		UPDATE ingest_batches
		SET digest = sha256(digest || $3), records = 0, changed = 0, set_aside = 0, min_time = NULL, max_time = NULL
		WHERE session = $1 AND batch = ANY($2)`, session, batches, digest[:])
	log.Queue(`
		INSERT INTO ingest_batches (session, batch, digest, form, min_time, max_time, records, changed, source)
		VALUES ($1, $2, $3, 2, $4, $5, 0, $6, 'merge')`, session, batch, digest[:], first, last, removed+emptied)
	log.Queue(`
		WITH gone AS (
			DELETE FROM set_aside
			WHERE session = $1 AND batch = ANY($2)
			RETURNING id
		)
		UPDATE sessions
		SET set_aside = set_aside - (SELECT count(*) FROM gone)
		WHERE session = $1`, session, batches)
	log.Queue("UPDATE merges SET undone_by = $3 WHERE session = $1 AND batch = ANY($2)", session, batches, batch)
	log.Queue("DELETE FROM merge_fills WHERE session = $1 AND batch = ANY($2)", session, batches)
	if err := tx.SendBatch(ctx, &log).Close(); err != nil {
		return nil, fmt.Errorf("log undo: %w", err)
	}
	if err := cluster.Recount(ctx, tx, session); err != nil || first == nil {
		return batches, err
	}
	return batches, m.Writer.Forget(ctx, tx, session, *first, *last)
}

// takeBack removes what the merges brought, and counts it.
func takeBack(ctx context.Context, tx pgx.Tx, session int32, first, last *time.Time, batches []int32) (removed, emptied int64, err error) {
	names, err := schema.List(ctx, tx, pgx.RowTo[string], `
		SELECT DISTINCT name
		FROM merge_fills, unnest(channels) AS name
		WHERE session = $1 AND batch = ANY($2)`, session, batches)
	if err != nil {
		return 0, 0, fmt.Errorf("list what was filled: %w", err)
	}
	set := []string{"numbers = NULL", "extra = nullif(record_members(t.numbers, t.extra) - l.members, '{}')"}
	for _, name := range names {
		set = append(set, fmt.Sprintf("%[1]s = CASE WHEN '%[1]s' <> ALL(l.channels) THEN t.%[1]s END", name))
	}
	// A table of its own has statistics: without, the planner takes these for a
	// few rows, and looks for each of them through the whole run.
	_, err = tx.Exec(ctx, `
		CREATE TEMP TABLE merge_emptied ON COMMIT DROP AS
		SELECT of_batch, of_ord,
		       coalesce(array_agg(name) FILTER (WHERE NOT member), '{}') AS channels,
		       coalesce(array_agg(name) FILTER (WHERE member), '{}') AS members
		FROM merge_fills,
		     LATERAL (SELECT unnest(channels) AS name, false AS member UNION ALL SELECT unnest(members), true) one
		WHERE session = $1 AND batch = ANY($2)
		GROUP BY of_batch, of_ord`, session, batches)
	if err == nil {
		_, err = tx.Exec(ctx, "ANALYZE merge_emptied")
	}
	if err != nil {
		return 0, 0, fmt.Errorf("list what was filled: %w", err)
	}
	tag, err := tx.Exec(ctx, `
		UPDATE telemetry t
		SET `+strings.Join(set, ", ")+`
		FROM merge_emptied l
		WHERE t.session = $1 AND t.time >= $2 AND t.time <= $3 AND t.batch = l.of_batch AND t.ord = l.of_ord`,
		session, first, last)
	if err != nil {
		return 0, 0, fmt.Errorf("empty what was filled: %w", err)
	}
	emptied = tag.RowsAffected()
	tag, err = tx.Exec(ctx, `
		DELETE FROM telemetry
		WHERE session = $1 AND time >= $3 AND time <= $4 AND batch = ANY($2)`, session, batches, first, last)
	if err != nil {
		return 0, 0, fmt.Errorf("remove what was added: %w", err)
	}
	return tag.RowsAffected(), emptied, nil
}
