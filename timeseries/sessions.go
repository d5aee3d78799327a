package timeseries

import (
	"context"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/ecovolt/telemetryd/internal/fault"
	schema "github.com/ecovolt/telemetryd/sql"
	"github.com/ecovolt/telemetryd/timeseries/analysis"
	"github.com/ecovolt/telemetryd/timeseries/archive"
	"github.com/ecovolt/telemetryd/timeseries/book"
	"github.com/ecovolt/telemetryd/timeseries/ingest"
	"github.com/ecovolt/telemetryd/timeseries/note"
	"github.com/ecovolt/telemetryd/timeseries/record"
	"github.com/ecovolt/telemetryd/timeseries/registry"
	"github.com/ecovolt/telemetryd/timeseries/rollup"
	"github.com/ecovolt/telemetryd/timeseries/rollup/tall"
)

// Session is what the sessions table knows of one run.
type Session struct {
	ID        string
	Name      *string
	Start     time.Time // time of the oldest record; zero when none is stored
	End       time.Time // time of the newest record; zero when none is stored
	StartText string    // Start as received, or ""
	EndText   string    // End as received, or ""
	Records   int64
	SetAside  int64      // records whose time cannot be right, which Records does not count
	Batch     int32      // watermark: number of the newest batch
	EndedAt   *time.Time // when the bridge reported the end
	CreatedAt time.Time  // server time of the first batch
	UpdatedAt time.Time  // server time of the newest batch
	Revision  int32
	number    int32     // of all runs one's own: that of a deleted one's namesake is another
	ReadAt    time.Time // server time when this was read
	Figures   Figures
	Totals    Totals
	Book      book.Entry // what people say of it
}

// Figures are the main ones of a session's Summary, as of a few seconds ago;
// nil where they are not known.
type Figures struct {
	Distance   *float64 // km
	Energy     *float64 // Wh
	Efficiency *float64 // km/kWh
	AvgSpeed   *float64 // km/h
	Quality    *float64 // mean score
}

// Totals are how far a session went and how much it took by its own records, as
// of a few seconds ago; nil where they are not known. See package analysis.
type Totals struct {
	Distance   *float64 // km
	Energy     *float64 // Wh
	Efficiency *float64 // km/kWh
}

// Listed is the time that lists of runs are in the order of.
func (s *Session) Listed() time.Time {
	if s.Start.IsZero() {
		return s.CreatedAt
	}
	return s.Start
}

// Version changes whenever the session's records or metadata do, and no two sessions
// have the same: answers are kept by it for good. It is schema.SessionVersion.
func (s *Session) Version() string { return fmt.Sprintf("%d.%d.%d", s.number, s.Batch, s.Revision) }

const sessionColumns = `id, name, first_time, last_time, first_text, last_text, records, set_aside, batch, ended_at, created_at, updated_at, revision, session, clock_timestamp()`

// sessionFigures follow sessionColumns. Planning them takes several times as long as
// finding a session by its id, which nearly every request does: it does without.
const sessionFigures = `
	(SELECT ARRAY[m.distance_km, m.energy_wh, nullif(m.efficiency_km_kwh, 0), m.avg_speed_kmh, m.quality_score]
	 FROM session_summaries m WHERE m.session = sessions.session),
	(SELECT ARRAY[r.distance_m / 1000, r.energy_j / 3600, analytics.efficiency(r.distance_m, r.energy_j)]
	 FROM analysis_runs r WHERE r.session = sessions.session),
	` + book.Of

const noFigures = `NULL::float8[], NULL::float8[], NULL::jsonb`

func scanSession(row pgx.CollectableRow) (Session, error) {
	var s Session
	var first, last *time.Time
	var firstText, lastText *string
	var figures, totals []*float64
	var said []byte
	err := row.Scan(&s.ID, &s.Name, &first, &last, &firstText, &lastText, &s.Records, &s.SetAside, &s.Batch, &s.EndedAt, &s.CreatedAt, &s.UpdatedAt, &s.Revision, &s.number, &s.ReadAt, &figures, &totals, &said)
	if err != nil {
		return Session{}, err
	}
	if len(figures) == 5 {
		s.Figures = Figures{figures[0], figures[1], figures[2], figures[3], figures[4]}
	}
	if len(totals) == 3 {
		s.Totals = Totals{totals[0], totals[1], totals[2]}
	}
	s.Start, s.StartText = timeAndText(first, firstText)
	s.End, s.EndText = timeAndText(last, lastText)
	s.Book, err = book.Read(said)
	return s, err
}

func timeAndText(t *time.Time, text *string) (time.Time, string) {
	switch {
	case t == nil:
		return time.Time{}, ""
	case text != nil:
		return t.UTC(), *text
	}
	return t.UTC(), record.FormatTime(*t)
}

// Session returns one run without its Figures, Totals and Book; nil when there is none of
// that id.
func (s *Store) Session(ctx context.Context, id string) (*Session, error) {
	return s.session(ctx, id, noFigures)
}

// SessionWithFigures returns one run with all that lists show of it; nil when there
// is none of that id.
func (s *Store) SessionWithFigures(ctx context.Context, id string) (*Session, error) {
	return s.session(ctx, id, sessionFigures)
}

func (s *Store) session(ctx context.Context, id, figures string) (*Session, error) {
	if record.TextProblem([]byte(id)) != "" {
		return nil, nil // the database would not even compare it
	}
	session, err := schema.One(ctx, s.reads, scanSession, `
		SELECT `+sessionColumns+`, `+figures+`
		FROM sessions
		WHERE id = $1 AND deleted_at IS NULL`, id)
	if err == pgx.ErrNoRows {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("read session: %w", err)
	}
	return &session, nil
}

// Latest is what the importer asks before and after it uploads.
type Latest struct {
	Timestamp       *string // of the newest record, as received
	Records         int64   // the session's counter, with the records set aside
	LatestMessageID *int64  // of the newest record
}

// Latest describes the newest record of a session, by time of measurement.
func (s *Store) Latest(ctx context.Context, id string) (Latest, error) {
	session, err := s.Session(ctx, id)
	if err != nil || session == nil {
		return Latest{}, err
	}
	latest := Latest{Records: session.Records + session.SetAside}
	if session.EndText != "" {
		latest.Timestamp = &session.EndText
	}
	err = s.reads.QueryRow(ctx, `
		SELECT t.message_id
		FROM telemetry t
		JOIN sessions s ON s.session = t.session
		WHERE s.id = $1 AND s.deleted_at IS NULL AND t.time = $2
		ORDER BY t.batch DESC, t.ord DESC
		LIMIT 1`, id, session.End).Scan(&latest.LatestMessageID)
	if err != nil && err != pgx.ErrNoRows {
		return Latest{}, fmt.Errorf("read newest record: %w", err)
	}
	return latest, nil
}

// Live reports whether the run is being driven: its newest record is within
// schema.LiveWindow of the server's clock and was stored within as much. So a logger's
// file of today is not live, and a bridge with a clock that is some minutes off is. until
// is when that ends if no record comes.
func (s *Session) Live() (live bool, until time.Time) {
	until = s.UpdatedAt.Add(schema.LiveWindow)
	if end := s.End.Add(schema.LiveWindow); end.Before(until) {
		until = end
	}
	return !s.End.IsZero() && !s.ReadAt.After(until) && !s.End.After(s.ReadAt.Add(schema.LiveWindow)), until
}

// ArchiveStatus is the run's state in the words of the function contract:
// pending while the run is live or, by the live state, active; complete
// otherwise.
func (s *Session) ArchiveStatus(state *LiveState) string {
	live, _ := s.Live()
	if live || state != nil && state.Status == LiveActive && state.SessionID == s.ID {
		return "pending"
	}
	return "complete"
}

// DeleteEndedSession is DeleteSession but for the run on the road, which is
// refused with the code ACTIVE_SESSION. A live state that points at the deleted
// run goes with it.
func (s *Store) DeleteEndedSession(ctx context.Context, id string) (records int64, err error) {
	if record.TextProblem([]byte(id)) != "" {
		return 0, fault.NoSession(id)
	}
	return s.deleteSession(ctx, id, func(ctx context.Context, tx pgx.Tx) error {
		var status string
		err := tx.QueryRow(ctx, `SELECT status FROM live_session WHERE session_id = $1 FOR UPDATE`, id).Scan(&status)
		switch {
		case err == pgx.ErrNoRows:
		case err != nil:
			return fmt.Errorf("read live state: %w", err)
		case status == "active":
			return fault.Coded(fault.Conflict, "ACTIVE_SESSION", "The active run cannot be deleted.")
		default:
			if _, err := tx.Exec(ctx, `DELETE FROM live_session WHERE session_id = $1`, id); err != nil {
				return fmt.Errorf("delete live state: %w", err)
			}
			if err := schema.Touch(ctx, tx, schema.TopicLive); err != nil {
				return err
			}
		}
		return nil
	})
}

// DeleteSession removes a run from every list at once and returns the number of
// records it had, those set aside among them, or NotFound. Its id may be used anew from then on. The
// records themselves go in the background, see PurgeDeleted.
func (s *Store) DeleteSession(ctx context.Context, id string) (records int64, err error) {
	return s.deleteSession(ctx, id, func(context.Context, pgx.Tx) error { return nil })
}

// deleteSession deletes a session unless first refuses.
func (s *Store) deleteSession(ctx context.Context, id string, first func(context.Context, pgx.Tx) error) (records int64, err error) {
	err = schema.Tx(ctx, s.pool, func(ctx context.Context, tx pgx.Tx) error {
		if err := first(ctx, tx); err != nil {
			return err
		}
		records, err = deleteSession(ctx, tx, id)
		return err
	})
	if err != nil {
		return 0, err
	}
	s.onCommit(id)
	return records, nil
}

func deleteSession(ctx context.Context, tx pgx.Tx, id string) (records int64, err error) {
	if record.TextProblem([]byte(id)) != "" {
		return 0, fault.NoSession(id)
	}
	session, err := ingest.LockSession(ctx, tx, id)
	if err != nil {
		return 0, err
	}
	err = tx.QueryRow(ctx, `
		UPDATE sessions
		SET deleted_at = clock_timestamp(), revision = revision + 1
		WHERE session = $1
		RETURNING records + set_aside`, session).Scan(&records)
	if err != nil {
		return 0, fmt.Errorf("delete session: %w", err)
	}
	return records, nil
}

// PurgeDeleted removes the records, batches and notifications of deleted
// sessions, one session in a transaction, and returns how many sessions it
// removed. It is safe to stop at any moment and to run in several instances:
// one works, the others return at once. Sessions that an import is loading are
// left alone; those of an import that died are removed.
func (s *Store) PurgeDeleted(ctx context.Context) (sessions int, err error) {
	var some bool
	err = s.pool.QueryRow(ctx, `SELECT EXISTS (SELECT FROM sessions WHERE deleted_at IS NOT NULL)`).Scan(&some)
	if err == nil && some {
		lease := schema.Lease{Pool: s.pool, Name: "purge", Log: s.log}
		_, err = lease.TryLead(ctx, func(ctx context.Context, fence schema.Fence) error {
			for {
				purged, err := s.purgeOne(ctx, fence)
				if err != nil || !purged {
					return err
				}
				sessions++
			}
		})
	}
	if err != nil {
		return sessions, fmt.Errorf("purge deleted sessions: %w", err)
	}
	return sessions, nil
}

// purgeOne removes one deleted session, if there is any.
func (s *Store) purgeOne(ctx context.Context, fence schema.Fence) (purged bool, err error) {
	err = pgx.BeginFunc(ctx, s.pool, func(tx pgx.Tx) error {
		if err := fence.Check(ctx, tx); err != nil {
			return err
		}
		var session int32
		err := tx.QueryRow(ctx, `
			SELECT session
			FROM sessions
			WHERE deleted_at IS NOT NULL
			ORDER BY session
			LIMIT 1
			FOR UPDATE SKIP LOCKED`).Scan(&session)
		if err == pgx.ErrNoRows {
			return nil
		}
		if err != nil {
			return err
		}
		purged = true
		return purge(ctx, tx, session)
	})
	return purged, err
}

// purge removes what belongs to one deleted session.
func purge(ctx context.Context, tx pgx.Tx, session int32) error {
	if err := deleteRecords(ctx, tx, session); err != nil {
		return fmt.Errorf("delete records: %w", err)
	}
	if err := rollup.Forget(ctx, tx, session); err != nil {
		return err
	}
	if err := analysis.Forget(ctx, tx, session); err != nil {
		return err
	}
	if err := archive.Forget(ctx, tx, session); err != nil {
		return err
	}
	if err := registry.Forget(ctx, tx, session); err != nil {
		return err
	}
	if err := tall.Forget(ctx, tx, session); err != nil {
		return err
	}
	if err := book.Forget(ctx, tx, session); err != nil {
		return err
	}
	if err := note.Forget(ctx, tx, session); err != nil {
		return err
	}
	err := schema.DeleteOf(ctx, tx, session, "summary_parts", "session_summaries", "ingest_batches", "set_aside", "members_aside", "clusters", "clock_steps", "repaired", "merges", "merge_fills", "imported_files")
	if err != nil {
		return err
	}
	_, err = tx.Exec(ctx, `
		DELETE FROM driver_notifications n
		USING sessions s
		WHERE s.session = $1 AND n.session_id = s.id AND n.stored_at <= s.deleted_at`, session)
	if err != nil {
		return fmt.Errorf("delete notifications: %w", err)
	}
	return schema.DeleteOf(ctx, tx, session, "sessions")
}

// deleteRecords removes the records of a session.
func deleteRecords(ctx context.Context, tx pgx.Tx, session int32) error {
	var first, last *time.Time
	var packed bool
	err := tx.QueryRow(ctx, `
		WITH bounds AS (
			SELECT least(s.first_time, min(b.min_time)) AS first, greatest(s.last_time, max(b.max_time)) AS last
			FROM sessions s
			LEFT JOIN ingest_batches b USING (session)
			WHERE session = $1
			GROUP BY s.session
		)
		SELECT first, last, EXISTS (
			SELECT FROM timescaledb_information.chunks c
			WHERE c.hypertable_name = 'telemetry' AND c.hypertable_schema = current_schema()
			  AND c.is_compressed AND c.range_start <= last AND c.range_end > first)
		FROM bounds`, session).Scan(&first, &last, &packed)
	if err != nil || first == nil {
		return err
	}
	if err := schema.UnboundedTx(ctx, tx); err != nil { // a long run takes as long as it takes
		return err
	}
	if packed {
		// By the session alone, the columnstore drops whole batches. A further
		// condition makes it unpack each record, of which it permits a few only.
		if err := schema.UnpackAny(ctx, tx); err != nil {
			return err
		}
		_, err = tx.Exec(ctx, `DELETE FROM telemetry WHERE session = $1`, session)
		return err
	}
	_, err = tx.Exec(ctx, `DELETE FROM telemetry WHERE session = $1 AND time >= $2 AND time <= $3`, session, first, last)
	return err
}
