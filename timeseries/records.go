package timeseries

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgtype"

	"github.com/ecovolt/telemetryd/internal/fault"
	schema "github.com/ecovolt/telemetryd/sql"
	"github.com/ecovolt/telemetryd/timeseries/channel"
	"github.com/ecovolt/telemetryd/timeseries/channel/unit"
	"github.com/ecovolt/telemetryd/timeseries/record"
	"github.com/ecovolt/telemetryd/timeseries/rollup"
)

// RecordQuery names records of one session.
type RecordQuery struct {
	SessionID string
	// From and To bound the time, [From, To). A zero time is no bound.
	From, To time.Time
	// After starts behind that record. With Newest it is ignored.
	After *record.Cursor
	// Limit is the most records to give; 0 is no limit.
	Limit int
	// Newest takes the newest Limit records, which are then held in memory. They
	// are still given oldest first.
	Newest bool
	// Fields are the names of the channels to read; none means all members,
	// those that are no channel, too.
	Fields []string
	// SetAside reads what was set aside instead of what is stored: with the
	// timestamps received, by the times that they claim, those without one first.
	SetAside bool
	// Units is which units values are shown in; see record.Selection.ShownIn.
	Units unit.System
	// ID and Created, when not empty, name two more members of each record as
	// JSON: its opaque id, and when it was stored (ms since the Unix epoch).
	ID, Created string
}

// recordsSQL writes the query. Its time bounds let the planner leave out
// chunks, and its order is the index's (session, time) with a small sort of
// equal times, so that the first row comes at once whatever the session's size.
//
// They are the records of the batches up to that one, as long as none of those
// has changed; afterwards there are none.
func recordsSQL(fields *record.Selection, q RecordQuery, session, batch int32, limit int) (string, []any) {
	var sql strings.Builder
	args := []any{session, q.From, q.To, batch}
	sql.WriteString("SELECT ")
	sql.WriteString(fields.Columns())
	if q.Created != "" {
		sql.WriteString(", (SELECT b.received_at FROM ingest_batches b WHERE b.session = t.session AND b.batch = t.batch)")
	}
	if q.SetAside {
		if q.To.IsZero() {
			args[2] = "infinity"
		}
		sql.WriteString(" FROM " + oddRecordsSQL + " t WHERE t.session = $1 AND t.time >= $2 AND t.time < $3::timestamptz")
	} else {
		sql.WriteString(" FROM telemetry t WHERE t.session = $1 AND t.time >= $2 AND t.time < $3")
	}
	sql.WriteString(" AND t.batch <= $4 AND (" + fmt.Sprintf(unchangedSQL, 1, 4) + ")")
	if q.After != nil && !q.Newest {
		args = append(args, q.After.Time(), q.After.Batch, q.After.Ord)
		sql.WriteString(" AND (t.time, t.batch, t.ord) > ($5, $6, $7)")
	}
	if q.Newest {
		sql.WriteString(" ORDER BY t.time DESC, t.batch DESC, t.ord DESC")
	} else {
		sql.WriteString(" ORDER BY t.time, t.batch, t.ord")
	}
	args = append(args, limit)
	fmt.Fprintf(&sql, " LIMIT $%d", len(args))
	if q.Newest {
		return "SELECT * FROM (" + sql.String() + ") newest ORDER BY time, batch, ord", args
	}
	return sql.String(), args
}

// unchangedSQL tells whether the records of a session's batches are still there
// up to one of them; the first parameter's number is the session's, the second
// one's the batch's.
const unchangedSQL = "SELECT rewritten <= $%[2]d FROM sessions WHERE session = $%[1]d AND deleted_at IS NULL"

// anyTime is before every time that a record can claim.
var anyTime = time.Date(-4000, 1, 1, 0, 0, 0, 0, time.UTC)

// oddRecordsSQL is records that were set aside in the form of stored ones.
var oddRecordsSQL = func() string {
	var names []string
	for _, c := range channel.All {
		names = append(names, "'"+c.Name+"'")
	}
	return `(
		SELECT r.*
		FROM set_aside a
		CROSS JOIN LATERAL jsonb_populate_record(NULL::telemetry, a.record || jsonb_build_object(
			'time', coalesce(a.time, 'epoch'), 'session', a.session, 'batch', a.batch, 'ord', a.id, 'time_text', a.timestamp,
			'numbers', NULL, 'extra', nullif(a.record - ARRAY[` + strings.Join(names, ", ") + `], '{}'))) r
		WHERE a.session = $1)`
}()

// bounds is what the sessions table knows of where a session's records lie.
type bounds struct {
	found       bool
	session     int32
	batch       int32 // the newest one
	first, last time.Time
	records     int64
}

func sessionBounds(ctx context.Context, db schema.Querier, id string) (bounds, error) {
	if record.TextProblem([]byte(id)) != "" {
		return bounds{}, nil
	}
	b := bounds{found: true}
	var first, last *time.Time
	err := db.QueryRow(ctx, `
		SELECT session, batch, first_time, last_time, records
		FROM sessions
		WHERE id = $1 AND deleted_at IS NULL`, id).Scan(&b.session, &b.batch, &first, &last, &b.records)
	if err == pgx.ErrNoRows {
		return bounds{}, nil
	}
	if err != nil {
		return bounds{}, fmt.Errorf("find session: %w", err)
	}
	if first != nil && last != nil {
		b.first, b.last = *first, *last
	}
	return b, nil
}

// clamp narrows a window to where the session has records.
func clamp(b bounds, from, to time.Time) (time.Time, time.Time) {
	if from.Before(b.first) {
		from = b.first
	}
	if end := b.last.Add(time.Microsecond); to.IsZero() || to.After(end) {
		to = end
	}
	return from, to
}

// newestFrom finds a time from which the session has at least limit records
// before to. It looks back from the newest record in buckets of time that grow
// until they hold enough, so that it never walks the session.
func newestFrom(ctx context.Context, db schema.Querier, b bounds, from, to time.Time, limit int) (time.Time, error) {
	span := b.last.Sub(b.first)
	// What the session's mean rate needs, and half as much again.
	width := time.Minute
	if b.records > 0 {
		width = max(time.Second, time.Duration(1.5*float64(span)*float64(limit)/float64(b.records)))
	}
	for {
		start := to.Add(-width)
		if !start.After(from) {
			return from, nil
		}
		var enough bool
		// The order is what makes the planner take the index: it believes that a
		// scan of the whole chunk would soon meet as many records of the session.
		// The plan is made anew each time, as that of the records.
		err := db.QueryRow(ctx, `
			SELECT count(*) >= $4
			FROM (
				SELECT
				FROM telemetry
				WHERE session = $1 AND time >= $2 AND time < $3
				ORDER BY time DESC
				LIMIT $4
			) bucket`, pgx.QueryExecModeCacheDescribe, b.session, start, to, limit).Scan(&enough)
		if err != nil {
			return time.Time{}, fmt.Errorf("find newest bucket: %w", err)
		}
		if enough {
			return start, nil
		}
		width *= 4
	}
}

// AllRecords reads a bounded number of records into one JSON array. More than
// most records is a TooLarge fault.
func (s *Store) AllRecords(ctx context.Context, q RecordQuery, most int) ([]byte, int, error) {
	if q.Limit == 0 || q.Limit > most {
		q.Limit = most + 1
	}
	rs, err := s.Records(ctx, q)
	if err != nil {
		return nil, 0, err
	}
	out, n := []byte{'['}, 0
	for rs.Next() {
		if n == most {
			return nil, 0, fault.New(fault.TooLarge, "the session has more than %d records", most)
		}
		if n > 0 {
			out = append(out, ',')
		}
		out = rs.Record().AppendJSON(out)
		n++
	}
	if err := rs.Err(); err != nil {
		return nil, 0, err
	}
	return append(out, ']'), n, nil
}

// BucketedRecords returns one record for each of the newest limit buckets of time
// that hold any records: the mean of each number, the newest text, and the
// bucket's start as timestamp. It looks no further back than limit buckets from
// the newest record, so that a sparse run gives fewer. Records before since are
// left out; a zero since leaves none out. It answers with a JSON array, oldest
// first.
func (s *Store) BucketedRecords(ctx context.Context, sessionID string, width time.Duration, limit int, since time.Time) ([]byte, error) {
	if width < time.Millisecond || width > 24*time.Hour {
		return nil, fault.Field("width", "must be from 1 ms to 24 h")
	}
	width = width.Truncate(time.Microsecond)
	conn, err := s.reads.Acquire(ctx)
	if err != nil {
		return nil, fmt.Errorf("read buckets: %w", err)
	}
	defer conn.Release()
	b, err := sessionBounds(ctx, conn, sessionID)
	if err != nil {
		return nil, err
	}
	if !b.found || b.first.IsZero() {
		return []byte("[]"), nil
	}
	// Only as many buckets back as were asked for: the scan is bounded by time.
	to := b.last.Add(time.Microsecond)
	from := rollup.Floor(b.last, width).Add(-time.Duration(limit-1) * width)
	if time.Duration(limit) > 100*365*24*time.Hour/width || from.Before(b.first) {
		from = b.first
	}
	rows, err := conn.Query(ctx, bucketedSQL, pgx.QueryResultFormats{pgx.BinaryFormatCode},
		pgtype.Interval{Microseconds: width.Microseconds(), Valid: true}, b.session, latest(rollup.Floor(from, width), since), to, limit)
	if err != nil {
		return nil, fmt.Errorf("read buckets: %w", err)
	}
	defer rows.Close()
	row := record.NewRow(bucketed, b.session, sessionID)
	out := []byte{'['}
	for rows.Next() {
		if len(out) > 1 {
			out = append(out, ',')
		}
		if err := row.Read(rows.RawValues()); err != nil {
			return nil, fmt.Errorf("read buckets: %w", err)
		}
		out = row.AppendJSON(out)
	}
	if err := rows.Err(); err != nil {
		return nil, fmt.Errorf("read buckets: %w", err)
	}
	return append(out, ']'), nil
}

func latest(a, b time.Time) time.Time {
	if b.After(a) {
		return b
	}
	return a
}

// bucketed is every channel but those whose mean means nothing.
var bucketed = func() *record.Selection {
	var names []string
	for _, c := range channel.All {
		if c.Type != channel.JSON {
			names = append(names, c.Name)
		}
	}
	return record.Select(names...)
}()

var bucketedSQL = func() string {
	var sql strings.Builder
	sql.WriteString(`
		SELECT *
		FROM (
			SELECT time_bucket($1, time) AS bucket, 0 AS batch, 0 AS ord, NULL::text`)
	for _, i := range bucketed.Channels() {
		switch f := channel.All[i]; f.Type {
		case channel.Float:
			fmt.Fprintf(&sql, ", avg(%s)", f.Name)
		case channel.Int:
			fmt.Fprintf(&sql, ", max(%s)", f.Name)
		default:
			fmt.Fprintf(&sql, ", last(%[1]s, time) FILTER (WHERE %[1]s IS NOT NULL)", f.Name)
		}
	}
	sql.WriteString(`
			FROM telemetry
			WHERE session = $2 AND time >= $3 AND time < $4
			GROUP BY 1
			ORDER BY 1 DESC
			LIMIT $5
		) newest
		ORDER BY 1`)
	return sql.String()
}()
