package analysis

import (
	"context"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"

	schema "github.com/ecovolt/telemetryd/sql"
	"github.com/ecovolt/telemetryd/timeseries/analysis/split"
)

const (
	// settledAfter is for how long a run has not changed when its drives are kept in
	// memory: the driver modes come from levels, which follow a little later.
	settledAfter = time.Minute
	// keptBytes is how much of them is kept.
	keptBytes = 16 << 20
)

// Drives are what functions of schema analytics make of a run second by second. Those
// of a run that does not change any more are kept: those of a day take a second to make.
type Drives struct {
	Stints []Stint        `json:"stints"`
	Stops  []Stop         `json:"stops"`
	Modes  []split.Mode   `json:"driver_modes"`
	Motion []split.Motion `json:"motion" doc:"Where the time and the energy went, the most energy first; none where nothing measures speed or power"`
}

// drives returns those of a run, by an analysis of the snapshot.
func (a *Analysis) drives(ctx context.Context, tx pgx.Tx, session int32, id string) (d Drives, err error) {
	var computed time.Time
	var age float64
	err = tx.QueryRow(ctx, "SELECT computed_at, extract(epoch FROM clock_timestamp() - computed_at)::float8 FROM analysis_runs WHERE session = $1", session).Scan(&computed, &age)
	if err != nil && err != pgx.ErrNoRows {
		return d, err
	}
	known := err == nil
	key := fmt.Sprint(session, " ", computed.UnixMicro())
	if found, ok := a.settled.Get(key); known && ok {
		return found, nil
	}
	if d.Stints, err = schema.List(ctx, tx, pgx.RowToStructByName[Stint], "SELECT * FROM analytics.stints($1)", id); err != nil {
		return d, err
	}
	if d.Stops, err = schema.List(ctx, tx, pgx.RowToStructByName[Stop], "SELECT * FROM analytics.stops($1)", id); err != nil {
		return d, err
	}
	if d.Modes, d.Motion, err = split.Read(ctx, tx, id); err != nil {
		return d, err
	}
	if known && age > settledAfter.Seconds() {
		a.settled.Put(key, d, 256*(1+len(d.Stints)+len(d.Stops)+len(d.Modes)+len(d.Motion)))
	}
	return d, nil
}
