package analysis

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/ecovolt/telemetryd/internal/load"
	schema "github.com/ecovolt/telemetryd/sql"
	"github.com/ecovolt/telemetryd/timeseries/analysis/split"
	"github.com/ecovolt/telemetryd/timeseries/channel"
	"github.com/ecovolt/telemetryd/timeseries/record"
	"github.com/ecovolt/telemetryd/timeseries/track"
)

// Analysis works out what runs consist of, and keeps it. It is safe for
// concurrent use, by any number of instances.
type Analysis struct {
	pool, reads *pgxpool.Pool
	inFlight    *load.InFlight
	drives      *split.Reader
}

// New makes an Analysis on a migrated database. What somebody waits for is read,
// and worked out where it has to be, on the connections of reads; what nobody
// waits for yields to uploads.
func New(pool, reads *pgxpool.Pool, inFlight *load.InFlight) *Analysis {
	return &Analysis{pool: pool, reads: reads, inFlight: inFlight, drives: split.New()}
}

const (
	// costShare bounds what a growing run costs: after it was worked out it is
	// left alone for that many times as long as that took.
	costShare = 20
	// refreshPause is how long it is left alone at least, by Refresh.
	refreshPause = 5 * time.Second
	// longestYield is how long Refresh puts a run off while uploads keep the
	// machine busy: it reads each record once more. Readers do not wait for that.
	longestYield = 30 * time.Second
	// worthWaiting is what may be done again for each reader: a run that takes
	// longer is left alone for readers, too.
	worthWaiting = 200 * time.Millisecond
	// longestWait is how long a reader waits for somebody who works out its run.
	longestWait = 25 * time.Second
	// window is how much of a run is read at once, so that it is sorted in memory.
	window = time.Hour
	minute = time.Minute
)

// stale is SQL for whether the laps of run r are of another state of its track.
var stale = track.Stale("r.track", "r.track_revision", "r.lap_m IS NOT NULL", "r.computed_at")

// Refresh brings the analysis of all runs up to what is committed, those of
// few new records first, and returns how many it did. It is for one instance at
// a time; a second one only waits.
func (a *Analysis) Refresh(ctx context.Context) (int, error) {
	sessions, err := schema.List(ctx, a.pool, pgx.RowTo[int32], `
		SELECT s.session
		FROM sessions s LEFT JOIN analysis_runs r USING (session)
		WHERE (s.batch > coalesce(r.batch, 0) OR `+stale+`) AND s.deleted_at IS NULL
		  AND (r.computed_at IS NULL OR r.computed_at + greatest($1, r.took_s * $2) * INTERVAL '1 second' < clock_timestamp())
		ORDER BY s.records * (s.batch - coalesce(r.batch, 0)) / greatest(s.batch, 1), s.session`, refreshPause.Seconds(), costShare)
	if err != nil {
		return 0, fmt.Errorf("find runs to analyse: %w", err)
	}
	for i, session := range sessions {
		a.inFlight.Yield(ctx, longestYield)
		if err := a.update(ctx, session, false); err != nil {
			return i, fmt.Errorf("analyse run %d: %w", session, err)
		}
		// Lists of runs show how far each went.
		if _, err := a.pool.Exec(ctx, "UPDATE sessions SET revision = revision + 1 WHERE session = $1", session); err != nil {
			return i, fmt.Errorf("announce the analysis of run %d: %w", session, err)
		}
	}
	return len(sessions), nil
}

// Forget removes what is known of a run, in the transaction that deletes it or
// changes its records otherwise than by a batch.
func Forget(ctx context.Context, tx pgx.Tx, session int32) error {
	if err := schema.DeleteOf(ctx, tx, session, "analysis_parts", "analysis_runs", "analysis_laps", "analysis_sectors"); err != nil {
		return err
	}
	return schema.ForgetLocks(ctx, tx, lockName(session))
}

func lockName(session int32) string { return fmt.Sprintf("analysis:%d", session) }

// update brings the analysis of one run up to its newest batch. One that takes
// long may be left as it is for a reader.
func (a *Analysis) update(ctx context.Context, session int32, reader bool) error {
	pool := a.pool
	if reader {
		pool = a.reads
	}
	return pgx.BeginFunc(ctx, pool, func(tx pgx.Tx) error {
		if reader {
			// As a rule it is worked out, and there is nothing to wait for.
			if u, _, err := due(ctx, tx, session, reader); u == nil {
				return err
			}
			// Whoever works it out for the first time may take a while.
			if _, err := tx.Exec(ctx, "SELECT set_config('lock_timeout', $1, true)", fmt.Sprint(longestWait.Milliseconds())); err != nil {
				return err
			}
		}
		if err := schema.Lock(ctx, tx, lockName(session)); err != nil {
			return err
		}
		u, done, err := due(ctx, tx, session, reader)
		if u == nil {
			return err
		}
		return u.run(ctx, done)
	})
}

// due returns what is to be worked out of a run, and up to which batch that is
// done; nil where there is nothing, or nothing that a reader should wait for: who has
// just edited a track should.
func due(ctx context.Context, tx pgx.Tx, session int32, reader bool) (u *update, done int32, err error) {
	u = &update{tx: tx, session: session, begin: time.Now()}
	var last *time.Time
	var fresh, turned bool
	err = tx.QueryRow(ctx, `
		SELECT s.batch, coalesce(r.batch, 0), s.last_time, `+stale+`,
		       coalesce(r.took_s > $2 AND r.computed_at + r.took_s * $3 * INTERVAL '1 second' > clock_timestamp(), false)
		FROM sessions s LEFT JOIN analysis_runs r USING (session)
		WHERE s.session = $1 AND s.deleted_at IS NULL`, session, worthWaiting.Seconds(), costShare/2).Scan(&u.batch, &done, &last, &turned, &fresh)
	if err == pgx.ErrNoRows {
		return nil, 0, nil
	}
	if err != nil || u.batch == done && !turned || last == nil || fresh && reader && !turned {
		return nil, 0, err
	}
	u.last = *last
	return u, done, nil
}

// update is one run being brought up to a batch.
type update struct {
	tx      pgx.Tx
	session int32
	batch   int32
	begin   time.Time
	last    time.Time // of the newest record

	parts []*part
	state runState // at the end
}

// part is a minute of a run.
type part struct {
	minute time.Time
	begun  []byte
	reducer
}

func (u *update) run(ctx context.Context, done int32) error {
	if _, err := u.tx.Exec(ctx, "SELECT set_config('jit', 'off', true), set_config('plan_cache_mode', 'force_custom_plan', true)"); err != nil {
		return err
	}
	from, begun, err := u.resume(ctx, done, time.Time{})
	if err != nil {
		return err
	}
	// The steps that end now began in an earlier minute.
	if open := time.UnixMicro(begun.open(from.UnixMicro())); open.Before(from) {
		if from, begun, err = u.resume(ctx, done, open); err != nil {
			return err
		}
	}
	stale, err := u.reduce(ctx, from, begun)
	if err != nil {
		return err
	}
	usual, changed, err := u.usual(ctx, begun)
	if err != nil {
		return err
	}
	if stale || changed {
		hasSpeed, hasPower := u.state.Speed.Known, u.state.Power.Known
		if from, begun, err = u.resume(ctx, 0, time.Time{}); err != nil {
			return err
		}
		begun.HasSpeed, begun.HasPower = hasSpeed, hasPower
		for i, sampling := range begun.samplings() {
			sampling.Gap = usual[i]
		}
		if _, err = u.reduce(ctx, from, begun); err != nil {
			return err
		}
	}
	return u.conclude(ctx, from)
}

// resume finds where to begin, at that time if it is not zero, and what was known
// there, and removes what follows.
func (u *update) resume(ctx context.Context, done int32, at time.Time) (from time.Time, begun runState, err error) {
	latest := "infinity"
	if !at.IsZero() {
		latest = at.UTC().Format(time.RFC3339Nano)
	}
	var text []byte
	err = u.tx.QueryRow(ctx, `
		WITH changed AS (
			SELECT min(min_time) AS at FROM ingest_batches WHERE session = $1 AND batch > $2 AND batch <= $3
		)
		SELECT minute, begun FROM analysis_parts, changed
		WHERE session = $1 AND $2 > 0 AND minute <= least(changed.at, $4::timestamptz)
		ORDER BY minute DESC LIMIT 1`, u.session, done, u.batch, latest).Scan(&from, &text)
	switch {
	case err == pgx.ErrNoRows:
		var first *time.Time
		if err = u.tx.QueryRow(ctx, "SELECT min(min_time) FROM ingest_batches WHERE session = $1 AND batch <= $2", u.session, u.batch).Scan(&first); err != nil {
			return from, begun, err
		}
		if first == nil {
			first = &u.last
		}
		from = first.Truncate(minute)
		// What the first hour says is usual spares most runs a second pass.
		for i, sampling := range begun.samplings() {
			if sampling.Gap, err = u.gap(ctx, carriers[i], from, from.Add(window)); err != nil {
				return from, begun, err
			}
		}
	case err == nil:
		err = json.Unmarshal(text, &begun)
	}
	if err != nil {
		return from, begun, err
	}
	_, err = u.tx.Exec(ctx, "DELETE FROM analysis_parts WHERE session = $1 AND minute >= $2", u.session, from)
	return from, begun, err
}

// usualOf is of how many records that carry a channel, from the first on, the
// median step is the usual one.
const usualOf = 500

// carriers are the records of each of runState.samplings.
var carriers = [...]string{
	"true",
	"coalesce(speed_ms, avg_speed_kmh) IS NOT NULL",
	"coalesce(power_w, measured(voltage_v) * measured(current_a)) IS NOT NULL",
	"coalesce(distance_m, route_distance_km) IS NOT NULL",
	"coalesce(energy_j, cumulative_energy_kwh) IS NOT NULL",
}

// usual are the gaps of runState.samplings now that the run is read from begun
// to its end, and whether one is another than what it was read with: a channel
// may come late, and the first upload of a run may be one record.
func (u *update) usual(ctx context.Context, begun runState) (gaps [len(carriers)]int64, changed bool, err error) {
	before := begun.samplings()
	for i, sampling := range u.state.samplings() {
		gaps[i] = sampling.Gap
		if settled := before[i].Count >= usualOf; settled || sampling.Count == before[i].Count {
			continue
		}
		if gaps[i], err = u.gap(ctx, carriers[i], time.UnixMicro(u.state.First), u.last); err != nil {
			return gaps, false, err
		}
		changed = changed || gaps[i] != sampling.Gap
	}
	return gaps, changed, nil
}

// gap is from how long on a silence of a channel is a gap, µs, by the records
// between two times that carry it.
func (u *update) gap(ctx context.Context, carriers string, from, to time.Time) (int64, error) {
	var usual *float64
	err := u.tx.QueryRow(ctx, `
		SELECT percentile_cont(0.5) WITHIN GROUP (ORDER BY step)
		FROM (
			SELECT extract(epoch FROM time - lag(time) OVER (ORDER BY time))::float8 AS step
			FROM (
				SELECT time FROM telemetry
				WHERE session = $1 AND time >= $2 AND time <= $3 AND batch <= $4
				  AND `+carriers+`
				ORDER BY time LIMIT $5
			) carriers
		) steps
		WHERE step > 0`, u.session, from, to, u.batch, usualOf).Scan(&usual)
	if err != nil || usual == nil {
		return channel.GapAfter(0).Microseconds(), err
	}
	return channel.GapAfter(time.Duration(math.Round(*usual * 1e9))).Microseconds(), nil
}

// reduce reads the records from a minute on and stores what they become.
func (u *update) reduce(ctx context.Context, from time.Time, state runState) (stale bool, err error) {
	u.parts, u.state = nil, state
	for at := from; !at.After(u.last); {
		next := at.Add(window)
		n, err := u.read(ctx, at, next)
		if err != nil {
			return false, err
		}
		if p := u.parts; len(p) > 0 && p[len(p)-1].Stale {
			stale = true
		}
		at = next
		if n == 0 {
			found, err := u.next(ctx, at)
			if err != nil {
				return false, err
			}
			if found == nil {
				break
			}
			at = found.Truncate(minute)
		}
	}
	return stale, nil
}

// Speed, in m/s, and Power, in W, are what a record says of them, as expressions over a
// row of telemetry.
const (
	Speed = "coalesce(measured(speed_ms), measured(avg_speed_kmh) / 3.6)"
	Power = "coalesce(measured(power_w), measured(voltage_v) * measured(current_a))"
)

func (u *update) read(ctx context.Context, from, to time.Time) (n int, err error) {
	rows, err := u.tx.Query(ctx, `
		SELECT time, latitude, longitude, `+Speed+`, `+Power+`, altitude_m,
		       coalesce(distance_m, route_distance_km * 1000), coalesce(energy_j, cumulative_energy_kwh * 3.6e6), `+lapNumber+`, driver_mode
		FROM telemetry
		WHERE session = $1 AND time >= $2 AND time < $3 AND time <= $4 AND batch <= $5
		ORDER BY time, batch, ord`, u.session, from, to, u.last, u.batch)
	if err != nil {
		return 0, err
	}
	var failed error
	err = record.ReadColumns(rows, func(c *record.Columns) {
		s := sample{c.Micros(), c.Float(), c.Float(), c.Float(), c.Float(), c.Float(), c.Float(), c.Float(), c.Float(), c.Raw()}
		at := time.UnixMicro(s.At).UTC().Truncate(minute)
		if len(u.parts) == 0 || !u.parts[len(u.parts)-1].minute.Equal(at) {
			failed = errors.Join(failed, u.beginPart(at))
		}
		u.parts[len(u.parts)-1].Add(s)
		n++
	})
	return n, errors.Join(err, failed)
}

// beginPart begins a minute with what is known at the end of the one before.
func (u *update) beginPart(at time.Time) error {
	next := &part{minute: at}
	if k := len(u.parts); k > 0 {
		before := &u.parts[k-1].reducer
		u.state, next.before, next.Stale = before.runState, before, before.Stale
	}
	next.runState = u.state
	u.parts = append(u.parts, next)
	var err error
	if next.begun, err = json.Marshal(u.state); err != nil {
		return fmt.Errorf("keep the state of a run: %w", err)
	}
	return nil
}

// conclude stores the parts and what the whole run amounts to.
func (u *update) conclude(ctx context.Context, from time.Time) error {
	if n := len(u.parts); n > 0 {
		u.state = u.parts[n-1].runState
	}
	_, err := u.tx.CopyFrom(ctx, pgx.Identifier{"analysis_parts"}, partColumns, pgx.CopyFromSlice(len(u.parts), func(i int) ([]any, error) { return u.parts[i].row(u.session), nil }))
	if err != nil {
		return fmt.Errorf("store the parts of a run: %w", err)
	}
	run, err := u.load(ctx, from)
	if err != nil {
		return err
	}
	var course *lapCourse
	var known track.Known
	if f := run.find(); f != nil {
		z := heights(f.nodes, f.line)
		if known, err = track.Recognise(ctx, u.tx, track.Found{Session: u.session, Shape: f.shape(z), Laps: f.laps()}); err != nil {
			return fmt.Errorf("find the track of a run: %w", err)
		}
		course = run.course(f, known.Gates, known.Finish)
	}
	var laps []lap
	var open *lap
	var openFrom *time.Time
	if course != nil {
		if laps, open = run.laps(course); open != nil {
			openFrom = &open.From
		}
	} else if len(run.Bins) > 0 {
		laps = run.countedLaps()
	}
	if err := u.storeLaps(ctx, laps, open); err != nil {
		return fmt.Errorf("store the laps of a run: %w", err)
	}
	f := u.state.figures()
	if course == nil {
		course = &lapCourse{Length: math.NaN(), Noise: math.NaN()}
	}
	_, err = u.tx.Exec(ctx, `
		INSERT INTO analysis_runs (session, batch, took_s, distance_m, distance_from, energy_j, energy_from, sent_distance_m, sent_energy_j, sent_why,
			silent_s, paused_s, no_fix, lap_m, noise_m, line_latitude, line_longitude, gates_m, has_coast, track, track_revision, open_from)
		VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17, $18, $19, nullif($20::integer, 0), $21, $22)
		ON CONFLICT (session) DO UPDATE SET
			batch = excluded.batch, computed_at = clock_timestamp(), took_s = excluded.took_s,
			distance_m = excluded.distance_m, distance_from = excluded.distance_from, energy_j = excluded.energy_j, energy_from = excluded.energy_from,
			sent_distance_m = excluded.sent_distance_m, sent_energy_j = excluded.sent_energy_j, sent_why = excluded.sent_why,
			silent_s = excluded.silent_s, paused_s = excluded.paused_s, no_fix = excluded.no_fix, lap_m = excluded.lap_m, noise_m = excluded.noise_m,
			line_latitude = excluded.line_latitude, line_longitude = excluded.line_longitude,
			gates_m = excluded.gates_m, has_coast = excluded.has_coast, track = excluded.track, track_revision = excluded.track_revision,
			open_from = excluded.open_from`,
		u.session, u.batch, time.Since(u.begin).Seconds(), f.Distance, f.DistanceFrom, f.Energy, f.EnergyFrom, f.SentDistance, f.SentEnergy, f.SentWhy,
		f.Silent, f.Paused, u.state.Every.Count-run.fixed, nanIsNull(course.Length), nanIsNull(course.Noise), course.Lat, course.Lon,
		course.Gates, u.state.Coast.Known && u.state.Power.Known, known.Track, known.Revision, openFrom)
	if err != nil {
		return fmt.Errorf("store the figures of a run: %w", err)
	}
	return nil
}

func nanIsNull(v float64) *float64 {
	if math.IsNaN(v) {
		return nil
	}
	return &v
}

// load reads the parts before a minute and joins those behind it.
func (u *update) load(ctx context.Context, from time.Time) (*run, error) {
	r := &run{First: u.state.First, Moved: u.state.Moved, Measured: u.state.Speed.Known || u.state.Distance.Known}
	rows, err := u.tx.Query(ctx, selectParts+"WHERE session = $1 AND minute < $2 ORDER BY minute", u.session, from)
	if err != nil {
		return nil, err
	}
	if err := r.scan(rows); err != nil {
		return nil, err
	}
	for i := range u.parts {
		r.Bins, r.Spots, r.Counted = append(r.Bins, u.parts[i].Bins...), append(r.Spots, u.parts[i].Spots...), append(r.Counted, u.parts[i].Counted...)
	}
	end := reducer{runState: u.state}
	end.End()
	r.Spots = append(r.Spots, end.Spots...)
	r.fixed = end.Fixed
	r.sort()
	return r, nil
}
