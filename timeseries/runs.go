package timeseries

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/ecovolt/telemetryd/internal/fault"
	schema "github.com/ecovolt/telemetryd/sql"
	"github.com/ecovolt/telemetryd/timeseries/book"
	"github.com/ecovolt/telemetryd/timeseries/ingest"
	"github.com/ecovolt/telemetryd/timeseries/note"
	"github.com/ecovolt/telemetryd/timeseries/record"
)

// SessionFilter narrows, sorts and pages a list of sessions.
type SessionFilter struct {
	// StartedAfter keeps sessions whose oldest record is not before it, StartedBefore
	// those whose oldest record is. Zero keeps all.
	StartedAfter, StartedBefore time.Time
	// Within keeps sessions whose newest record is not older, and was stored not
	// longer ago. Zero keeps all.
	Within time.Duration
	// Book keeps sessions by what people say of them.
	Book book.Filter
	// Before continues behind the session of that start and id, in list order.
	BeforeStart time.Time
	BeforeID    string
	// Sort is what the list is in the order of, see SessionOrders; a minus before it
	// turns it round. "" is newest first. Such a list is paged by Offset.
	Sort   string
	Offset int
	Limit  int // 0 is no limit
	// All lists runs whose records were all set aside, too: by when they were made.
	All bool
}

// orders are what lists can be sorted by, other than the columns of the book.
var orders = map[string]string{
	"start":             "coalesce(first_time, created_at)",
	"name":              "lower(coalesce(name, id))",
	"duration_s":        "last_time - first_time",
	"record_count":      "records",
	"distance_km":       "(SELECT r.distance_m FROM analysis_runs r WHERE r.session = sessions.session)",
	"energy_wh":         "(SELECT r.energy_j FROM analysis_runs r WHERE r.session = sessions.session)",
	"efficiency_km_kwh": "(SELECT analytics.efficiency(r.distance_m, r.energy_j) FROM analysis_runs r WHERE r.session = sessions.session)",
	"avg_speed_kmh":     "(SELECT m.avg_speed_kmh FROM session_summaries m WHERE m.session = sessions.session)",
}

// order is what a list is sorted by in SQL. Runs of which it is not known come last.
func (f *SessionFilter) order() (string, error) {
	if f.Sort == "" {
		return "coalesce(first_time, created_at) DESC, id DESC", nil
	}
	name, back := strings.CutPrefix(f.Sort, "-")
	column, ok := orders[name]
	if !ok {
		column, ok = book.Order(name)
	}
	if !ok {
		return "", fault.Field("sort", "%q is nothing that runs can be sorted by", fault.Clip(f.Sort))
	}
	way := " ASC"
	if back {
		way = " DESC"
	}
	return column + way + " NULLS LAST, coalesce(first_time, created_at) DESC, id DESC", nil
}

// Sessions lists runs, newest start first unless the filter says otherwise. It reads
// no telemetry. Records stored without a session id make no session, as the function
// contract has it.
func (s *Store) Sessions(ctx context.Context, f SessionFilter) ([]Session, error) {
	order, err := f.order()
	if err != nil {
		return nil, err
	}
	orNull := func(t time.Time) *time.Time {
		if t.IsZero() {
			return nil
		}
		return &t
	}
	var limit *int
	if f.Limit > 0 {
		limit = &f.Limit
	}
	var within *time.Duration
	if f.Within > 0 {
		within = &f.Within
	}
	args := []any{orNull(f.StartedAfter), orNull(f.BeforeStart), f.BeforeID, limit, within, f.All, orNull(f.StartedBefore), f.Offset}
	said, more := f.Book.Where(len(args) + 1)
	sessions, err := schema.List(ctx, s.reads, scanSession, `
		SELECT `+sessionColumns+`, `+sessionFigures+`
		FROM sessions
		WHERE deleted_at IS NULL
		  AND id <> ''
		  AND (first_time IS NOT NULL OR $6)
		  AND ($1::timestamptz IS NULL OR first_time >= $1)
		  AND ($7::timestamptz IS NULL OR first_time < $7)
		  AND ($2::timestamptz IS NULL OR (coalesce(first_time, created_at), id) < ($2, $3))
		  AND ($5::interval IS NULL OR least(last_time, updated_at) >= clock_timestamp() - $5::interval)
		  `+said+`
		ORDER BY `+order+`
		LIMIT $4 OFFSET $8`, append(args, more...)...)
	if err != nil {
		return nil, fmt.Errorf("list sessions: %w", err)
	}
	return sessions, nil
}

// SessionChange is what a person says of a run; nil leaves it as it is.
type SessionChange struct {
	// Name is the name from then on: what arrives later under another one does not
	// change it.
	Name *string
	Book book.Change
	// Seen is the revision of the book that the change was made from; where somebody
	// was quicker, that is a Conflict. nil does not ask.
	Seen *int32
}

// Names are what it changes, as the audit log has it.
func (c SessionChange) Names() []string {
	names := c.Book.Names()
	if c.Name != nil {
		names = append(names, "session_name")
	}
	return names
}

// EditSession changes a run's name, its book or both, and returns the run as it is
// then. It returns NotFound where there is no such run, and Invalid for what cannot
// be kept.
func (s *Store) EditSession(ctx context.Context, id string, change SessionChange) (*Session, error) {
	var p problems
	if name := change.Name; name != nil {
		if p.text("session_name", *name, maxNameText); *name == "" {
			p.add("session_name", "must not be empty")
		}
	} else if change.Book.Empty() {
		return nil, fault.New(fault.Invalid, "there is nothing to change: null is as not named; an empty text or 0 takes out what the book says")
	}
	if err := p.err(); err != nil {
		return nil, err
	}
	if record.TextProblem([]byte(id)) != "" {
		return nil, fault.NoSession(id)
	}
	err := schema.Tx(ctx, s.pool, func(ctx context.Context, tx pgx.Tx) error {
		session, err := ingest.LockSession(ctx, tx, id)
		if err != nil {
			return err
		}
		if err := book.Write(ctx, tx, session, id, change.Book, change.Seen); err != nil {
			return err
		}
		_, err = tx.Exec(ctx, `
			UPDATE sessions
			SET name = coalesce($2, name), named = named OR $2 IS NOT NULL, revision = revision + 1,
			    updated_at = CASE WHEN $2 IS NULL THEN updated_at ELSE clock_timestamp() END
			WHERE session = $1`, session, change.Name)
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("edit session: %w", err)
	}
	s.onCommit(id)
	session, err := s.SessionWithFigures(ctx, id)
	if err == nil && session == nil {
		err = fault.NoSession(id)
	}
	return session, err
}

// maxSeason is how many runs a season looks at.
const maxSeason = 5000

// seasonFigures are those that runs are compared by.
var seasonFigures = map[string]func(*Session) *float64{
	"efficiency_km_kwh": func(s *Session) *float64 { return s.Totals.Efficiency },
	"distance_km":       func(s *Session) *float64 { return s.Totals.Distance },
	"energy_wh":         func(s *Session) *float64 { return s.Totals.Energy },
	"avg_speed_kmh":     func(s *Session) *float64 { return s.Figures.AvgSpeed },
	"duration_s": func(s *Session) *float64 {
		seconds := s.End.Sub(s.Start).Seconds()
		return &seconds
	},
}

// Season is a figure of each run of a list, grouped by what the book says of them.
type Season struct {
	Runs    []Session // the places of points
	Groups  []book.Group
	Without int  // runs that do not have the figure
	More    bool // further runs were left out: the oldest
}

// Season groups the runs that a filter finds by a factor, see book.Grouped. Days are
// those of the zone.
func (s *Store) Season(ctx context.Context, f SessionFilter, figure, by string, zone *time.Location) (*Season, error) {
	of := seasonFigures[figure]
	if of == nil {
		return nil, fault.Field("figure", "%q is no figure of a run", fault.Clip(figure))
	}
	f.Limit, f.Sort = maxSeason+1, ""
	list, err := s.Sessions(ctx, f)
	if err != nil {
		return nil, err
	}
	season := &Season{Runs: list}
	if season.More = len(list) > maxSeason; season.More {
		season.Runs = list[:maxSeason]
	}
	var points []book.Point
	for i := range season.Runs {
		run := &season.Runs[i]
		value := of(run)
		if value == nil {
			season.Without++
			continue
		}
		points = append(points, book.Point{Entry: run.Book, Day: run.Start.In(zone).Format(time.DateOnly), Place: i, Value: *value})
	}
	groups, ok := book.Grouped(by, points)
	if !ok {
		return nil, fault.Field("by", "%q is nothing that runs can be grouped by", fault.Clip(by))
	}
	season.Groups = groups
	return season, nil
}

// RunNotes lists what is noted of a run by time, the kinds named or all. Of a long
// run that grows, what the server marks may be some seconds old.
func (s *Store) RunNotes(ctx context.Context, id string, kinds []string) ([]note.Note, error) {
	session, err := s.Session(ctx, id)
	if err != nil || session == nil {
		return nil, err
	}
	summarised := false
	return s.Notes.All(ctx, id, session.Version(), kinds, func(ctx context.Context, kind string) error {
		switch kind {
		case "gap", "outlier":
			if summarised {
				return nil
			}
			conn, _, err := s.summarised(ctx, id)
			if err == nil {
				conn.Release()
				summarised = true
			}
			return err
		case "stop":
			_, err := s.Analysis.Update(ctx, id)
			return err
		}
		return nil
	})
}
