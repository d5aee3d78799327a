package timeseries

import (
	"context"
	"fmt"
	"math"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/ecovolt/telemetryd/internal/fault"
)

// Lap is one round of the track.
type Lap struct {
	Lap            int64     `json:"lap"` // from 1
	From           time.Time `json:"from"`
	To             time.Time `json:"to"`
	Seconds        float64   `json:"seconds"`
	Distance       *float64  `json:"distance_m"`
	Energy         *float64  `json:"energy_wh"`
	Efficiency     *float64  `json:"efficiency_km_kwh"`
	AvgSpeed       *float64  `json:"avg_speed_kmh"`
	MaxSpeed       *float64  `json:"max_speed_kmh"`
	AvgPower       *float64  `json:"avg_power_w"`
	TimeRank       int64     `json:"time_rank"`       // 1 is the quickest
	EfficiencyRank int64     `json:"efficiency_rank"` // 1 is the most efficient
}

// Stint is a drive between two pauses.
type Stint struct {
	Stint      int64     `json:"stint"` // from 1
	From       time.Time `json:"from"`
	To         time.Time `json:"to"`
	Seconds    float64   `json:"seconds"`
	Distance   *float64  `json:"distance_m"`
	Energy     *float64  `json:"energy_wh"`
	Efficiency *float64  `json:"efficiency_km_kwh"`
	AvgSpeed   *float64  `json:"avg_speed_kmh"`
	MaxSpeed   *float64  `json:"max_speed_kmh"`
	AvgPower   *float64  `json:"avg_power_w"`
}

// Stop is a time at which the car stood still.
type Stop struct {
	Stop      int64     `json:"stop"` // from 1
	From      time.Time `json:"from"`
	To        time.Time `json:"to"`
	Seconds   float64   `json:"seconds"`
	Latitude  *float64  `json:"latitude"`
	Longitude *float64  `json:"longitude"`
}

// ModeShare is how long the car was in a driver mode.
type ModeShare struct {
	Mode       string   `json:"driver_mode"`
	Seconds    float64  `json:"seconds"`
	Share      *float64 `json:"share"` // of 1
	Distance   *float64 `json:"distance_m"`
	Energy     *float64 `json:"energy_wh"`
	Efficiency *float64 `json:"efficiency_km_kwh"`
	AvgSpeed   *float64 `json:"avg_speed_kmh"`
}

// LapRequest says what a lap is.
type LapRequest struct {
	Session string
	// Latitude and Longitude are a point of the start line. Nil: each return to
	// where the run first moved is a lap.
	Latitude, Longitude *float64
	Radius              float64 // m; how near to the point a pass is; 0 is 25
	AtLeast             float64 // s; the shortest lap; 0 is 20
}

// LongRace is what a long run consists of.
type LongRace struct {
	Session string      `json:"session_id"`
	Laps    []Lap       `json:"laps"`
	Stints  []Stint     `json:"stints"`
	Stops   []Stop      `json:"stops"`
	Modes   []ModeShare `json:"driver_modes"`
}

// Laps finds the laps, stints, stops and driver modes of a session, by the
// functions of schema analytics that analysts have as well.
func (s *Store) Laps(ctx context.Context, req LapRequest) (*LongRace, error) {
	if err := req.check(); err != nil {
		return nil, err
	}
	race := &LongRace{Session: req.Session}
	err := pgx.BeginTxFunc(ctx, s.pool, pgx.TxOptions{IsoLevel: pgx.RepeatableRead, AccessMode: pgx.ReadOnly}, func(tx pgx.Tx) error {
		var known bool
		if err := tx.QueryRow(ctx, "SELECT count(*) > 0 FROM sessions WHERE id = $1 AND deleted_at IS NULL", req.Session).Scan(&known); err != nil {
			return err
		}
		if !known {
			return NoSession(req.Session)
		}
		if _, err := tx.Exec(ctx, "SELECT set_config('statement_timeout', '30s', true)"); err != nil {
			return err
		}
		var err error
		if race.Laps, err = list[Lap](ctx, tx, "SELECT * FROM analytics.laps($1, $2, $3, $4, $5)",
			req.Session, req.Latitude, req.Longitude, req.Radius, req.AtLeast); err != nil {
			return err
		}
		if race.Stints, err = list[Stint](ctx, tx, "SELECT * FROM analytics.stints($1)", req.Session); err != nil {
			return err
		}
		if race.Stops, err = list[Stop](ctx, tx, "SELECT * FROM analytics.stops($1)", req.Session); err != nil {
			return err
		}
		race.Modes, err = list[ModeShare](ctx, tx, "SELECT * FROM analytics.mode_shares($1)", req.Session)
		return err
	})
	if err != nil && fault.As(err) == nil {
		return nil, fmt.Errorf("find laps: %w", err)
	}
	return race, err
}

func list[T any](ctx context.Context, tx pgx.Tx, sql string, args ...any) ([]T, error) {
	rows, err := tx.Query(ctx, sql, args...)
	if err != nil {
		return nil, err
	}
	found, err := pgx.CollectRows(rows, pgx.RowToStructByPos[T])
	if found == nil {
		found = []T{}
	}
	return found, err
}

// check says what is wrong with the request, and fills in what it leaves open.
func (r *LapRequest) check() error {
	if (r.Latitude == nil) != (r.Longitude == nil) {
		return fault.Field("latitude", "latitude and longitude go together")
	}
	if r.Latitude != nil && !(math.Abs(*r.Latitude) <= 90) {
		return fault.Field("latitude", "-90 to 90")
	}
	if r.Longitude != nil && !(math.Abs(*r.Longitude) <= 180) {
		return fault.Field("longitude", "-180 to 180")
	}
	if r.Radius == 0 {
		r.Radius = 25
	}
	if r.AtLeast == 0 {
		r.AtLeast = 20
	}
	if !(r.Radius > 0 && r.Radius <= 10_000) {
		return fault.Field("radius", "over 0 and up to 10000 m")
	}
	if !(r.AtLeast > 0 && r.AtLeast <= 86_400) {
		return fault.Field("at_least", "over 0 and up to 86400 s")
	}
	return nil
}
