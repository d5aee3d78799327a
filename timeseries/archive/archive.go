package archive

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"sync"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
	"golang.org/x/sync/singleflight"

	"github.com/ecovolt/telemetryd/internal/fault"
	"github.com/ecovolt/telemetryd/internal/load"
	schema "github.com/ecovolt/telemetryd/sql"
	"github.com/ecovolt/telemetryd/timeseries/places"
)

// Sizes of the function contract's archive files.
const (
	PartRecords     = 3000 // records of a part
	previewRecords  = 160  // records of a part's preview, evenly spaced
	overviewRecords = 1500 // records of a session's overview, evenly spaced
)

// Archives are the archives of a database's sessions. They are safe for
// concurrent use, by any number of instances.
type Archives struct {
	pool    *pgxpool.Pool
	places  *places.Places
	stats   func(ctx context.Context, sessionID string) (Stats, error)
	refresh singleflight.Group
	slots   *load.Queue // for files that are made

	secretMu sync.Mutex
	secret   []byte
}

// New makes Archives on a migrated database, with the places of its members. The function given returns the
// figures of a session; its error is fault.NotFound when there is no such session.
func New(pool *pgxpool.Pool, members *places.Places, stats func(ctx context.Context, sessionID string) (Stats, error)) *Archives {
	slots := max(2, runtime.GOMAXPROCS(0))
	return &Archives{pool: pool, places: members, stats: stats, slots: load.NewQueue(slots, slots/2, 0)}
}

// List is the division of one session.
type List struct {
	Records int64 // in all parts
	Parts   []Part
}

// Part is one stretch of a session.
type Part struct {
	Number      int
	Records     int
	First       time.Time // of the oldest record
	Last        time.Time // of the newest record
	Name        string    // of the file with all its records
	PreviewName string    // of the file with 160 of them
}

// storedPart is a row of archive_parts.
type storedPart struct {
	number      int
	batch       int32
	first, last time.Time
	skip        int
	records     int
	marks       waymarks // only of parts that were just found
}

// markEvery is how many records lie from one remembered place to the next.
// It divides PartRecords.
const markEvery = 100

// waymarks are places in a session: times, each with how many records of the same
// time stand before the one meant.
type waymarks struct {
	times []time.Time
	skips []int32
}

func (m *waymarks) add(n waymarks) {
	m.times, m.skips = append(m.times, n.times...), append(m.skips, n.skips...)
}

// archived is the session's row as far as archives need it.
type archived struct {
	session     int32
	batch       int32
	records     int64
	first, last time.Time
}

// List divides a session into parts; nil when there is no such session.
func (a *Archives) List(ctx context.Context, sessionID string) (*List, error) {
	s, err := a.find(ctx, sessionID)
	if err != nil || s == nil {
		return nil, err
	}
	index, err := a.divided(ctx, s.session, s.batch)
	if err != nil {
		return nil, err
	}
	secret, err := a.key(ctx)
	if err != nil {
		return nil, err
	}
	archive := &List{Records: index.records}
	for _, p := range index.parts {
		file := content{
			kind: kindPart, session: s.session, batch: p.batch,
			first: p.first.UnixMicro(), last: p.last.UnixMicro(), skip: uint32(p.skip), records: uint64(p.records),
		}
		preview := file
		preview.kind = kindPreview
		archive.Parts = append(archive.Parts, Part{
			Number: p.number, Records: p.records, First: p.first.UTC(), Last: p.last.UTC(),
			Name: file.name(secret), PreviewName: preview.name(secret),
		})
	}
	return archive, nil
}

// Overview is the file that shows a whole session.
type Overview struct {
	Name    string // of the file
	Points  int    // records in it
	Records int64  // records of the session
	Stats   Stats
}

// Overview names the overview of a session, which holds its figures too. It is
// nil when there is no such session or it has no records.
func (a *Archives) Overview(ctx context.Context, sessionID string) (*Overview, error) {
	s, err := a.find(ctx, sessionID)
	if err != nil || s == nil || s.records == 0 {
		return nil, err
	}
	stats, err := a.stats(ctx, sessionID)
	if fault.Is(err, fault.NotFound) {
		return nil, nil // deleted a moment ago
	}
	if err != nil {
		return nil, err
	}
	secret, err := a.key(ctx)
	if err != nil {
		return nil, err
	}
	file := content{
		kind: kindOverview, session: s.session, batch: s.batch,
		first: s.first.UnixMicro(), last: s.last.UnixMicro(), records: uint64(s.records), stats: &stats,
	}
	return &Overview{file.name(secret), int(min(s.records, overviewRecords)), s.records, stats}, nil
}

// find returns nil when there is no such session.
func (a *Archives) find(ctx context.Context, sessionID string) (*archived, error) {
	var s archived
	var first, last *time.Time
	err := a.pool.QueryRow(ctx, `
		SELECT session, batch, records, first_time, last_time
		FROM sessions
		WHERE id = $1 AND deleted_at IS NULL`, schema.Storable(sessionID)).Scan(&s.session, &s.batch, &s.records, &first, &last)
	if errors.Is(err, pgx.ErrNoRows) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("find session: %w", err)
	}
	if first != nil && last != nil {
		s.first, s.last = *first, *last
	}
	return &s, nil
}

// key returns the secret that names are signed with.
func (a *Archives) key(ctx context.Context) ([]byte, error) {
	a.secretMu.Lock()
	defer a.secretMu.Unlock()
	if a.secret == nil {
		if err := a.pool.QueryRow(ctx, "SELECT secret FROM archive_secret").Scan(&a.secret); err != nil {
			return nil, fmt.Errorf("read archive secret: %w", err)
		}
	}
	return a.secret, nil
}

// division is what archives and archive_parts hold of a session.
type division struct {
	batch   int32
	records int64
	parts   []storedPart
}

func readParts(ctx context.Context, db schema.Querier, session int32) (division, error) {
	// One statement, so that both tables are seen at the same moment.
	rows, err := db.Query(ctx, `
		SELECT a.batch, a.records, p.part, p.batch, p.first_time, p.skip, p.last_time, p.records
		FROM archives a
		LEFT JOIN archive_parts p ON p.session = a.session
		WHERE a.session = $1
		ORDER BY p.part`, session)
	if err != nil {
		return division{}, fmt.Errorf("read archive parts: %w", err)
	}
	defer rows.Close()
	var d division
	for rows.Next() {
		var number, skip, records *int
		var batch *int32
		var first, last *time.Time
		if err := rows.Scan(&d.batch, &d.records, &number, &batch, &first, &skip, &last, &records); err != nil {
			return division{}, fmt.Errorf("read archive parts: %w", err)
		}
		if number != nil {
			d.parts = append(d.parts, storedPart{number: *number, batch: *batch, first: *first, last: *last, skip: *skip, records: *records})
		}
	}
	if err := rows.Err(); err != nil {
		return division{}, fmt.Errorf("read archive parts: %w", err)
	}
	return d, nil
}

// divided returns the division of a session that knows that batch at least.
func (a *Archives) divided(ctx context.Context, session, batch int32) (division, error) {
	d, err := readParts(ctx, a.pool, session)
	if err == nil && d.batch < batch {
		d, err = a.refreshed(ctx, session)
	}
	return d, err
}

// behindRecords is how many records a division may lag before KeepUp looks at
// the session: as many as are divided in the blink of an eye.
const behindRecords = 10 * PartRecords

// KeepUp divides sessions that grew much since they were last divided, so that
// nobody who opens one has to wait for it. It returns how many it divided. Any
// number of instances may call it at the same time.
func (a *Archives) KeepUp(ctx context.Context) (sessions int, err error) {
	behind, err := schema.List(ctx, a.pool, pgx.RowTo[int32], `
		SELECT s.session
		FROM sessions s
		LEFT JOIN archives a ON a.session = s.session
		WHERE s.deleted_at IS NULL AND s.records - coalesce(a.records, 0) >= $1`, behindRecords)
	if err != nil {
		return 0, fmt.Errorf("find sessions to divide: %w", err)
	}
	var failed error
	for _, session := range behind {
		if _, err := a.refreshed(ctx, session); err != nil {
			failed = errors.Join(failed, err) // the next one may be shorter
			continue
		}
		sessions++
	}
	return sessions, failed
}

// refreshTimeout bounds one division of a session. It does not end with the
// caller that began it, since others wait for it too.
const refreshTimeout = 2 * time.Minute

// refreshed brings the division up to date, once for all who ask meanwhile.
func (a *Archives) refreshed(ctx context.Context, session int32) (division, error) {
	result := a.refresh.DoChan(fmt.Sprint(session), func() (any, error) {
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), refreshTimeout)
		defer cancel()
		var d division
		err := pgx.BeginFunc(ctx, a.pool, func(tx pgx.Tx) (err error) {
			d, err = divide(ctx, tx, session)
			return err
		})
		return d, err
	})
	select {
	case r := <-result:
		if r.Err != nil {
			return division{}, fmt.Errorf("divide session into parts: %w", r.Err)
		}
		return r.Val.(division), nil
	case <-ctx.Done():
		return division{}, ctx.Err()
	}
}

// divide finds the parts anew from the first one that batches since the last
// division fell into.
func divide(ctx context.Context, tx pgx.Tx, session int32) (division, error) {
	// refreshTimeout bounds it, not what bounds a page of an export.
	if err := schema.UnboundedTx(ctx, tx); err != nil {
		return division{}, err
	}
	if err := schema.Lock(ctx, tx, lockName(session)); err != nil {
		return division{}, err
	}
	old, err := readParts(ctx, tx, session)
	if err != nil {
		return division{}, err
	}
	var batch int32
	var touched, end *time.Time
	err = tx.QueryRow(ctx, `
		SELECT s.batch, s.last_time, (
			SELECT min(b.min_time) FROM ingest_batches b
			WHERE b.session = s.session AND b.batch > $2 AND b.batch <= s.batch)
		FROM sessions s
		WHERE s.session = $1`, session, old.batch).Scan(&batch, &end, &touched)
	if errors.Is(err, pgx.ErrNoRows) || err == nil && touched == nil {
		return old, nil // the session is gone, or another instance was faster
	}
	if err != nil {
		return division{}, err
	}
	keep := keptParts(old.parts, *touched)
	from := storedPart{number: keep}
	switch {
	case keep < len(old.parts):
		from = old.parts[keep]
	case keep > 0: // divide the last part again, to find where it ends
		keep--
		from = old.parts[keep]
	default:
		from.first = *touched
	}
	if touched.Before(from.first) { // before the session, or into a gap in front of the part
		from.first, from.skip = *touched, 0
	}
	found, err := scanParts(ctx, tx, session, from, batch, *end)
	if err != nil {
		return division{}, err
	}
	// A part that no new batch reached keeps its name, and so its place in
	// browsers' caches.
	for i := range found {
		if n := found[i].number; n < len(old.parts) && old.parts[n].last.Before(*touched) && old.parts[n].records == found[i].records {
			found[i].batch = old.parts[n].batch
		}
	}
	fresh := division{batch: batch, parts: append(old.parts[:keep:keep], found...)}
	for _, p := range fresh.parts {
		fresh.records += int64(p.records)
	}
	return fresh, writeParts(ctx, tx, session, fresh, keep)
}

func lockName(session int32) string { return fmt.Sprint("archive:", session) }

// Forget removes what is remembered of a session that was deleted.
func Forget(ctx context.Context, tx pgx.Tx, session int32) error {
	if err := schema.DeleteOf(ctx, tx, session, "archives", "archive_parts"); err != nil {
		return err
	}
	return schema.ForgetLocks(ctx, tx, lockName(session))
}

// keptParts counts the parts from the start that records from the time on
// cannot change: whole ones that end before it.
func keptParts(parts []storedPart, touched time.Time) int {
	for i, p := range parts {
		if !p.last.Before(touched) || p.records < PartRecords {
			return i
		}
	}
	return len(parts)
}

// scanParts counts its way through the session from the beginning of a part.
//
// It looks at times only, which the index has. Records of the same time are
// told apart by how many of them belong to the part before. The division must
// be of the batches up to one known; when another has arrived meanwhile, its
// records are left out, which the index alone cannot do.
func scanParts(ctx context.Context, tx pgx.Tx, session int32, from storedPart, batch int32, end time.Time) ([]storedPart, error) {
	args := []any{session, from.first, end, from.skip, PartRecords, from.number, markEvery}
	for filter := ""; ; filter = "AND batch <= $8" {
		if filter != "" {
			args = append(args, batch)
		}
		seen := batch
		read := func(row pgx.CollectableRow) (storedPart, error) {
			p := storedPart{batch: batch}
			err := row.Scan(&p.number, &p.first, &p.last, &p.records, &p.skip, &p.marks.times, &p.marks.skips, &seen)
			return p, err
		}
		parts, err := schema.List(ctx, tx, read, `
			SELECT $6 + (n - 1 - $4) / $5, min(time), max(time), count(*)::int,
				min(n - r) FILTER (WHERE (n - 1 - $4) % $5 = 0)::int,
				array_agg(time ORDER BY n) FILTER (WHERE (n - 1 - $4) % $7 = 0),
				array_agg((n - r)::int ORDER BY n) FILTER (WHERE (n - 1 - $4) % $7 = 0),
				(SELECT s.batch FROM sessions s WHERE s.session = $1)
			FROM `+ranked(filter)+`
			WHERE n > $4
			GROUP BY 1
			ORDER BY 1`, args...)
		if err != nil {
			return nil, err
		}
		if seen == batch || filter != "" {
			return parts, nil
		}
	}
}

// ranked lists the times of a session's records ($1) from $2 to $3, of those that
// the filter lets through: n counts them from 1, and r is the n of the first
// record of the same time.
func ranked(filter string) string {
	return `(
				SELECT time, row_number() OVER ordered AS n, rank() OVER ordered AS r
				FROM telemetry
				WHERE session = $1 AND time >= $2 AND time <= $3 ` + filter + `
				WINDOW ordered AS (ORDER BY time)
			) ranked`
}

// writeParts replaces the parts from number keep on.
func writeParts(ctx context.Context, tx pgx.Tx, session int32, d division, keep int) error {
	_, err := tx.Exec(ctx, "DELETE FROM archive_parts WHERE session = $1 AND part >= $2", session, keep)
	if err != nil {
		return err
	}
	rows := make([][]any, 0, len(d.parts)-keep)
	for _, p := range d.parts[keep:] {
		rows = append(rows, []any{session, p.number, p.batch, p.first, p.skip, p.last, p.records, p.marks.times, p.marks.skips})
	}
	columns := []string{"session", "part", "batch", "first_time", "skip", "last_time", "records", "mark_times", "mark_skips"}
	if _, err := tx.CopyFrom(ctx, pgx.Identifier{"archive_parts"}, columns, pgx.CopyFromRows(rows)); err != nil {
		return err
	}
	_, err = tx.Exec(ctx, `
		INSERT INTO archives (session, batch, records) VALUES ($1, $2, $3)
		ON CONFLICT (session) DO UPDATE SET batch = $2, records = $3`, session, d.batch, d.records)
	return err
}
