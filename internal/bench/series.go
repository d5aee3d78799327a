package bench

import (
	"context"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	schema "github.com/ecovolt/telemetryd/sql"
	"github.com/ecovolt/telemetryd/timeseries/rollup"
)

const (
	seriesSession = "bench-race"
	seriesPoints  = 1000
	seriesRate    = 50 // Hz
)

var seriesStart = time.Date(2026, 3, 21, 6, 0, 0, 0, time.UTC)

// seriesMetrics are the eight of a race screen.
var seriesMetrics = []string{"speed_ms", "power_w", "voltage_v", "current_a", "motor_rpm", "motor_temp_c", "throttle_pct", "altitude_m"}

// series measures reads at every zoom of one long session, over HTTP, beside a
// GROUP BY of the records in the window.
func series(ctx context.Context, e *Env) error {
	length := time.Duration(e.SeriesRecords) * time.Second / seriesRate
	fmt.Fprintf(e.Out, "%d records in one session: %v at %d Hz; as many in each of %d others\n\n", e.SeriesRecords, length, seriesRate, e.SeriesOthers)
	if err := fillSeries(ctx, e); err != nil {
		return err
	}
	t := newTable(e.Out, "window", "mode", "metrics", "served by", "points", "p50 ms", "p99 ms", "GROUP BY ms", "times")
	for _, c := range []struct {
		name    string
		window  time.Duration
		mode    string
		metrics int
	}{
		{"whole", length, "minmax", 1}, {"whole", length, "minmax", 8},
		{"1 h", time.Hour, "minmax", 1}, {"1 h", time.Hour, "minmax", 8},
		{"10 min", 10 * time.Minute, "minmax", 1}, {"10 min", 10 * time.Minute, "minmax", 8},
		{"1 min", time.Minute, "minmax", 1}, {"1 min", time.Minute, "minmax", 8},
		{"10 s", 10 * time.Second, "minmax", 1}, {"10 s", 10 * time.Second, "minmax", 8},
		{"whole", length, "m4", 1}, {"1 h", time.Hour, "m4", 1}, {"1 min", time.Minute, "m4", 1},
	} {
		took, served, points, err := readSeries(ctx, e, c.window, length, c.mode, seriesMetrics[:c.metrics])
		if err != nil {
			return err
		}
		plain, err := plainGroupBy(ctx, e, c.window, length, seriesMetrics[:c.metrics])
		if err != nil {
			return err
		}
		p50 := ms(took[len(took)/2])
		t.row(c.name, c.mode, c.metrics, served, points, p50, ms(took[len(took)*99/100]), ms(plain), ms(plain)/p50)
	}
	t.flush()
	return nil
}

// fillSeries stores the session and waits until the rollups hold it.
func fillSeries(ctx context.Context, e *Env) error {
	conn, err := e.Pool.Acquire(ctx)
	if err != nil {
		return err
	}
	defer conn.Release()
	var license string
	if err := conn.QueryRow(ctx, "SHOW timescaledb.license").Scan(&license); err != nil {
		return err
	}
	// The daemon's refresher waits until the import and the columnstore are done.
	lease := schema.Lease{Pool: e.Pool, Name: rollup.LeaseName}
	err = lease.Lead(ctx, func(ctx context.Context, _ schema.Fence) error {
		return makeSeries(ctx, e, conn, license == "timescale")
	})
	if err != nil {
		return err
	}
	start := time.Now()
	if err := refreshed(ctx, conn); err != nil {
		return err
	}
	fmt.Fprintf(e.Out, "rollups refreshed in %.1f s\n", time.Since(start).Seconds())
	if license != "timescale" {
		fmt.Fprintln(e.Out)
		return nil
	}
	for _, level := range rollup.Levels {
		var size string
		if err := conn.QueryRow(ctx, "SELECT pg_size_pretty(hypertable_size(format('%I.%I', materialization_hypertable_schema, materialization_hypertable_name)::regclass)) FROM timescaledb_information.continuous_aggregates WHERE view_name = $1", level.Relation).Scan(&size); err != nil {
			return err
		}
		fmt.Fprintf(e.Out, "  %s: %s\n", level.Relation, size)
	}
	fmt.Fprintln(e.Out)
	return nil
}

// makeSeries makes the sessions in the database, and on the community edition
// moves them to the columnstore.
func makeSeries(ctx context.Context, e *Env, conn *pgxpool.Conn, community bool) error {
	start := time.Now()
	err := pgx.BeginFunc(ctx, conn, func(tx pgx.Tx) error {
		_, err := tx.Exec(ctx, seriesSQL, seriesSession, seriesStart, e.SeriesRecords, fmt.Sprintf("%d microseconds", 1_000_000/seriesRate))
		return err
	})
	if err != nil {
		return fmt.Errorf("make the session: %w", err)
	}
	for n := range e.SeriesOthers {
		// Two on the same day, as in one race; the others on days of their own.
		shift := 0
		if n >= 2 {
			shift = n
		}
		if err := copySession(ctx, conn.Conn(), fmt.Sprint("bench-other-", n+1), shift*48, community); err != nil {
			return fmt.Errorf("make another session: %w", err)
		}
	}
	fmt.Fprintf(e.Out, "made in the database in %.1f s, with %d other sessions\n", time.Since(start).Seconds(), e.SeriesOthers)
	size := func() (s string) {
		_ = conn.QueryRow(ctx, "SELECT pg_size_pretty(hypertable_size('telemetry'))").Scan(&s)
		return s
	}
	before := size()
	if community {
		start = time.Now()
		if _, err := conn.Exec(ctx, "SELECT compress_chunk(c, if_not_compressed => true) FROM show_chunks('telemetry') c"); err != nil {
			return err
		}
		fmt.Fprintf(e.Out, "moved to the columnstore in %.1f s: %s, then %s\n", time.Since(start).Seconds(), before, size())
	} else {
		fmt.Fprintf(e.Out, "size: %s\n", before)
	}
	if _, err := conn.Exec(ctx, "ANALYZE telemetry"); err != nil {
		return err
	}
	return nil
}

// copySession stores the session once more, so many hours later. What earlier
// copies stored moves to the columnstore, so that the disk need not hold all of
// them in rows.
func copySession(ctx context.Context, conn *pgx.Conn, id string, hours int, columnstore bool) error {
	var columns, values string
	err := conn.QueryRow(ctx, `
		SELECT string_agg(quote_ident(attname), ', '), string_agg('t.' || quote_ident(attname), ', ') FROM pg_attribute
		WHERE attrelid = 'telemetry'::regclass AND attnum > 0 AND NOT attisdropped AND attname NOT IN ('time', 'session')`).Scan(&columns, &values)
	if err != nil {
		return err
	}
	_, err = conn.Exec(ctx, fmt.Sprintf(`
		WITH old AS (
			SELECT * FROM sessions WHERE id = $1
		), run AS (
			INSERT INTO sessions (id, name, first_time, last_time, records, batch)
			SELECT $2::text, name, first_time + make_interval(hours => $3), last_time + make_interval(hours => $3), records, batch FROM old RETURNING session
		), log AS (
			INSERT INTO ingest_batches (session, batch, digest, min_time, max_time, records, source)
			SELECT run.session, b.batch, b.digest, b.min_time + make_interval(hours => $3), b.max_time + make_interval(hours => $3), b.records, b.source
			FROM run, old JOIN ingest_batches b ON b.session = old.session
		)
		INSERT INTO telemetry (time, session, %[1]s)
		SELECT t.time + make_interval(hours => $3), run.session, %[2]s FROM run, old JOIN telemetry t ON t.session = old.session`, columns, values),
		seriesSession, id, hours)
	if err == nil && columnstore {
		_, err = conn.Exec(ctx, "SELECT compress_chunk(c, if_not_compressed => true) FROM show_chunks('telemetry') c")
	}
	return err
}

// seriesSQL makes a session with 36 fields of every record set.
const seriesSQL = `
WITH run AS (
	INSERT INTO sessions (id, name, first_time, last_time, records, batch)
	VALUES ($1::text, 'Race', $2::timestamptz, $2::timestamptz + ($3::int - 1) * $4::interval, $3, ($3 + 9999) / 10000) RETURNING session
), log AS (
	INSERT INTO ingest_batches (session, batch, digest, min_time, max_time, records, source)
	SELECT session, b, sha256(b::text::bytea), $2 + (b - 1) * 10000 * $4, $2 + least(b * 10000, $3) * $4 - $4, least(10000, $3 - (b - 1) * 10000), 'bench'
	FROM run, generate_series(1, ($3 + 9999) / 10000) b
)
INSERT INTO telemetry (time, session, batch, ord, session_name, speed_ms, voltage_v, current_a, power_w, energy_j, distance_m, latitude, longitude,
	altitude_m, gyro_x, gyro_y, gyro_z, accel_x, accel_y, accel_z, total_acceleration, message_id, uptime_seconds, throttle_pct, brake_pct,
	throttle, brake, motor_rpm, motor_temp_c, motor_phase_1_current_a, vesc_voltage_v, vesc_current_a, cumulative_energy_kwh, route_distance_km,
	avg_speed_kmh, current_g_force, max_g_force, data_source, motion_state, driver_mode)
SELECT $2 + i * $4, session, 1 + i / 10000, i % 10000, 'Race',
	round((8 + 5 * sin(i / 3000.0) + random())::numeric, 2), round((46 + random())::numeric, 2), round((10 + random() * 2)::numeric, 2),
	round((450 + random() * 50)::numeric, 1), i * 10.0, round(i * 0.16, 2), round((40.7 + sin(i / 10000.0) / 100)::numeric, 6), round((-74 + cos(i / 10000.0) / 100)::numeric, 6),
	round((100 + random())::numeric, 1), round(random()::numeric, 3), round(random()::numeric, 3), round(random()::numeric, 3),
	round(random()::numeric, 3), round(random()::numeric, 3), round((9.8 + random() / 10)::numeric, 3), round((9.9 + random())::numeric, 3), i, i * 0.02,
	round((random() * 100)::numeric, 1), 0, round(random()::numeric, 3), 0, round((2000 + random() * 50)::numeric, 0), round((40 + random())::numeric, 1),
	round((12 + random())::numeric, 2), round((46 + random())::numeric, 2), round((10 + random())::numeric, 2), round(i * 1e-6, 6), round(i * 1.6e-4, 3),
	round((36 + random())::numeric, 2), round((random() / 10)::numeric, 3), 0.4, 'ESP32_LIVE',
	(ARRAY['cruising', 'accelerating', 'braking'])[1 + (i / 700) % 3], (ARRAY['eco', 'normal', 'aggressive'])[1 + (i / 1500) % 3]
FROM run, generate_series(0, $3 - 1) i`

// windowAt returns a random window of that length inside the session.
func windowAt(random *rand.Rand, window, length time.Duration) (from, to time.Time) {
	from = seriesStart
	if window < length {
		from = from.Add(time.Duration(random.Int64N(int64(length - window)))).Truncate(time.Microsecond)
	}
	return from, from.Add(min(window, length))
}

// readSeries asks the daemon again and again, after a warm-up.
func readSeries(ctx context.Context, e *Env, window, length time.Duration, mode string, metrics []string) (took []time.Duration, served string, points int, err error) {
	random := rand.New(rand.NewPCG(1, uint64(window)))
	const warm, rounds = 5, 60
	for i := range warm + rounds {
		from, to := windowAt(random, window, length)
		query := url.Values{
			"metrics": {strings.Join(metrics, ",")}, "points": {fmt.Sprint(seriesPoints)}, "mode": {mode},
			"from": {from.Format(time.RFC3339Nano)}, "to": {to.Format(time.RFC3339Nano)},
		}
		r, err := http.NewRequestWithContext(ctx, http.MethodGet, e.Daemon.URL+"/api/v1/sessions/"+seriesSession+"/series?"+query.Encode(), nil)
		if err != nil {
			return nil, "", 0, err
		}
		authorize(r)
		start := time.Now()
		response, err := http.DefaultClient.Do(r)
		if err != nil {
			return nil, "", 0, err
		}
		body, err := io.ReadAll(response.Body)
		response.Body.Close()
		if err != nil {
			return nil, "", 0, err
		}
		if response.StatusCode != http.StatusOK {
			return nil, "", 0, fmt.Errorf("series: %s: %.300s", response.Status, body)
		}
		if i >= warm {
			took = append(took, time.Since(start))
		}
		text := string(body)
		_, rest, _ := strings.Cut(text, `"level":"`)
		served, _, _ = strings.Cut(rest, `"`)
		_, rest, _ = strings.Cut(text, `"t":[`)
		list, _, _ := strings.Cut(rest, "]")
		points = strings.Count(list, ",") + 1
	}
	slices.Sort(took)
	return took, served, points, nil
}

// plainGroupBy is what the same window costs without rollups.
func plainGroupBy(ctx context.Context, e *Env, window, length time.Duration, metrics []string) (time.Duration, error) {
	random := rand.New(rand.NewPCG(2, uint64(window)))
	var columns strings.Builder
	for _, m := range metrics {
		fmt.Fprintf(&columns, ", min(%[1]s), max(%[1]s), avg(%[1]s), count(%[1]s)", m)
	}
	rounds := 5
	if window > 2*time.Hour {
		rounds = 1
	}
	var took []time.Duration
	for range rounds {
		from, to := windowAt(random, window, length)
		start := time.Now()
		rows, err := e.Pool.Query(ctx, `
			SELECT time_bucket($4::interval, t.time)`+columns.String()+`
			FROM telemetry t JOIN sessions s USING (session)
			WHERE s.id = $1 AND t.time >= $2 AND t.time < $3
			GROUP BY 1 ORDER BY 1`, seriesSession, from, to, max(to.Sub(from)/seriesPoints, time.Millisecond))
		if err != nil {
			return 0, err
		}
		for rows.Next() {
		}
		if err := rows.Err(); err != nil {
			return 0, err
		}
		took = append(took, time.Since(start))
	}
	slices.Sort(took)
	return took[len(took)/2], nil
}
