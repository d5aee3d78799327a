package analysis

import (
	"context"
	"sync"
	"time"

	"github.com/jackc/pgx/v5"

	schema "github.com/ecovolt/telemetryd/sql"
)

const (
	// settledAfter is for how long a run has not changed when its drives are kept in
	// memory: the driver modes come from levels, which follow a little later.
	settledAfter = time.Minute
	// mostSettled bounds the runs that are kept.
	mostSettled = 100
)

// drives are what functions of schema analytics make of a run second by second.
type drives struct {
	stints []Stint
	stops  []Stop
	modes  []ModeShare
}

// settled keeps the drives of runs that do not change any more: those of a day take a
// second to make.
type settled struct {
	mu   sync.Mutex
	runs map[int32]settledRun
}

type settledRun struct {
	computed time.Time // when its analysis was
	drives
}

func (s *settled) find(session int32, computed time.Time) (drives, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	run, ok := s.runs[session]
	return run.drives, ok && run.computed.Equal(computed)
}

func (s *settled) keep(session int32, computed time.Time, d drives) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.runs == nil || len(s.runs) >= mostSettled {
		s.runs = map[int32]settledRun{}
	}
	s.runs[session] = settledRun{computed, d}
}

// drives returns those of a run, by an analysis of the snapshot.
func (a *Analysis) drives(ctx context.Context, tx pgx.Tx, session int32, id string) (d drives, err error) {
	var computed time.Time
	var age float64
	err = tx.QueryRow(ctx, "SELECT computed_at, extract(epoch FROM clock_timestamp() - computed_at)::float8 FROM analysis_runs WHERE session = $1", session).Scan(&computed, &age)
	if err != nil && err != pgx.ErrNoRows {
		return d, err
	}
	known := err == nil
	if found, ok := a.settled.find(session, computed); known && ok {
		return found, nil
	}
	if d.stints, err = schema.List(ctx, tx, pgx.RowToStructByName[Stint], "SELECT * FROM analytics.stints($1)", id); err != nil {
		return d, err
	}
	if d.stops, err = schema.List(ctx, tx, pgx.RowToStructByName[Stop], "SELECT * FROM analytics.stops($1)", id); err != nil {
		return d, err
	}
	if d.modes, err = schema.List(ctx, tx, pgx.RowToStructByName[ModeShare], "SELECT * FROM analytics.mode_shares($1)", id); err != nil {
		return d, err
	}
	if known && age > settledAfter.Seconds() {
		a.settled.keep(session, computed, d)
	}
	return d, nil
}
