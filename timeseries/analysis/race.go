package analysis

import (
	"context"
	"fmt"
	"math"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/ecovolt/telemetryd/internal/fault"
	schema "github.com/ecovolt/telemetryd/sql"
	"github.com/ecovolt/telemetryd/timeseries/analysis/split"
	"github.com/ecovolt/telemetryd/timeseries/track"
)

// Lap is one round of the track.
type Lap struct {
	Lap int64 `json:"lap" db:"lap"` // from 1
	split.Drive
	TimeRank       *int64               `json:"time_rank" db:"time_rank"`             // 1 is the quickest; nil with a pause
	EfficiencyRank *int64               `json:"efficiency_rank" db:"efficiency_rank"` // 1 is the most efficient; nil with a pause or a gap
	Paused         float64              `json:"paused_s" db:"paused_s"`               // in pauses of 10 s or more
	Silent         float64              `json:"silent_s" db:"silent_s"`               // in gaps, which distance and energy leave out
	Error          *float64             `json:"error_s" db:"error_s"`                 // standard deviation of Seconds
	MaxPower       *float64             `json:"max_power_w" db:"max_power_w" doc:"Highest power, W"`
	Coasting       *float64             `json:"coasting_share" db:"coasting_share" doc:"Share of the measured time in which the car moved with 25 W or less either way, 0 to 1; null without speed or power"`
	Valid          bool                 `json:"valid" db:"valid" doc:"No pause and no gap"`
	Metrics        map[string]LapMetric `json:"metrics,omitempty" db:"-" doc:"Channels that were asked for, by name; one that no record of the lap has counts 0"`
	Sectors        []SectorDrive        `json:"sectors" db:"-" doc:"They add up to the lap; none where the request says what a lap is"`
}

// LapMetric is what the records of a lap say of a channel.
type LapMetric struct {
	Count int64    `json:"count" doc:"Records of the lap that carry it"`
	Mean  *float64 `json:"mean" doc:"Mean of their values; null without any"`
	Min   *float64 `json:"min" doc:"Lowest of them"`
	Max   *float64 `json:"max" doc:"Highest of them"`
	Unit  *string  `json:"unit,omitempty" doc:"Their unit, where units was asked for"`
}

// SectorDrive is what a sector took a lap.
type SectorDrive struct {
	Sector int32 `json:"sector" db:"sector" doc:"Number along the line, from 1"`
	split.Drive
	MaxPower *float64 `json:"max_power_w" db:"max_power_w" doc:"Highest power, W"`
	Coasting *float64 `json:"coasting_share" db:"coasting_share" doc:"As of laps, 0 to 1"`
	TimeRank *int64   `json:"time_rank" db:"time_rank" doc:"1 is the quickest of this sector; null with a pause in it, and in the lap that is not over"`
	Paused   float64  `json:"paused_s" db:"paused_s"`
	Silent   float64  `json:"silent_s" db:"silent_s"`
	Error    *float64 `json:"error_s" db:"error_s"`
}

// TrackName names the track that a run goes round.
type TrackName struct {
	ID   int32  `json:"id" doc:"As in /api/v1/tracks"`
	Name string `json:"name" doc:"What it is called"`
}

// LineSector is a part of the line that the laps of a run have in common.
type LineSector struct {
	Sector       int32    `json:"sector" doc:"Number along the line, from 1"`
	Name         string   `json:"name" doc:"What it is called"`
	From         float64  `json:"from_m" doc:"Where it begins on the line that the laps have in common, m"`
	Length       float64  `json:"length_m" doc:"Its length, m"`
	BestLap      *int64   `json:"best_lap" doc:"The lap that passed it quickest; null where all paused in it"`
	BestSeconds  *float64 `json:"best_seconds" doc:"In which time, s"`
	Spread       *float64 `json:"spread_s" doc:"Standard deviation of the laps' times through it, without pause and gap, s; null of less than two"`
	EnergySpread *float64 `json:"spread_wh" doc:"As spread_s, of their energy, Wh"`
}

// OpenLap is the lap that a run is in, or ended in.
type OpenLap struct {
	Lap     int64         `json:"lap" doc:"The number that it will have"`
	From    time.Time     `json:"from" doc:"When it began"`
	Sectors []SectorDrive `json:"sectors" doc:"Those that are over"`
}

// Best is the quickest lap of a run without a pause, and what its quickest sectors
// add up to.
type Best struct {
	Lap         int64    `json:"lap"`
	Seconds     float64  `json:"seconds"`
	Theoretical *float64 `json:"theoretical_s" doc:"What the quickest of each sector add up to, s; null where one has none"`
}

// LapRequest says what a lap is.
type LapRequest struct {
	Session string
	// Latitude and Longitude are a point of the start line. Nil: the start line
	// is where the run first moved, or the first place that it came back to.
	Latitude, Longitude *float64
	Radius              float64 // m; how near to the way of the laps the point is; 0 is 25
	AtLeast             float64 // s; the shortest lap; 0 is 20
}

// Laps is what a run consists of.
type Laps struct {
	Session string       `json:"session_id"`
	Track   *TrackName   `json:"track" doc:"The track that the run goes round; null where it is none that is known"`
	Laps    []Lap        `json:"laps"`
	Sectors []LineSector `json:"sectors" doc:"Of the line that the laps have in common; none where the request says what a lap is"`
	Best    *Best        `json:"best" doc:"The quickest lap; null without one that has a rank"`
	Open    *OpenLap     `json:"open_lap" doc:"The lap that is not over; null without a line, and where the request says what a lap is"`
	split.Drives
}

// usualAtLeast is the shortest lap where the request does not say, s.
const usualAtLeast = 20

// lapsTimeout bounds how long the functions of schema analytics may take.
const lapsTimeout = 30 * time.Second

// Laps finds the laps, stints, stops and driver modes of a run, by the functions
// of schema analytics that analysts have as well. It fails with fault.Invalid and
// the parameter, or with fault.NotFound.
func (a *Analysis) Laps(ctx context.Context, req LapRequest) (*Laps, error) {
	if err := req.check(); err != nil {
		return nil, err
	}
	session, _, err := a.find(ctx, req.Session)
	if err != nil {
		return nil, err
	}
	laps := &Laps{Session: req.Session}
	err = schema.Snapshot(ctx, a.reads, lapsTimeout, func(tx pgx.Tx) error {
		var err error
		if laps.Laps, err = schema.List(ctx, tx, pgx.RowToStructByName[Lap], `
			SELECT lap, from_time, to_time, seconds, distance_m, energy_wh, efficiency_km_kwh, avg_speed_kmh, max_speed_kmh, avg_power_w, time_rank, efficiency_rank,
			       paused_s, silent_s, error_s, max_power_w, coasting_share, valid
			FROM analytics.laps($1, $2, $3, $4, $5)`,
			req.Session, req.Latitude, req.Longitude, req.Radius, req.AtLeast); err != nil {
			return err
		}
		if err = laps.readSectors(ctx, tx, &req); err != nil {
			return err
		}
		laps.Drives, err = a.drives.Read(ctx, tx, session, req.Session)
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("find laps: %w", err)
	}
	return laps, nil
}

// readSectors adds the sectors of laps from the run's own line, and what is best.
func (l *Laps) readSectors(ctx context.Context, tx pgx.Tx, req *LapRequest) error {
	l.Sectors = []LineSector{}
	for i := range l.Laps {
		l.Laps[i].Sectors = []SectorDrive{}
		if lap := &l.Laps[i]; lap.TimeRank != nil && *lap.TimeRank == 1 && l.Best == nil {
			l.Best = &Best{Lap: lap.Lap, Seconds: lap.Seconds}
		}
	}
	var gates []float64
	var names []string
	var length *float64
	var id *int32
	var name *string
	var open *time.Time
	err := tx.QueryRow(ctx, `
		SELECT r.open_from, r.gates_m, `+track.Names("r.track", "r.gates_m")+`, r.lap_m, t.track, `+track.Name("t")+`
		FROM analysis_runs r JOIN sessions s USING (session) LEFT JOIN tracks t USING (track)
		WHERE s.id = $1 AND s.deleted_at IS NULL`, req.Session).Scan(&open, &gates, &names, &length, &id, &name)
	if err == pgx.ErrNoRows || err == nil && length == nil {
		return nil
	}
	if err != nil {
		return err
	}
	if id != nil && name != nil {
		l.Track = &TrackName{*id, *name}
	}
	if req.Latitude != nil || req.AtLeast != usualAtLeast {
		return nil
	}
	for i, g := range gates {
		to := gates[(i+1)%len(gates)]
		if to <= g {
			to += *length
		}
		l.Sectors = append(l.Sectors, LineSector{Sector: int32(i + 1), Name: names[i], From: g, Length: to - g})
	}
	if open != nil {
		l.Open = &OpenLap{int64(len(l.Laps) + 1), open.UTC(), []SectorDrive{}}
	}
	type row struct {
		Lap          int64    `db:"lap"`
		Over         bool     `db:"lap_over"`
		Spread       *float64 `db:"spread"`
		EnergySpread *float64 `db:"energy_spread"`
		SectorDrive
	}
	rows, err := schema.List(ctx, tx, pgx.RowToStructByName[row], `
		SELECT lap, sector, from_time, to_time, seconds, distance_m, energy_wh, efficiency_km_kwh, avg_speed_kmh, max_speed_kmh, avg_power_w,
		       max_power_w, coasting_share, time_rank, paused_s, silent_s, error_s, lap_over,
		       stddev_samp(seconds) FILTER (WHERE lap_over AND paused_s = 0 AND silent_s = 0) OVER w AS spread,
		       stddev_samp(energy_wh) FILTER (WHERE lap_over AND paused_s = 0 AND silent_s = 0) OVER w AS energy_spread
		FROM analytics.sectors($1)
		WINDOW w AS (PARTITION BY sector)
		ORDER BY lap, sector`, req.Session)
	if err != nil {
		return err
	}
	k := 0
	for _, s := range rows {
		if !s.Over && l.Open != nil {
			l.Open.Sectors = append(l.Open.Sectors, s.SectorDrive)
		}
		for k < len(l.Laps) && l.Laps[k].Lap < s.Lap {
			k++
		}
		if k == len(l.Laps) || l.Laps[k].Lap != s.Lap || int(s.Sector) > len(l.Sectors) {
			continue
		}
		l.Laps[k].Sectors = append(l.Laps[k].Sectors, s.SectorDrive)
		of := &l.Sectors[s.Sector-1]
		of.Spread, of.EnergySpread = s.Spread, s.EnergySpread
		if s.TimeRank != nil && *s.TimeRank == 1 && of.BestLap == nil {
			of.BestLap, of.BestSeconds = &l.Laps[k].Lap, &l.Laps[k].Sectors[len(l.Laps[k].Sectors)-1].Seconds
		}
	}
	if l.Best == nil || len(l.Sectors) == 0 {
		return nil
	}
	sum := 0.0
	for _, s := range l.Sectors {
		if s.BestSeconds == nil {
			return nil
		}
		sum += *s.BestSeconds
	}
	l.Best.Theoretical = &sum
	return nil
}

// Update brings a run up to its newest batch and reports whether it had to. It
// fails with fault.NotFound.
func (a *Analysis) Update(ctx context.Context, id string) (worked bool, err error) {
	_, worked, err = a.find(ctx, id)
	return worked, err
}

// find returns the key of a run, which it brings up to date. On a replica it
// fails with a run that is not.
func (a *Analysis) find(ctx context.Context, id string) (session int32, worked bool, err error) {
	var current bool
	err = a.reads.QueryRow(ctx, `
		SELECT s.session, s.batch = coalesce(r.batch, 0) AND NOT `+stale+`
		FROM sessions s LEFT JOIN analysis_runs r USING (session)
		WHERE s.id = $1 AND s.deleted_at IS NULL`, id).Scan(&session, &current)
	if err == pgx.ErrNoRows {
		return 0, false, fault.NoSession(id)
	}
	if err == nil && !current {
		err = a.update(ctx, session, true)
	}
	if err != nil {
		return 0, false, fmt.Errorf("analyse run: %w", err)
	}
	return session, !current, nil
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
		r.AtLeast = usualAtLeast
	}
	if !(r.Radius > 0 && r.Radius <= 10_000) {
		return fault.Field("radius", "over 0 and up to 10000 m")
	}
	if !(r.AtLeast > 0 && r.AtLeast <= 86_400) {
		return fault.Field("at_least", "over 0 and up to 86400 s")
	}
	return nil
}

// Figures returns how far a run went and how much it took, as of its newest
// batch. It fails with fault.NotFound.
func (a *Analysis) Figures(ctx context.Context, id string) (*Figures, error) {
	session, _, err := a.find(ctx, id)
	if err != nil {
		return nil, err
	}
	var f Figures
	err = a.reads.QueryRow(ctx, `
		SELECT distance_m, distance_from, energy_j, energy_from, sent_distance_m, sent_energy_j, sent_why, silent_s, paused_s, no_fix
		FROM analysis_runs WHERE session = $1`, session).Scan(
		&f.Distance, &f.DistanceFrom, &f.Energy, &f.EnergyFrom, &f.SentDistance, &f.SentEnergy, &f.SentWhy, &f.Silent, &f.Paused, &f.NoFix)
	if err != nil && err != pgx.ErrNoRows { // without a record there are none
		return nil, fmt.Errorf("read the figures of a run: %w", err)
	}
	return &f, nil
}

// next is the time of the first record from a time on; nil without any. It looks
// further ahead each time: over all that is left, a plan would name every chunk
// of a run of years for each of its days.
func (u *update) next(ctx context.Context, from time.Time) (found *time.Time, err error) {
	for ahead := 24 * time.Hour; err == nil && found == nil && !from.After(u.last); ahead *= 2 {
		to := from.Add(ahead)
		err = u.tx.QueryRow(ctx, `
			SELECT min(time)
			FROM telemetry
			WHERE session = $1 AND time >= $2 AND time < $3 AND time <= $4`, u.session, from, to, u.last).Scan(&found)
		from = to
	}
	return found, err
}
