-- Functions of long-race analytics, used by the API and by analysts alike.
-- Applied whole whenever this file or the rollups change, so everything in it
-- must replace itself. They read what is worked out from the records of a run
-- (tables analysis_*), which follows them within a few seconds.
CREATE OR REPLACE FUNCTION analytics.efficiency(distance_m double precision, energy_j double precision) RETURNS double precision
LANGUAGE sql IMMUTABLE
RETURN distance_m / 1000 / nullif(greatest(energy_j, 0) / 3.6e6, 0);
COMMENT ON FUNCTION analytics.efficiency(double precision, double precision) IS
'Efficiency (km/kWh) of a way (m) that took so much energy (J); NULL when nothing was used';

DROP VIEW IF EXISTS analytics.totals CASCADE;
CREATE VIEW analytics.totals AS
SELECT s.id AS session_id,
       r.distance_m,
       r.energy_j / 3600 AS energy_wh,
       analytics.efficiency(r.distance_m, r.energy_j) AS efficiency_km_kwh,
       r.distance_from,
       r.energy_from,
       r.sent_distance_m,
       r.sent_energy_j / 3600 AS sent_energy_wh,
       r.sent_why,
       r.silent_s,
       r.paused_s,
       r.no_fix,
       r.lap_m,
       r.noise_m,
       r.batch,
       r.computed_at
FROM analysis_runs r
JOIN sessions s USING (session)
WHERE s.deleted_at IS NULL;
COMMENT ON VIEW analytics.totals IS 'How far each run went and how much it took. The same figures as on the page and in REST';
COMMENT ON COLUMN analytics.totals.session_id IS 'Id of the run';
COMMENT ON COLUMN analytics.totals.distance_m IS 'Sum of speed times time, over no gap, m';
COMMENT ON COLUMN analytics.totals.energy_wh IS 'Sum of power times time, over no gap; regeneration subtracts, Wh';
COMMENT ON COLUMN analytics.totals.efficiency_km_kwh IS 'One over the other; NULL when nothing was used, km/kWh';
COMMENT ON COLUMN analytics.totals.distance_from IS 'speed, or counter in a run that has no speed';
COMMENT ON COLUMN analytics.totals.energy_from IS 'power, or counter in a run that has no power';
COMMENT ON COLUMN analytics.totals.sent_distance_m IS 'By how much the car''s own counter grew, m';
COMMENT ON COLUMN analytics.totals.sent_energy_wh IS 'By how much the car''s own counter grew, Wh';
COMMENT ON COLUMN analytics.totals.sent_why IS 'Why the counters differ from the sums by more than 1 %';
COMMENT ON COLUMN analytics.totals.silent_s IS 'Gaps between records, s';
COMMENT ON COLUMN analytics.totals.paused_s IS 'Pauses of 10 s or more, s';
COMMENT ON COLUMN analytics.totals.no_fix IS 'Records whose position is no fix, count';
COMMENT ON COLUMN analytics.totals.lap_m IS 'Length of a lap by the run''s own speed, m';
COMMENT ON COLUMN analytics.totals.noise_m IS 'Standard deviation of a fix from the line that the laps have in common, m';
COMMENT ON COLUMN analytics.totals.batch IS 'Uploads up to this number are counted';
COMMENT ON COLUMN analytics.totals.computed_at IS 'Server time when it was worked out';

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
    energy_j     double precision,
    gap_s        double precision
)
LANGUAGE plpgsql STABLE
SET jit = off
-- The plan goes by the run's times, and names no other chunks.
SET plan_cache_mode = force_custom_plan
-- Of a run that was stored a moment ago there are no statistics: the planner takes
-- it for a few rows, and would look the states up anew for each second.
SET enable_nestloop = off
SET search_path FROM CURRENT
AS $$
DECLARE
    run sessions;
    known analysis_runs;
    begins timestamptz;
BEGIN
    SELECT * INTO run FROM sessions s WHERE s.id = seconds.session_id AND s.deleted_at IS NULL;
    SELECT * INTO known FROM analysis_runs r WHERE r.session = run.session;
    IF run.first_time IS NULL OR known.session IS NULL THEN
        RETURN;
    END IF;
    begins := date_trunc('second', run.first_time);
    RETURN QUERY
    WITH ends AS (
        SELECT b.at / 1000000 AS second, max(b.at) AS at, last(b.way, b.at) AS way, last(b.energy, b.at) AS energy,
               last(b.silent, b.at) AS silent, max(nullif(b.top, 'NaN')) AS top
        FROM analysis_parts p
        CROSS JOIN LATERAL unnest(p.at, p.way_m, p.energy_j, p.silent_s, p.top_ms) b (at, way, energy, silent, top)
        WHERE p.session = run.session
        GROUP BY 1
    ), steps AS (
        SELECT e.second, e.top,
               e.way - coalesce(lag(e.way) OVER w, 0) AS way,
               e.energy - coalesce(lag(e.energy) OVER w, 0) AS energy,
               e.silent - coalesce(lag(e.silent) OVER w, 0) AS silent,
               (e.at - coalesce(lag(e.at) OVER w, (extract(epoch FROM run.first_time) * 1000000)::bigint)) / 1e6::double precision AS lasts
        FROM ends e
        WINDOW w AS (ORDER BY e.second)
    ), fixes AS (
        SELECT floor(f.at / 1e6)::bigint AS second, sum(f.latitude * f.n) / sum(f.n) AS latitude, sum(f.longitude * f.n) / sum(f.n) AS longitude
        FROM analysis_parts p
        CROSS JOIN LATERAL unnest(p.fix_at, p.latitude, p.longitude, p.fixes) f (at, latitude, longitude, n)
        WHERE p.session = run.session
        GROUP BY 1
    )
    SELECT to_timestamp(s.second), s.lasts - s.silent,
           CASE WHEN known.distance_from IS NOT NULL THEN coalesce(s.way / nullif(s.lasts - s.silent, 0), s.top) END,
           -- Where no record of the second has a speed, it is the mean between two that do.
           CASE WHEN known.distance_from IS NOT NULL THEN coalesce(s.top, s.way / nullif(s.lasts - s.silent, 0)) END,
           CASE WHEN known.energy_from IS NOT NULL THEN s.energy / nullif(s.lasts - s.silent, 0) END,
           f.latitude, f.longitude, m.driver_mode, s.way, s.energy, s.silent
    FROM steps s
    LEFT JOIN fixes f USING (second)
    LEFT JOIN telemetry_states_1s m ON m.session = run.session AND m.bucket = to_timestamp(s.second)
         AND m.bucket >= begins AND m.bucket <= run.last_time
    ORDER BY s.second;
END
$$;
COMMENT ON FUNCTION analytics.seconds(text) IS
'A run by the second: second (UTC), lasts_s (s since the last record of the second before, without gaps), mean and highest speed (m/s), mean power (W), mean position of the fixes (deg), driver mode, distance (m) and energy (J; regeneration is negative) in that time, gap_s (s that the gap before it took)';

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
               count(*) FILTER (WHERE NOT coalesce(s.max_speed_ms < stops.below_ms, false) OR s.gap_s > 0) OVER (ORDER BY s.second) AS run
        FROM analytics.seconds(stops.session_id) s
    ), stills AS (
        SELECT min(m.second) AS from_time, max(m.second) + INTERVAL '1 second' AS to_time,
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
    SELECT row_number() OVER (ORDER BY min(m.second)), min(m.second), max(m.second) + INTERVAL '1 second',
           extract(epoch FROM max(m.second) + INTERVAL '1 second' - min(m.second))::double precision,
           sum(m.distance_m), sum(m.energy_j) / 3600,
           analytics.efficiency(sum(m.distance_m), sum(m.energy_j)),
           sum(m.distance_m) / nullif(extract(epoch FROM max(m.second) + INTERVAL '1 second' - min(m.second))::double precision, 0) * 3.6,
           max(m.max_speed_ms) * 3.6, sum(m.power_w * m.lasts_s) / nullif(sum(m.lasts_s) FILTER (WHERE m.power_w IS NOT NULL), 0)
    FROM marked m
    GROUP BY m.run
    ORDER BY 1
$$;
COMMENT ON FUNCTION analytics.stints(text, double precision, double precision) IS
'The drives of a run, parted where it was slower than below_ms (m/s), or silent, for pause_s (s). Times UTC; s, m, Wh, km/kWh, km/h, W';

DROP FUNCTION IF EXISTS analytics.passes(text, double precision, double precision, double precision);
CREATE FUNCTION analytics.passes(session_id text, line_latitude double precision, line_longitude double precision, radius_m double precision)
RETURNS TABLE (
    at       timestamptz,
    way_m    double precision,
    energy_j double precision,
    silent_s double precision,
    paused_s double precision,
    error_s  double precision,
    coast_s  double precision
)
LANGUAGE plpgsql STABLE
SET jit = off
SET search_path FROM CURRENT
AS $$
DECLARE
    -- Length of a degree of latitude, m: a sixtieth is a nautical mile on the mean
    -- sphere of 6,371 km. As analysis.MetresPerDegree in Go.
    degree CONSTANT double precision := 111195;
    run    analysis_runs;
    start  bigint;
    share  double precision;
BEGIN
    SELECT r.* INTO run
    FROM analysis_runs r JOIN sessions s USING (session)
    WHERE s.id = passes.session_id AND s.deleted_at IS NULL;
    SELECT (extract(epoch FROM s.first_time) * 1000000)::bigint INTO start FROM sessions s WHERE s.session = run.session;
    -- Where along the line of the laps the place lies.
    SELECT (c.i + c.f) / cardinality(run.line_latitude) INTO share
    FROM (
        SELECT b.i, f.f, degree * sqrt((b.px - f.f * b.ex) ^ 2 + (b.py - f.f * b.ey) ^ 2) AS metres
        FROM (
            SELECT i - 1 AS i,
                   (passes.line_longitude - lon) * cos(radians(passes.line_latitude)) AS px, passes.line_latitude - lat AS py,
                   (coalesce(lead(lon) OVER w, run.line_longitude[1]) - lon) * cos(radians(passes.line_latitude)) AS ex,
                   coalesce(lead(lat) OVER w, run.line_latitude[1]) - lat AS ey
            FROM unnest(run.line_latitude, run.line_longitude) WITH ORDINALITY corners (lat, lon, i)
            WINDOW w AS (ORDER BY i)
        ) b
        CROSS JOIN LATERAL (SELECT coalesce(greatest(0, least(1, (b.px * b.ex + b.py * b.ey) / nullif(b.ex ^ 2 + b.ey ^ 2, 0))), 0) AS f) f
    ) c
    WHERE c.metres <= passes.radius_m
    ORDER BY c.metres
    LIMIT 1;
    IF share IS NULL THEN
        RETURN;
    END IF;
    -- Each lap passes it after the same share of its way, and so does the one that the run ends in.
    RETURN QUERY
    WITH targets AS (
        SELECT l.from_time, l.to_time, l.from_way_m + share * l.distance_m AS way, l.error_s
        FROM analysis_laps l WHERE l.session = run.session
        UNION ALL
        (SELECT l.to_time, 'infinity', l.from_way_m + l.distance_m + share * (SELECT avg(m.distance_m) FROM analysis_laps m WHERE m.session = run.session), l.error_s
         FROM analysis_laps l WHERE l.session = run.session ORDER BY l.lap DESC LIMIT 1)
    )
    SELECT to_timestamp((c.at0 + f.f * (b.at - c.at0)) / 1e6), t.way, c.energy0 + f.f * (b.energy - c.energy0),
           c.silent0 + f.f * (b.silent - c.silent0), c.paused0 + f.f * (b.paused - c.paused0), t.error_s,
           c.coast0 + f.f * (b.coast - c.coast0)
    FROM targets t
    -- The last half second that began before it, found by halving: the way grows,
    -- but where a car reverses.
    LEFT JOIN LATERAL (
        SELECT p.minute, p.at, p.way_m, p.energy_j, p.silent_s, p.paused_s, p.coast_s, width_bucket(t.way, p.way_m) AS i
        FROM analysis_parts p
        WHERE p.session = run.session AND p.minute >= t.from_time - INTERVAL '2 minutes' AND p.minute <= t.to_time AND p.way_m[1] <= t.way
        ORDER BY p.minute DESC
        LIMIT 1
    ) a ON true
    CROSS JOIN LATERAL (
        SELECT coalesce(a.at[a.i], start) AS at0, coalesce(a.way_m[a.i], 0) AS way0, coalesce(a.energy_j[a.i], 0) AS energy0,
               coalesce(a.silent_s[a.i], 0) AS silent0, coalesce(a.paused_s[a.i], 0) AS paused0, coalesce(a.coast_s[a.i], 0) AS coast0
    ) c
    CROSS JOIN LATERAL (
        SELECT p.at[k.k] AS at, p.way_m[k.k] AS way, p.energy_j[k.k] AS energy, p.silent_s[k.k] AS silent, p.paused_s[k.k] AS paused, p.coast_s[k.k] AS coast
        FROM analysis_parts p
        CROSS JOIN LATERAL (SELECT CASE WHEN p.minute = a.minute THEN a.i + 1 ELSE 1 END AS k) k
        WHERE p.session = run.session AND p.minute >= coalesce(a.minute, t.from_time - INTERVAL '2 minutes') AND cardinality(p.at) >= k.k
        ORDER BY p.minute
        LIMIT 1
    ) b
    CROSS JOIN LATERAL (SELECT (t.way - c.way0) / nullif(b.way - c.way0, 0) AS f) f
    WHERE b.way > t.way
    ORDER BY 1;
END
$$;
COMMENT ON FUNCTION analytics.passes(text, double precision, double precision, double precision) IS
'When a run passed a place on the way of its laps: time (UTC), and the way (m), energy (J), gaps (s), pauses (s) and rolling without power (coast_s, s) since the start; error_s is the standard deviation of the time between two (s). None where the place lies further than radius_m (m) from that way';

DROP VIEW IF EXISTS analytics.tracks CASCADE;
CREATE VIEW analytics.tracks AS
SELECT t.track,
       coalesce(nullif(t.name, ''), 'Track ' || t.track) AS name,
       t.length_m,
       cardinality(t.gates_m) AS sectors,
       (SELECT max(a) - min(a) FROM unnest(t.altitude_m) a) AS height_m,
       t.latitude[1] AS latitude,
       t.longitude[1] AS longitude,
       t.finish_set,
       (SELECT count(*) FROM analysis_runs r JOIN sessions s USING (session) WHERE r.track = t.track AND s.deleted_at IS NULL) AS runs,
       t.created_at,
       t.updated_at
FROM tracks t
WHERE t.same_as IS NULL;
COMMENT ON VIEW analytics.tracks IS 'Circuits that runs go round, in the direction in which they do; laps and sectors name them';
COMMENT ON COLUMN analytics.tracks.track IS 'Key';
COMMENT ON COLUMN analytics.tracks.name IS 'What it is called';
COMMENT ON COLUMN analytics.tracks.length_m IS 'Length by the speed of the run that found it, m';
COMMENT ON COLUMN analytics.tracks.sectors IS 'Sectors, count';
COMMENT ON COLUMN analytics.tracks.height_m IS 'Between its lowest and its highest place; NULL where no altitude is known, m';
COMMENT ON COLUMN analytics.tracks.latitude IS 'Where its line begins, deg';
COMMENT ON COLUMN analytics.tracks.longitude IS 'Where its line begins, deg';
COMMENT ON COLUMN analytics.tracks.finish_set IS 'Whether a person set the finish, from which laps count then';
COMMENT ON COLUMN analytics.tracks.runs IS 'Runs on it, count';
COMMENT ON COLUMN analytics.tracks.created_at IS 'When it was found, server time';
COMMENT ON COLUMN analytics.tracks.updated_at IS 'When a person changed it last, or it was found, server time';

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
    efficiency_rank bigint,
    paused_s      double precision,
    silent_s      double precision,
    error_s       double precision,
    max_power_w    double precision,
    coasting_share double precision,
    valid          boolean,
    track          text
)
LANGUAGE sql STABLE
SET jit = off
SET search_path FROM CURRENT
AS $$
    WITH run AS (
        SELECT r.session, r.distance_from IS NOT NULL AS has_distance, r.energy_from IS NOT NULL AS has_energy, r.has_coast,
               t.name AS track
        FROM analysis_runs r JOIN sessions s USING (session) LEFT JOIN analytics.tracks t USING (track)
        WHERE s.id = laps.session_id AND s.deleted_at IS NULL
    ), rounds AS (
        SELECT l.from_time, l.to_time, l.distance_m AS metres, l.energy_j AS joules, l.silent_s, l.paused_s, l.top_ms, l.error_s, l.peak_w, l.coast_s
        FROM analysis_laps l JOIN run USING (session)
        WHERE laps.line_latitude IS NULL OR laps.line_longitude IS NULL
        UNION ALL
        SELECT p.from_time, p.at, p.way_m - p.way0, p.energy_j - p.energy0, p.silent_s - p.silent0, p.paused_s - p.paused0, b.top, p.error_s, b.peak, p.coast_s - p.coast0
        FROM (
            SELECT x.*, lag(x.at) OVER w AS from_time, lag(x.way_m) OVER w AS way0, lag(x.energy_j) OVER w AS energy0,
                   lag(x.silent_s) OVER w AS silent0, lag(x.paused_s) OVER w AS paused0, lag(x.coast_s) OVER w AS coast0
            FROM analytics.passes(laps.session_id, laps.line_latitude, laps.line_longitude, laps.radius_m) x
            WINDOW w AS (ORDER BY x.at)
        ) p
        CROSS JOIN LATERAL (
            SELECT max(nullif(b.top, 'NaN')) AS top, max(nullif(b.peak, 'NaN')) AS peak
            FROM run JOIN analysis_parts q USING (session)
            CROSS JOIN LATERAL unnest(q.at, q.top_ms, q.peak_w) b (at, top, peak)
            WHERE q.minute >= p.from_time - INTERVAL '1 minute' AND q.minute <= p.at
              AND b.at >= extract(epoch FROM p.from_time) * 1000000 AND b.at <= extract(epoch FROM p.at) * 1000000
        ) b
        WHERE p.from_time IS NOT NULL
    ), whole AS (
        SELECT row_number() OVER (ORDER BY r.from_time) AS lap, r.*,
               extract(epoch FROM r.to_time - r.from_time)::double precision AS seconds,
               nullif(extract(epoch FROM r.to_time - r.from_time)::double precision - r.silent_s, 0) AS measured,
               CASE WHEN run.has_distance AND run.has_energy THEN analytics.efficiency(r.metres, r.joules) END AS efficiency,
               run.has_distance, run.has_energy, run.has_coast, run.track
        FROM rounds r, run
        WHERE r.to_time - r.from_time >= make_interval(secs => laps.at_least_s)
    )
    SELECT w.lap, w.from_time, w.to_time, w.seconds,
           CASE WHEN w.has_distance THEN w.metres END,
           CASE WHEN w.has_energy THEN w.joules / 3600 END,
           w.efficiency,
           CASE WHEN w.has_distance THEN w.metres / w.measured * 3.6 END,
           w.top_ms * 3.6,
           CASE WHEN w.has_energy THEN w.joules / w.measured END,
           CASE WHEN w.paused_s = 0 THEN rank() OVER (PARTITION BY w.paused_s = 0 ORDER BY w.seconds) END,
           CASE WHEN w.paused_s = 0 AND w.silent_s = 0 AND w.efficiency IS NOT NULL
               THEN rank() OVER (PARTITION BY w.paused_s = 0 AND w.silent_s = 0 ORDER BY w.efficiency DESC NULLS LAST) END,
           w.paused_s, w.silent_s, w.error_s, w.peak_w,
           CASE WHEN w.has_coast THEN least(w.coast_s / w.measured, 1) END,
           w.paused_s = 0 AND w.silent_s = 0, w.track
    FROM whole w
    ORDER BY w.lap
$$;
COMMENT ON FUNCTION analytics.laps(text, double precision, double precision, double precision, double precision) IS
'Laps of a run: from one pass of the line to the next. Without a line, it is where the run first moved, or the first place that it came back to. radius_m (m) is how near to the way of the laps a given line is, at_least_s (s) the shortest lap. Times UTC; s, m, Wh, km/kWh, km/h, W; rank 1 is the quickest and the most efficient lap; one with a pause (paused_s) has none, and one with a gap (silent_s) none of efficiency. error_s is the standard deviation of seconds, coasting_share which share of the measured time the car rolled with 25 W or less; valid is a lap without pause and gap, track the name of the circuit';

DROP FUNCTION IF EXISTS analytics.sectors(text);
CREATE FUNCTION analytics.sectors(session_id text)
RETURNS TABLE (
    lap           bigint,
    sector        integer,
    from_time     timestamptz,
    to_time       timestamptz,
    seconds       double precision,
    distance_m    double precision,
    energy_wh     double precision,
    efficiency_km_kwh double precision,
    avg_speed_kmh double precision,
    max_speed_kmh double precision,
    avg_power_w   double precision,
    max_power_w   double precision,
    coasting_share double precision,
    time_rank     bigint,
    paused_s      double precision,
    silent_s      double precision,
    error_s       double precision,
    from_m        double precision,
    name          text,
    lap_over      boolean
)
LANGUAGE sql STABLE
SET jit = off
SET search_path FROM CURRENT
AS $$
    WITH done AS MATERIALIZED (SELECT lap, from_time FROM analytics.laps(sectors.session_id))
    SELECT coalesce(l.lap, (SELECT count(*) + 1 FROM done)), s.sector, s.from_time, s.to_time, s.seconds,
           CASE WHEN d.has_distance THEN s.distance_m END,
           CASE WHEN d.has_energy THEN s.energy_j / 3600 END,
           CASE WHEN d.has_distance AND d.has_energy THEN analytics.efficiency(s.distance_m, s.energy_j) END,
           CASE WHEN d.has_distance THEN s.distance_m / d.measured * 3.6 END,
           s.top_ms * 3.6,
           CASE WHEN d.has_energy THEN s.energy_j / d.measured END,
           s.peak_w,
           CASE WHEN r.has_coast THEN least(s.coast_s / d.measured, 1) END,
           CASE WHEN s.paused_s = 0 AND l.lap IS NOT NULL THEN rank() OVER (PARTITION BY s.sector, s.paused_s = 0, l.lap IS NOT NULL ORDER BY s.seconds) END,
           s.paused_s, s.silent_s, s.error_s, r.gates_m[s.sector],
           coalesce(nullif(k.gate_names[s.sector], ''), 'Sector ' || s.sector),
           l.lap IS NOT NULL
    FROM analysis_runs r
    LEFT JOIN tracks k USING (track)
    JOIN sessions t USING (session)
    JOIN analysis_sectors s ON s.session = r.session
    LEFT JOIN analysis_laps a ON a.session = r.session AND a.lap = s.lap
    LEFT JOIN done l ON l.from_time = a.from_time
    CROSS JOIN LATERAL (SELECT r.distance_from IS NOT NULL AS has_distance, r.energy_from IS NOT NULL AS has_energy, nullif(s.seconds - s.silent_s, 0) AS measured) d
    WHERE t.id = sectors.session_id AND t.deleted_at IS NULL AND (l.lap IS NOT NULL OR a.lap IS NULL)
    ORDER BY 1, s.sector
$$;
COMMENT ON FUNCTION analytics.sectors(text) IS
'Sectors of the laps of a run, which they add up to; the quickest of each, time_rank 1, are its theoretical best. from_m is where it begins on the line that the laps have in common (m). A sector in which the lap begins has two parts: from_time and to_time are those of the later one. Those of the lap that is not over (lap_over is false) come last and have no rank. Columns are as of laps';

DROP FUNCTION IF EXISTS analytics.shares(text);

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
    SELECT m.name, sum(m.s), sum(m.s) / nullif(sum(sum(m.s)) OVER (), 0), sum(m.way), sum(m.energy) / 3600,
           analytics.efficiency(sum(m.way), sum(m.energy)), sum(m.way) / nullif(sum(m.s), 0) * 3.6
    FROM sessions r
    JOIN analysis_parts p USING (session)
    CROSS JOIN LATERAL unnest(p.modes, p.mode_s, p.mode_way_m, p.mode_energy_j) m (name, s, way, energy)
    WHERE r.id = mode_shares.session_id AND r.deleted_at IS NULL
    GROUP BY m.name
    ORDER BY sum(m.s) DESC, m.name
$$;
COMMENT ON FUNCTION analytics.mode_shares(text) IS
'How long a run was in each driver mode: s, share of 1, m, Wh, km/kWh, km/h. A mode lasts from the record that carries it until another one does, or until the records fall silent';

DROP FUNCTION IF EXISTS analytics.motion_shares(text);
CREATE FUNCTION analytics.motion_shares(session_id text)
RETURNS TABLE (
    motion        text,
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
    WITH told AS (
        SELECT s.*,
               -- Nothing is known of what happened in a gap.
               CASE WHEN s.gap_s = 0 AND lead(s.gap_s) OVER w = 0
                    THEN (lead(s.speed_ms) OVER w - lag(s.speed_ms) OVER w) / extract(epoch FROM lead(s.second) OVER w - lag(s.second) OVER w) END AS gains
        FROM analytics.seconds(motion_shares.session_id) s
        WINDOW w AS (ORDER BY s.second)
    ), named AS (
        SELECT t.lasts_s, t.distance_m, t.energy_j,
               CASE WHEN t.speed_ms < 0.5 THEN 'standing'
                    WHEN t.power_w < -25 OR t.gains <= -0.5 THEN 'braking'
                    WHEN t.power_w <= 25 THEN 'coasting'
                    WHEN t.gains >= 0.1 THEN 'accelerating'
                    ELSE 'cruising' END AS name
        FROM told t
        WHERE t.speed_ms IS NOT NULL AND t.power_w IS NOT NULL
    )
    SELECT n.name, sum(n.lasts_s), sum(n.lasts_s) / nullif(sum(sum(n.lasts_s)) OVER (), 0), sum(n.distance_m), sum(n.energy_j) / 3600,
           analytics.efficiency(sum(n.distance_m), sum(n.energy_j)), sum(n.distance_m) / nullif(sum(n.lasts_s), 0) * 3.6
    FROM named n
    GROUP BY n.name
    ORDER BY sum(n.energy_j) DESC
$$;
COMMENT ON FUNCTION analytics.motion_shares(text) IS
'What a run took standing (below 0.5 m/s), braking (less than -25 W, or slower by 0.5 m/s2 or more), coasting (25 W or less either way), accelerating (by 0.1 m/s2 or more) and cruising, by the second: s, share of 1, m, Wh, km/kWh, km/h. None where nothing measures speed or power';

DO $$
BEGIN
    IF EXISTS (SELECT FROM pg_roles WHERE rolname = 'telemetry_analyst') THEN
        GRANT USAGE ON SCHEMA analytics TO telemetry_analyst;
        GRANT SELECT ON sessions, telemetry, telemetry_1s, telemetry_5s, telemetry_10s, telemetry_1m, telemetry_10m,
            telemetry_states_1s, telemetry_states_10s, telemetry_states_1m, telemetry_states_10m,
            analysis_parts, analysis_runs, analysis_laps, analysis_sectors, tracks TO telemetry_analyst;
        GRANT SELECT ON analytics.totals, analytics.tracks TO telemetry_analyst;
        GRANT EXECUTE ON ALL FUNCTIONS IN SCHEMA analytics TO telemetry_analyst;
    END IF;
END
$$;
