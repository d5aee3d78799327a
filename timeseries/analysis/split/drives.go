package split

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"
	"golang.org/x/sync/singleflight"

	schema "github.com/ecovolt/telemetryd/sql"
	"github.com/ecovolt/telemetryd/timeseries/kept"
)

// Drives are what functions of schema analytics make of a run second by second. They
// are kept: those of a day take seconds to make.
type Drives struct {
	Stints []Stint  `json:"stints"`
	Stops  []Stop   `json:"stops"`
	Modes  []Mode   `json:"driver_modes"`
	Motion []Motion `json:"motion" doc:"Where the time and the energy went, the most energy first; none where nothing measures speed or power"`
}

// Stint is a drive between two pauses.
type Stint struct {
	Stint int64 `json:"stint" db:"stint"` // from 1
	Drive
}

// Drive is what a part of a run amounts to.
type Drive struct {
	From       time.Time `json:"from" db:"from_time"`
	To         time.Time `json:"to" db:"to_time"`
	Seconds    float64   `json:"seconds" db:"seconds"`
	Distance   *float64  `json:"distance_m" db:"distance_m"`
	Energy     *float64  `json:"energy_wh" db:"energy_wh"`
	Efficiency *float64  `json:"efficiency_km_kwh" db:"efficiency_km_kwh"`
	AvgSpeed   *float64  `json:"avg_speed_kmh" db:"avg_speed_kmh"`
	MaxSpeed   *float64  `json:"max_speed_kmh" db:"max_speed_kmh"`
	AvgPower   *float64  `json:"avg_power_w" db:"avg_power_w"`
}

// Stop is a time at which the car stood still.
type Stop struct {
	Stop      int64     `json:"stop" db:"stop"` // from 1
	From      time.Time `json:"from" db:"from_time"`
	To        time.Time `json:"to" db:"to_time"`
	Seconds   float64   `json:"seconds" db:"seconds"`
	Latitude  *float64  `json:"latitude" db:"latitude"`
	Longitude *float64  `json:"longitude" db:"longitude"`
}

const (
	// manyRecords is from how many records on readers get drives of a moment ago while
	// the run drives: until costShare times as long has gone by as it took to make them.
	manyRecords, costShare = 100_000, 10
	// keptBytes is how much of them is kept.
	keptBytes = 16 << 20
)

// Reader reads drives, and keeps what it read lately. It is safe for concurrent use.
type Reader struct {
	kept   *kept.Values[madeDrives]
	making singleflight.Group
}

// New returns a Reader.
func New() *Reader { return &Reader{kept: kept.New[madeDrives](keptBytes)} }

// madeDrives are drives with what they were made of, when, and how long that took.
type madeDrives struct {
	Drives
	computed, at time.Time
	took         time.Duration
}

// Read returns the drives of a run, by an analysis of the snapshot.
func (r *Reader) Read(ctx context.Context, tx pgx.Tx, session int32, id string) (Drives, error) {
	var computed time.Time
	var rewritten int32
	var records int64
	err := tx.QueryRow(ctx, `
		SELECT r.computed_at, s.rewritten, s.records
		FROM analysis_runs r JOIN sessions s USING (session)
		WHERE r.session = $1`, session).Scan(&computed, &rewritten, &records)
	if err == pgx.ErrNoRows {
		return makeDrives(ctx, tx, id)
	}
	if err != nil {
		return Drives{}, err
	}
	key := fmt.Sprint(session, " ", rewritten)
	for {
		found, ok := r.kept.Get(key)
		if ok && (found.computed.Equal(computed) || records >= manyRecords && time.Since(found.at) < costShare*found.took) {
			return found.Drives, nil
		}
		made, err, others := r.making.Do(fmt.Sprint(key, " ", computed.UnixMicro()), func() (any, error) {
			begin := time.Now()
			d, err := makeDrives(ctx, tx, id)
			if err == nil {
				made := madeDrives{d, computed, begin, time.Since(begin)}
				r.kept.Put(key, made, 256*(1+len(d.Stints)+len(d.Stops)+len(d.Modes)+len(d.Motion)))
			}
			return d, err
		})
		if others && errors.Is(err, context.Canceled) && ctx.Err() == nil {
			continue // who made them for all went away
		}
		d, _ := made.(Drives)
		return d, err
	}
}

func makeDrives(ctx context.Context, tx pgx.Tx, id string) (d Drives, err error) {
	if d.Stints, err = schema.List(ctx, tx, pgx.RowToStructByName[Stint], "SELECT * FROM analytics.stints($1)", id); err != nil {
		return d, err
	}
	if d.Stops, err = schema.List(ctx, tx, pgx.RowToStructByName[Stop], "SELECT * FROM analytics.stops($1)", id); err != nil {
		return d, err
	}
	if d.Modes, err = schema.List(ctx, tx, pgx.RowToStructByName[Mode], "SELECT * FROM analytics.mode_shares($1)", id); err != nil {
		return d, err
	}
	d.Motion, err = schema.List(ctx, tx, pgx.RowToStructByName[Motion], "SELECT * FROM analytics.motion_shares($1)", id)
	return d, err
}
