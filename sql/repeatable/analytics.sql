-- Functions of long-race analytics, used by the API and by analysts alike.
-- Applied whole whenever this file or the rollups change, so everything in it
-- must replace itself. They read the rollup of one second, which follows the
-- records within a few seconds.
DROP FUNCTION IF EXISTS analytics.seconds(text);
CREATE FUNCTION analytics.seconds(session_id text)
RETURNS TABLE (
    second       timestamptz,
    lasts_s      double precision,
    speed_ms     double precision,
    max_speed_ms double precision,
    power_w      double precision,
    latitude     double precision,
    longitude    double precision,
    driver_mode  text,
    distance_m   double precision,
    energy_j     double precision
)
LANGUAGE plpgsql STABLE
SET jit = off
-- Of a run that was stored a moment ago there are no statistics: the planner takes
-- it for a few rows, and would look the states up anew for each second.
SET enable_nestloop = off
SET search_path FROM CURRENT
AS $$
DECLARE
    run sessions;
BEGIN
    SELECT * INTO run FROM sessions s WHERE s.id = seconds.session_id AND s.deleted_at IS NULL;
    IF run.first_time IS NULL THEN
        RETURN;
    END IF;
    RETURN QUERY
    SELECT r.bucket, r.lasts, r.speed, r.speed_max, r.power, r.lat, r.lon, r.mode,
           coalesce(r.speed * r.lasts, 0), coalesce(abs(r.power) * r.lasts, 0)
    FROM (
        SELECT t.bucket,
               -- A second lasts until the next one that has records, unless that is a gap.
               extract(epoch FROM CASE WHEN lead(t.first_time) OVER w - t.first_time < INTERVAL '60 seconds'
                   THEN lead(t.first_time) OVER w - t.first_time ELSE t.last_time - t.first_time END)::double precision AS lasts,
               coalesce(t.speed_ms_sum / nullif(t.speed_ms_count, 0), t.avg_speed_kmh_sum / nullif(t.avg_speed_kmh_count, 0) / 3.6) AS speed,
               coalesce(t.speed_ms_max, t.avg_speed_kmh_max / 3.6) AS speed_max,
               coalesce(t.power_w_sum / nullif(t.power_w_count, 0),
                        t.voltage_v_sum / nullif(t.voltage_v_count, 0) * (t.current_a_sum / nullif(t.current_a_count, 0))) AS power,
               -- 0,0 is no fix; a second that mixes it with a fix has no mean.
               CASE WHEN (t.latitude_min > 0 OR t.latitude_max < 0 OR t.longitude_min > 0 OR t.longitude_max < 0)
                   THEN t.latitude_sum / nullif(t.latitude_count, 0) END AS lat,
               CASE WHEN (t.latitude_min > 0 OR t.latitude_max < 0 OR t.longitude_min > 0 OR t.longitude_max < 0)
                   THEN t.longitude_sum / nullif(t.longitude_count, 0) END AS lon,
               m.driver_mode AS mode
        FROM telemetry_1s t
        LEFT JOIN telemetry_states_1s m ON m.session = run.session AND m.bucket = t.bucket
             AND m.bucket >= date_trunc('second', run.first_time) AND m.bucket <= run.last_time
        WHERE t.session = run.session AND t.bucket >= date_trunc('second', run.first_time) AND t.bucket <= run.last_time
        WINDOW w AS (ORDER BY t.bucket)
    ) r
    ORDER BY r.bucket;
END
$$;
COMMENT ON FUNCTION analytics.seconds(text) IS
'A run by the second: second (UTC), lasts_s (s until the next, 60 s and more are a gap), mean and highest speed (m/s), mean power (W), position (deg, NULL without a fix), driver mode, distance (m) and energy (J, magnitude of power) in that second';

DROP FUNCTION IF EXISTS analytics.stops(text, double precision, double precision);
CREATE FUNCTION analytics.stops(session_id text, below_ms double precision DEFAULT 0.5, at_least_s double precision DEFAULT 10)
RETURNS TABLE (
    stop      bigint,
    from_time timestamptz,
    to_time   timestamptz,
    seconds   double precision,
    latitude  double precision,
    longitude double precision
)
LANGUAGE sql STABLE
SET jit = off
SET search_path FROM CURRENT
AS $$
    WITH marked AS (
        SELECT s.*, s.max_speed_ms < stops.below_ms AS still,
               -- A gap ends a stop: what happened meanwhile is not known.
               count(*) FILTER (WHERE NOT coalesce(s.max_speed_ms < stops.below_ms, false) OR s.lasts_s = 0) OVER (ORDER BY s.second) AS run
        FROM analytics.seconds(stops.session_id) s
    ), stills AS (
        SELECT min(m.second) AS from_time, max(m.second + make_interval(secs => m.lasts_s)) AS to_time,
               avg(m.latitude) AS latitude, avg(m.longitude) AS longitude
        FROM marked m WHERE m.still GROUP BY m.run
    )
    SELECT row_number() OVER (ORDER BY s.from_time), s.from_time, s.to_time,
           extract(epoch FROM s.to_time - s.from_time)::double precision, s.latitude, s.longitude
    FROM stills s
    WHERE s.to_time - s.from_time >= make_interval(secs => stops.at_least_s)
    ORDER BY 1
$$;
COMMENT ON FUNCTION analytics.stops(text, double precision, double precision) IS
'Where and when a run stood still: slower than below_ms (m/s) for at_least_s (s). Times UTC, length in s, position in deg';

DROP FUNCTION IF EXISTS analytics.stints(text, double precision, double precision);
CREATE FUNCTION analytics.stints(session_id text, below_ms double precision DEFAULT 0.5, pause_s double precision DEFAULT 60)
RETURNS TABLE (
    stint         bigint,
    from_time     timestamptz,
    to_time       timestamptz,
    seconds       double precision,
    distance_m    double precision,
    energy_wh     double precision,
    efficiency_km_kwh double precision,
    avg_speed_kmh double precision,
    max_speed_kmh double precision,
    avg_power_w   double precision
)
LANGUAGE sql STABLE
SET jit = off
SET search_path FROM CURRENT
AS $$
    WITH moving AS (
        SELECT s.*, extract(epoch FROM s.second - lag(s.second) OVER (ORDER BY s.second)) AS pause
        FROM analytics.seconds(stints.session_id) s
        WHERE s.max_speed_ms >= stints.below_ms
    ), marked AS (
        SELECT m.*, count(*) FILTER (WHERE m.pause >= stints.pause_s) OVER (ORDER BY m.second) AS run FROM moving m
    )
    SELECT row_number() OVER (ORDER BY min(m.second)), min(m.second), max(m.second + make_interval(secs => m.lasts_s)),
           extract(epoch FROM max(m.second + make_interval(secs => m.lasts_s)) - min(m.second))::double precision,
           sum(m.distance_m), sum(m.energy_j) / 3600,
           sum(m.distance_m) / 1000 / nullif(sum(m.energy_j) / 3.6e6, 0),
           sum(m.distance_m) / nullif(extract(epoch FROM max(m.second + make_interval(secs => m.lasts_s)) - min(m.second))::double precision, 0) * 3.6,
           max(m.max_speed_ms) * 3.6, sum(m.power_w * m.lasts_s) / nullif(sum(m.lasts_s) FILTER (WHERE m.power_w IS NOT NULL), 0)
    FROM marked m
    GROUP BY m.run
    ORDER BY 1
$$;
COMMENT ON FUNCTION analytics.stints(text, double precision, double precision) IS
'The drives of a run, parted where it was slower than below_ms (m/s), or silent, for pause_s (s). Times UTC; s, m, Wh, km/kWh, km/h, W';

DROP FUNCTION IF EXISTS analytics.laps(text, double precision, double precision, double precision, double precision);
CREATE FUNCTION analytics.laps(
    session_id     text,
    line_latitude  double precision DEFAULT NULL,
    line_longitude double precision DEFAULT NULL,
    radius_m       double precision DEFAULT 25,
    at_least_s     double precision DEFAULT 20)
RETURNS TABLE (
    lap           bigint,
    from_time     timestamptz,
    to_time       timestamptz,
    seconds       double precision,
    distance_m    double precision,
    energy_wh     double precision,
    efficiency_km_kwh double precision,
    avg_speed_kmh double precision,
    max_speed_kmh double precision,
    avg_power_w   double precision,
    time_rank       bigint,
    efficiency_rank bigint
)
LANGUAGE sql STABLE
SET jit = off
SET search_path FROM CURRENT
AS $$
    WITH s AS MATERIALIZED (
        SELECT * FROM analytics.seconds(laps.session_id)
    ), line AS (
        -- Without a line, the place where the run first moves: each return to it is a lap.
        SELECT coalesce(laps.line_latitude, s.latitude) AS lat, coalesce(laps.line_longitude, s.longitude) AS lon
        FROM (SELECT 1) one
        LEFT JOIN LATERAL (
            SELECT s.latitude, s.longitude FROM s
            WHERE s.latitude IS NOT NULL AND s.speed_ms > 2 ORDER BY s.second LIMIT 1
        ) s ON true
    ), away AS (
        SELECT s.second,
               111195 * sqrt((s.latitude - line.lat)^2 + ((s.longitude - line.lon) * cos(radians(line.lat)))^2) AS metres
        FROM s, line
        WHERE s.latitude IS NOT NULL
    ), reach AS (
        -- At speed, two seconds lie further apart than the radius.
        SELECT a.*, greatest(laps.radius_m, 0.75 * quick.step) AS radius
        FROM away a, (SELECT percentile_cont(0.99) WITHIN GROUP (ORDER BY s.speed_ms) AS step FROM s) quick
    ), parted AS (
        SELECT r.*, count(*) FILTER (WHERE r.metres > 2 * r.radius) OVER (ORDER BY r.second) AS trip FROM reach r
    ), passes AS (
        SELECT DISTINCT ON (p.trip) p.trip, p.second FROM parted p WHERE p.metres < p.radius ORDER BY p.trip, p.metres, p.second
    ), crossings AS (
        -- The record nearest to the line, of those around the nearest second.
        SELECT coalesce(nearest.time, p.second) AS at
        FROM passes p CROSS JOIN line
        LEFT JOIN LATERAL (
            SELECT t.time FROM telemetry t
            WHERE t.session = (SELECT x.session FROM sessions x WHERE x.id = laps.session_id AND x.deleted_at IS NULL)
              AND t.time >= p.second - INTERVAL '1500 milliseconds' AND t.time < p.second + INTERVAL '2500 milliseconds'
              AND t.latitude IS NOT NULL AND t.longitude IS NOT NULL AND NOT (t.latitude = 0 AND t.longitude = 0)
            ORDER BY (t.latitude - line.lat)^2 + ((t.longitude - line.lon) * cos(radians(line.lat)))^2, t.time
            LIMIT 1
        ) nearest ON true
    ), bounds AS (
        SELECT lag(c.at) OVER (ORDER BY c.at) AS from_time, c.at AS to_time FROM crossings c
    ), whole AS (
        SELECT row_number() OVER (ORDER BY b.from_time) AS lap, b.from_time, b.to_time,
               extract(epoch FROM b.to_time - b.from_time)::double precision AS seconds
        FROM bounds b WHERE b.to_time - b.from_time >= make_interval(secs => laps.at_least_s)
    ), sums AS (
        SELECT w.lap, sum(s.distance_m) AS metres, sum(s.energy_j) AS joules, max(s.max_speed_ms) AS top,
               sum(s.power_w * s.lasts_s) / nullif(sum(s.lasts_s) FILTER (WHERE s.power_w IS NOT NULL), 0) AS power
        FROM whole w JOIN s ON s.second >= w.from_time AND s.second < w.to_time
        GROUP BY w.lap
    )
    SELECT w.lap, w.from_time, w.to_time, w.seconds, x.metres, x.joules / 3600,
           x.metres / 1000 / nullif(x.joules / 3.6e6, 0), x.metres / nullif(w.seconds, 0) * 3.6, x.top * 3.6, x.power,
           rank() OVER (ORDER BY w.seconds), rank() OVER (ORDER BY x.metres / nullif(x.joules, 0) DESC NULLS LAST)
    FROM whole w LEFT JOIN sums x USING (lap)
    ORDER BY w.lap
$$;
COMMENT ON FUNCTION analytics.laps(text, double precision, double precision, double precision, double precision) IS
'Laps of a run: from one pass of the line to the next. Without a line, each return to where the run first moved. radius_m (m) is how near a pass is, at_least_s (s) the shortest lap. Times UTC; s, m, Wh, km/kWh, km/h, W; rank 1 is the quickest and the most efficient lap';

DROP FUNCTION IF EXISTS analytics.mode_shares(text);
CREATE FUNCTION analytics.mode_shares(session_id text)
RETURNS TABLE (
    driver_mode   text,
    seconds       double precision,
    share         double precision,
    distance_m    double precision,
    energy_wh     double precision,
    efficiency_km_kwh double precision,
    avg_speed_kmh double precision
)
LANGUAGE sql STABLE
SET jit = off
SET search_path FROM CURRENT
AS $$
    SELECT s.driver_mode, sum(s.lasts_s), sum(s.lasts_s) / nullif(sum(sum(s.lasts_s)) OVER (), 0), sum(s.distance_m), sum(s.energy_j) / 3600,
           sum(s.distance_m) / 1000 / nullif(sum(s.energy_j) / 3.6e6, 0), sum(s.distance_m) / nullif(sum(s.lasts_s), 0) * 3.6
    FROM analytics.seconds(mode_shares.session_id) s
    WHERE s.driver_mode IS NOT NULL
    GROUP BY s.driver_mode
    ORDER BY 2 DESC
$$;
COMMENT ON FUNCTION analytics.mode_shares(text) IS
'How long a run was in each driver mode: s, share of 1, m, Wh, km/kWh, km/h';

DO $$
BEGIN
    IF EXISTS (SELECT FROM pg_roles WHERE rolname = 'telemetry_analyst') THEN
        GRANT USAGE ON SCHEMA analytics TO telemetry_analyst;
        GRANT SELECT ON sessions, telemetry, telemetry_1s, telemetry_5s, telemetry_10s, telemetry_1m, telemetry_10m,
            telemetry_states_1s, telemetry_states_10s, telemetry_states_1m, telemetry_states_10m TO telemetry_analyst;
        GRANT EXECUTE ON ALL FUNCTIONS IN SCHEMA analytics TO telemetry_analyst;
    END IF;
END
$$;
