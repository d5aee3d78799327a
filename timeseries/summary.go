package timeseries

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/jackc/pgerrcode"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/ecovolt/telemetryd/internal/fault"
	schema "github.com/ecovolt/telemetryd/sql"
	"github.com/ecovolt/telemetryd/timeseries/analysis"
	"github.com/ecovolt/telemetryd/timeseries/archive"
	"github.com/ecovolt/telemetryd/timeseries/channel"
	"github.com/ecovolt/telemetryd/timeseries/rollup"
	"github.com/ecovolt/telemetryd/timeseries/series/usual"
)

// Summary is the figures of a whole session. The rules are the function
// contract's: distance and energy are the last record's counters where it has
// them, else integrated; speeds and means leave out records without a value. What
// no record carries is nil.
type Summary struct {
	Session     string    `json:"session_id"`
	Batch       int32     `json:"batch"` // the watermark that it was computed for
	Start       time.Time `json:"start"`
	End         time.Time `json:"end"`
	Records     int64     `json:"records"`
	Distance    float64   `json:"distance_km"`
	MaxSpeed    *float64  `json:"max_speed_kmh"`
	AvgSpeed    *float64  `json:"avg_speed_kmh"` // of the records that move
	Energy      float64   `json:"energy_wh"`
	Efficiency  float64   `json:"efficiency_km_kwh"` // 0 when unknown
	Duration    float64   `json:"duration_min"`
	AvgPower    *float64  `json:"avg_power_w"`
	MaxPower    *float64  `json:"max_power_w"`
	AvgVoltage  *float64  `json:"avg_voltage_v"`
	MaxG        *float64  `json:"max_g"`
	OptSpeed    *float64  `json:"optimal_speed_kmh"` // first estimate
	Quality     *float64  `json:"quality_score"`
	Elevation   *float64  `json:"elevation_gain_m"`
	Anomalies   int64     `json:"anomalies"`
	Cadence     float64   `json:"cadence_s"` // mean step between records, gaps left out
	Step        float64   `json:"step_s"`    // median step between records, repeated timestamps left out
	Gap         float64   `json:"gap_s"`     // a longer silence between records is a gap
	LongestGap  float64   `json:"longest_gap_s"`
	Duplicates  int64     `json:"duplicates"` // records that share their timestamp with the one before
	Gaps        []Gap     `json:"gaps"`       // the longest, oldest first; at most maxGaps
	GapsOmitted int       `json:"gaps_omitted"`
	// ClockSteps are where the run's clock stepped back while records went on, in
	// order of arrival; ClockStepsOmitted counts further ones.
	ClockSteps        []ClockStep `json:"clock_steps"`
	ClockStepsOmitted int         `json:"clock_steps_omitted"`
	// Strays are groups of records that lie more than 7 days from the largest one
	// and are kept, since they are too many to be set aside or right by the
	// server's clock.
	Strays   []Strays `json:"strays"`
	SetAside int64    `json:"set_aside"` // records set aside, which nothing else counts
	// Channels are those that can be charted and that any record carries.
	Channels []usual.Channel `json:"channels"`
}

// Gap is a time without records, between two records.
type Gap struct {
	From    time.Time `json:"from"`
	To      time.Time `json:"to"`
	Seconds float64   `json:"seconds"`
}

// ClockStep is a step back of a run's clock.
type ClockStep struct {
	From    time.Time `json:"from"` // time of the record before it
	To      time.Time `json:"to"`   // of the record behind it: earlier
	Seconds float64   `json:"seconds"`
}

// Strays is a group of records that lies apart.
type Strays struct {
	From    time.Time `json:"from"`
	To      time.Time `json:"to"`
	Records int64     `json:"records"`
}

// maxGaps bounds how many gaps a summary names.
const maxGaps = 100

// summaryPause is how long the summary of a growing session is left alone
// before it is computed again. Store.Summary does not wait for it.
const summaryPause = 5 * time.Second

// summaryPiece is how much is counted at once, whole minutes.
const summaryPiece = 30 * time.Minute

// archiveStats returns the figures of a summary by the archives' names, which
// have 0 for what is not known.
func (s *Store) archiveStats(ctx context.Context, id string) (archive.Stats, error) {
	sum, err := s.Summary(ctx, id)
	if err != nil {
		return archive.Stats{}, err
	}
	known := func(v *float64) float64 {
		if v == nil {
			return 0
		}
		return *v
	}
	return archive.Stats{
		Distance: sum.Distance, MaxSpeed: known(sum.MaxSpeed), AvgSpeed: known(sum.AvgSpeed), EnergyWh: sum.Energy, Efficiency: sum.Efficiency,
		DurationMin: sum.Duration, AvgPower: known(sum.AvgPower), MaxPower: known(sum.MaxPower), AvgVoltage: known(sum.AvgVoltage), MaxG: known(sum.MaxG),
		OptimalSpeed: known(sum.OptSpeed), QualityScore: known(sum.Quality), ElevationGain: known(sum.Elevation),
		AnomalyCount: float64(sum.Anomalies), RecordCount: float64(sum.Records),
	}, nil
}

// summarised brings the summary of a session up to its newest batch. It is read on
// the connection, which the caller releases.
func (s *Store) summarised(ctx context.Context, id string) (conn *pgxpool.Conn, key int32, err error) {
	err = s.reads.QueryRow(ctx, `SELECT session FROM sessions WHERE id = $1 AND deleted_at IS NULL`, id).Scan(&key)
	if err == pgx.ErrNoRows {
		return nil, 0, fault.NoSession(id)
	}
	if err != nil {
		return nil, 0, fmt.Errorf("summarise session: %w", err)
	}
	// Whoever comes while another one works it out finds it done, and holds no
	// connection until then.
	var held *pgxpool.Conn
	defer func() {
		if conn == nil && held != nil {
			held.Release()
		}
	}()
	err = s.summarising.Do(ctx, key, func() (err error) {
		if held, err = s.reads.Acquire(ctx); err != nil {
			return err
		}
		return s.summarise(ctx, held.Conn(), key)
	})
	if err != nil {
		return nil, 0, fmt.Errorf("summarise session: %w", err)
	}
	return held, key, nil
}

// Summary returns the figures of a session as of its newest batch.
func (s *Store) Summary(ctx context.Context, id string) (*Summary, error) {
	conn, key, err := s.summarised(ctx, id)
	if err != nil {
		return nil, err
	}
	defer conn.Release()
	sum := &Summary{Session: id, Gaps: []Gap{}, Channels: []usual.Channel{}}
	var start, end *time.Time
	var channels map[string]usual.Channel
	err = conn.QueryRow(ctx, `
		SELECT m.batch, s.first_time, s.last_time, coalesce(m.records, 0),
		       coalesce(m.distance_km, 0), m.max_speed_kmh, m.avg_speed_kmh, coalesce(m.energy_wh, 0),
		       coalesce(m.efficiency_km_kwh, 0), coalesce(m.duration_min, 0), m.avg_power_w, m.max_power_w,
		       m.avg_voltage_v, m.max_g, m.optimal_speed_kmh, m.quality_score,
		       m.elevation_gain_m, coalesce(m.anomalies, 0), coalesce(m.cadence_s, 0), coalesce(m.longest_gap_s, 0),
		       coalesce(m.duplicates, 0), coalesce(m.step_s, 0), coalesce(m.channels, '{}')
		FROM session_summaries m JOIN sessions s USING (session)
		WHERE m.session = $1 AND s.deleted_at IS NULL`, key).Scan(
		&sum.Batch, &start, &end, &sum.Records, &sum.Distance, &sum.MaxSpeed, &sum.AvgSpeed, &sum.Energy,
		&sum.Efficiency, &sum.Duration, &sum.AvgPower, &sum.MaxPower, &sum.AvgVoltage, &sum.MaxG, &sum.OptSpeed, &sum.Quality,
		&sum.Elevation, &sum.Anomalies, &sum.Cadence, &sum.LongestGap, &sum.Duplicates, &sum.Step, &channels)
	if err == pgx.ErrNoRows {
		return nil, fault.NoSession(id) // deleted a moment ago
	}
	if err != nil {
		return nil, fmt.Errorf("read summary: %w", err)
	}
	if start != nil && end != nil {
		sum.Start, sum.End = start.UTC(), end.UTC()
	}
	for _, c := range channel.All {
		if found, ok := channels[c.Name]; ok {
			sum.Channels = append(sum.Channels, found)
		}
	}
	sum.Gap = channel.GapAfter(time.Duration(sum.Step * float64(time.Second))).Seconds()
	if sum.Gaps, sum.GapsOmitted, err = readGaps(ctx, conn, key, sum); err != nil {
		return nil, fmt.Errorf("find gaps: %w", err)
	}
	if err := sum.readClock(ctx, conn, key); err != nil {
		return nil, fmt.Errorf("read what the clock did: %w", err)
	}
	return sum, nil
}

// readClock fills in what the run's clock did.
func (sum *Summary) readClock(ctx context.Context, q schema.Querier, session int32) (err error) {
	var steps int
	if err := q.QueryRow(ctx, "SELECT clock_steps, set_aside FROM sessions WHERE session = $1", session).Scan(&steps, &sum.SetAside); err != nil {
		return err
	}
	if sum.ClockSteps, err = schema.List(ctx, q, pgx.RowToStructByPos[ClockStep], `
		SELECT from_time, to_time, extract(epoch FROM from_time - to_time)::float8
		FROM clock_steps
		WHERE session = $1
		ORDER BY batch, ctid
		LIMIT $2`, session, maxGaps); err != nil {
		return err
	}
	sum.ClockStepsOmitted = max(0, steps-len(sum.ClockSteps))
	sum.Strays, err = schema.List(ctx, q, pgx.RowToStructByPos[Strays], `
		SELECT from_time, to_time, records
		FROM (
			SELECT from_time, to_time, records, row_number() OVER (ORDER BY records DESC, from_time DESC) AS rank
			FROM clusters
			WHERE session = $1 AND NOT set_aside
		) kept
		WHERE rank > 1
		ORDER BY from_time
		LIMIT $2`, session, maxGaps)
	return err
}

// readGaps finds the longest gaps by the summary's parts; only minutes that
// hold one are looked up in the records.
func readGaps(ctx context.Context, q schema.Querier, session int32, sum *Summary) ([]Gap, int, error) {
	rows, err := q.Query(ctx, `
		WITH parts AS (
			SELECT minute, step_max, first_time, lag(last_time) OVER (ORDER BY minute) AS before
			FROM summary_parts WHERE session = $1
		), gaps AS (
			SELECT before AS from_time, first_time AS to_time FROM parts
			WHERE first_time - before > make_interval(secs => $2)
			UNION ALL
			SELECT inside.before, inside.time
			FROM (SELECT minute FROM parts WHERE step_max > $2 ORDER BY step_max DESC LIMIT $3) p
			CROSS JOIN LATERAL (
				SELECT time, lag(time) OVER (ORDER BY time) AS before
				FROM telemetry
				WHERE session = $1 AND time >= p.minute AND time < p.minute + INTERVAL '1 minute'
				  AND time >= $4 AND time <= $5
			) inside
			WHERE inside.time - inside.before > make_interval(secs => $2)
		)
		SELECT from_time, to_time, extract(epoch FROM to_time - from_time)::float8, count(*) OVER ()
		FROM gaps ORDER BY to_time - from_time DESC, from_time LIMIT $3`, session, sum.Gap, maxGaps, sum.Start, sum.End)
	if err != nil {
		return nil, 0, err
	}
	gaps := []Gap{}
	var g Gap
	var all int
	_, err = pgx.ForEachRow(rows, []any{&g.From, &g.To, &g.Seconds, &all}, func() error {
		gaps = append(gaps, Gap{g.From.UTC(), g.To.UTC(), g.Seconds})
		return nil
	})
	if err != nil {
		return nil, 0, err
	}
	slices.SortFunc(gaps, func(a, b Gap) int { return a.From.Compare(b.From) })
	return gaps, max(0, all-len(gaps)), nil
}

// summarise brings the summary of one session up to its newest batch. It reads
// only the minutes that changed. Other instances may do it at the same time; within
// this one callers take turns, since all but one would have worked for nothing.
func (s *Store) summarise(ctx context.Context, conn *pgx.Conn, session int32) error {
	return oneSnapshot(ctx, conn, func(tx pgx.Tx) error { return s.summariseTx(ctx, tx, session) })
}

// oneSnapshot runs work so that figures are those of a whole batch.
func oneSnapshot(ctx context.Context, conn *pgx.Conn, work func(pgx.Tx) error) (err error) {
	for range 5 {
		err = pgx.BeginTxFunc(ctx, conn, pgx.TxOptions{IsoLevel: pgx.RepeatableRead}, work)
		if !schema.HasCode(err, pgerrcode.SerializationFailure, pgerrcode.UniqueViolation, pgerrcode.LockNotAvailable) {
			return err
		}
		// Another caller did it meanwhile, and a fresh snapshot shows its work; or it
		// is doing it, for longer than a lock is waited for.
	}
	return err
}

func (s *Store) summariseTx(ctx context.Context, tx pgx.Tx, session int32) error {
	id, changed, err := addUp(ctx, tx, session)
	if err != nil || !changed {
		return err
	}
	var sample usual.Sample
	var step float64
	err = tx.QueryRow(ctx, "SELECT channels, coalesce(step_s, 0), coalesce(sampled, 0) FROM session_summaries WHERE session = $1", session).
		Scan(&sample.Channels, &step, &sample.Records)
	if err != nil {
		return err
	}
	sample.Step = time.Duration(step * float64(time.Second))
	if sample, err = s.Series.Sample(ctx, tx, id, sample); err != nil {
		return err
	}
	_, err = tx.Exec(ctx, "UPDATE session_summaries SET channels = $2, step_s = $3, sampled = $4 WHERE session = $1",
		session, sample.Channels, sample.Step.Seconds(), sample.Records)
	return err
}

// addUp brings all of a summary but its channels up to the newest batch, and reports
// whether anything, channels included, was behind it.
func addUp(ctx context.Context, tx pgx.Tx, session int32) (id string, changed bool, err error) {
	var batch, done int32
	var known bool
	err = tx.QueryRow(ctx, `
		SELECT s.id, s.batch, coalesce(m.batch, 0), m.channels IS NOT NULL
		FROM sessions s LEFT JOIN session_summaries m USING (session)
		WHERE s.session = $1 AND s.deleted_at IS NULL`, session).Scan(&id, &batch, &done, &known)
	if err == pgx.ErrNoRows || err == nil && batch == done && known {
		return "", false, nil
	}
	if err != nil {
		return "", false, err
	}
	spans, _, err := rollup.Changed(ctx, tx, []rollup.Change{{Session: session, After: done, UpTo: batch}}, time.Minute)
	if err != nil {
		return "", false, err
	}
	for i, s := range spans {
		spans[i] = s.Outward(time.Minute)
	}
	spans = rollup.Merge(spans, 10*time.Minute)
	if _, err := tx.Exec(ctx, "SELECT set_config('jit', 'off', true), set_config('work_mem', '32MB', true), set_config('plan_cache_mode', 'force_custom_plan', true)"); err != nil {
		return "", false, err
	}
	for _, span := range spans {
		if _, err := tx.Exec(ctx, "DELETE FROM summary_parts WHERE session = $1 AND minute >= $2 AND minute < $3", session, span.From, span.To); err != nil {
			return "", false, err
		}
		// By pieces that can be sorted in memory. Where one is empty, the next record
		// may be months away: one that was changed counts for all of its batch's time.
		for at := span.From; at.Before(span.To); {
			piece := rollup.Span{From: at, To: at.Add(summaryPiece)}.Clip(span)
			minutes, err := countMinutes(ctx, tx, session, piece)
			if err != nil {
				return "", false, err
			}
			if at = piece.To; minutes > 0 {
				continue
			}
			var next time.Time
			err = tx.QueryRow(ctx, "SELECT time FROM telemetry WHERE session = $1 AND time >= $2 AND time < $3 ORDER BY time LIMIT 1", session, at, span.To).Scan(&next)
			if err == pgx.ErrNoRows {
				break
			}
			if err != nil {
				return "", false, err
			}
			at = next.Truncate(time.Minute)
		}
	}
	if _, err := tx.Exec(ctx, summaryMergeSQL, session, batch); err != nil {
		return "", false, err
	}
	return id, true, nil
}

// countMinutes counts minutes of which nothing is stored, and returns how many have
// records. TimescaleDB before 2.28 takes a chunk for sorted that late records are in:
// where steps go back in time, the records are sorted first.
func countMinutes(ctx context.Context, tx pgx.Tx, session int32, piece rollup.Span) (minutes int, err error) {
	var back bool
	err = tx.QueryRow(ctx, summaryPartsSQL, session, piece.From, piece.To).Scan(&minutes, &back)
	if err != nil || !back {
		return minutes, err
	}
	if _, err := tx.Exec(ctx, "DELETE FROM summary_parts WHERE session = $1 AND minute >= $2 AND minute < $3", session, piece.From, piece.To); err != nil {
		return 0, err
	}
	sorted := strings.Replace(summaryPartsSQL, "WINDOW w AS (", "WINDOW w AS (PARTITION BY time_bucket(INTERVAL '1 minute', time) ", 1)
	return minutes, tx.QueryRow(ctx, sorted, session, piece.From, piece.To).Scan(&minutes, &back)
}

// summaryPartsSQL counts whole minutes. A step is the time since the record before, in
// the same minute; those between minutes are added by the merge. Over all of a piece,
// the window has the order of the columnstore, and nothing is sorted.
const summaryPartsSQL = `
WITH counted AS (
INSERT INTO summary_parts (
	session, minute, records, first_time, last_time,
	first_speed, first_power, speed_max,
	moving_sum, moving_count,
	power_sum, power_count, power_max, voltage_sum, voltage_count, g_max,
	quality_sum, quality_count, elevation_max,
	anomalies,
	optimal_first,
	distance_m,
	energy_j,
	last_route_km, last_kwh,
	last_eff,
	steps, step_sum, step_max, duplicates)
SELECT $1, minute, count(*), min(time), max(time),
       max(speed) FILTER (WHERE step IS NULL), max(power) FILTER (WHERE step IS NULL), max(speed),
       sum(speed) FILTER (WHERE speed > 0), count(*) FILTER (WHERE speed > 0),
       sum(power), count(power), max(power), sum(voltage_v), count(voltage_v), max(g),
       sum(quality_score), count(quality_score), max(elevation_gain_m),
       count(*) FILTER (WHERE severity <> 'none'),
       first(optimal_speed_kmh, time) FILTER (WHERE optimal_speed_kmh IS NOT NULL),
       coalesce(sum(speed * step) FILTER (WHERE step > 0 AND step < 60), 0),
       coalesce(sum(abs(power) * step) FILTER (WHERE step > 0 AND step < 72), 0),
       max(route_distance_km) FILTER (WHERE is_last), max(cumulative_energy_kwh) FILTER (WHERE is_last),
       max(efficiency) FILTER (WHERE is_last),
       count(step), coalesce(sum(step), 0), coalesce(max(step), 0), count(*) FILTER (WHERE step = 0)
FROM (
	SELECT time, time_bucket(INTERVAL '1 minute', time) AS minute,
	       ` + analysis.Speed + ` AS speed,
	       ` + analysis.Power + ` AS power,
	       coalesce(current_g_force, CASE WHEN num_nonnulls(accel_x, accel_y, accel_z) > 0
	           THEN sqrt(coalesce(measured(accel_x), 0)^2 + coalesce(measured(accel_y), 0)^2 + coalesce(measured(accel_z), 0)^2) / 9.81 END) AS g,
	       coalesce(outlier_severity, CASE WHEN jsonb_typeof(outliers) = 'object' THEN outliers ->> 'severity' END) AS severity,
	       coalesce(acc_eff_km_kwh, inst_eff_km_kwh, current_efficiency_km_kwh) AS efficiency,
	       voltage_v, quality_score, elevation_gain_m, optimal_speed_kmh, route_distance_km, cumulative_energy_kwh,
	       CASE WHEN lag(time) OVER w > time THEN 'NaN' WHEN lag(time) OVER w >= time_bucket(INTERVAL '1 minute', time) THEN date_part('epoch', time - lag(time) OVER w) END AS step,
	       (lead(time) OVER w >= time_bucket(INTERVAL '1 minute', time) + INTERVAL '1 minute') IS NOT false AS is_last
	FROM telemetry
	WHERE session = $1 AND time >= $2 AND time < $3
	WINDOW w AS (ORDER BY time, batch, ord)
) r
GROUP BY minute
RETURNING step_sum
)
SELECT count(*), coalesce(bool_or(step_sum = 'NaN'), false) FROM counted`

const summaryMergeSQL = `
WITH parts AS (
	SELECT *, extract(epoch FROM first_time - lag(last_time) OVER w)::float8 AS step
	FROM summary_parts
	WHERE session = $1
	WINDOW w AS (ORDER BY minute)
), newest AS (
	SELECT last_route_km, last_kwh, last_eff FROM parts ORDER BY minute DESC LIMIT 1
), total AS (
	SELECT sum(records) AS records, min(first_time) AS first_time, max(last_time) AS last_time,
	       max(speed_max) AS speed_max, sum(moving_sum) / nullif(sum(moving_count), 0) AS moving,
	       sum(power_sum) / nullif(sum(power_count), 0) AS power, max(power_max) AS power_max,
	       sum(voltage_sum) / nullif(sum(voltage_count), 0) AS voltage, max(g_max) AS g,
	       sum(quality_sum) / nullif(sum(quality_count), 0) AS quality, max(elevation_max) AS elevation,
	       sum(anomalies) AS anomalies, first(optimal_first, minute) FILTER (WHERE optimal_first IS NOT NULL) AS optimal,
	       sum(distance_m) + coalesce(sum(first_speed * step) FILTER (WHERE step > 0 AND step < 60), 0) AS metres,
	       sum(energy_j) + coalesce(sum(abs(first_power) * step) FILTER (WHERE step > 0 AND step < 72), 0) AS joules,
	       (sum(step_sum) + coalesce(sum(step) FILTER (WHERE step < 60), 0)) / nullif(sum(steps) + count(*) FILTER (WHERE step < 60), 0) AS cadence,
	       greatest(max(step_max), max(step)) AS longest, sum(duplicates) AS duplicates
	FROM parts
)
INSERT INTO session_summaries (
	session, batch, computed_at, records,
	distance_km,
	max_speed_kmh, avg_speed_kmh,
	energy_wh,
	efficiency_km_kwh,
	duration_min,
	avg_power_w, max_power_w, avg_voltage_v, max_g, optimal_speed_kmh, quality_score, elevation_gain_m,
	anomalies, cadence_s, longest_gap_s, duplicates)
SELECT $1, $2, clock_timestamp(), records,
       CASE WHEN last_route_km > 0 THEN last_route_km ELSE metres / 1000 END,
       speed_max * 3.6, moving * 3.6,
       CASE WHEN last_kwh > 0 THEN last_kwh * 1000 ELSE joules / 3600 END,
       CASE WHEN abs(last_eff) <= 500 THEN last_eff ELSE 0 END,
       extract(epoch FROM last_time - first_time) / 60,
       power, power_max, voltage, g, optimal, quality, elevation, anomalies, cadence, longest, duplicates
FROM total LEFT JOIN newest ON true
ON CONFLICT (session) DO UPDATE SET
	batch = excluded.batch, computed_at = excluded.computed_at, records = excluded.records,
	distance_km = excluded.distance_km, max_speed_kmh = excluded.max_speed_kmh, avg_speed_kmh = excluded.avg_speed_kmh,
	energy_wh = excluded.energy_wh, efficiency_km_kwh = excluded.efficiency_km_kwh, duration_min = excluded.duration_min,
	avg_power_w = excluded.avg_power_w, max_power_w = excluded.max_power_w, avg_voltage_v = excluded.avg_voltage_v,
	max_g = excluded.max_g, optimal_speed_kmh = excluded.optimal_speed_kmh, quality_score = excluded.quality_score,
	elevation_gain_m = excluded.elevation_gain_m, anomalies = excluded.anomalies, cadence_s = excluded.cadence_s,
	longest_gap_s = excluded.longest_gap_s, duplicates = excluded.duplicates`
