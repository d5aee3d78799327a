-- What is noted of a run: by people, and by the server from what it knows anyway,
-- worked out anew each time, so that nothing goes stale. REST reads this, too.
DROP FUNCTION IF EXISTS analytics.notes(text, text[]);
DROP FUNCTION IF EXISTS analytics.moment(text);
CREATE FUNCTION analytics.moment(said text) RETURNS timestamptz
LANGUAGE plpgsql IMMUTABLE PARALLEL SAFE
SET timezone = 'UTC'
AS $$
BEGIN
    IF said ~ '^\d{4}-\d\d-\d\d[T ]\d\d:\d\d' THEN
        RETURN said::timestamptz;
    END IF;
    RETURN NULL;
EXCEPTION WHEN data_exception THEN
    RETURN NULL;
END
$$;
COMMENT ON FUNCTION analytics.moment(text) IS 'The time that a text in the form of ISO 8601 says, UTC where it names no zone; NULL where it is none';

DROP FUNCTION IF EXISTS analytics.lasting(double precision);
CREATE FUNCTION analytics.lasting(seconds double precision) RETURNS text
LANGUAGE sql IMMUTABLE PARALLEL SAFE
AS $$
    SELECT CASE
        WHEN seconds < 9.95 THEN format('%s s', round(seconds::numeric, 1))
        WHEN round(seconds) < 60 THEN format('%s s', round(seconds))
        WHEN round(seconds) < 3600 THEN format('%s min %s s', round(seconds)::bigint / 60, to_char(round(seconds)::bigint % 60, 'FM00'))
        ELSE format('%s h %s min', round(seconds / 60)::bigint / 60, to_char(round(seconds / 60)::bigint % 60, 'FM00'))
    END
$$;
COMMENT ON FUNCTION analytics.lasting(double precision) IS 'So many seconds as people say it: 7.5 s, 4 min 05 s, 1 h 23 min';

CREATE FUNCTION analytics.notes(session_id text, kinds text[] DEFAULT NULL)
RETURNS TABLE (
    kind       text,
    from_time  timestamptz,
    to_time    timestamptz,
    latitude   double precision,
    longitude  double precision,
    severity   text,
    text       text,
    author     text,
    note       bigint,
    created_at timestamptz
)
LANGUAGE plpgsql STABLE
SET jit = off
-- The plan goes by the run's times, and names no other chunks.
SET plan_cache_mode = force_custom_plan
SET search_path FROM CURRENT
AS $$
#variable_conflict use_column
DECLARE
    most CONSTANT integer := 500; -- of each kind
    run   sessions;
    quiet interval;
BEGIN
    SELECT s.* INTO run FROM sessions s WHERE s.id = notes.session_id AND s.deleted_at IS NULL;
    IF run.session IS NULL THEN
        RETURN;
    END IF;
    IF kinds IS NULL OR 'note' = ANY (kinds) THEN
        RETURN QUERY
        SELECT 'note', n.from_time, n.to_time, n.latitude, n.longitude, NULL::text, n.text, n.author_name, n.note, n.created_at
        FROM notes n
        WHERE n.session = run.session;
    END IF;
    IF kinds IS NULL OR 'notification' = ANY (kinds) THEN
        RETURN QUERY
        SELECT 'notification', coalesce(analytics.moment(d.created_at), d.stored_at), NULL::timestamptz, NULL::double precision, NULL::double precision,
               CASE d.severity WHEN 'warn' THEN 'warning' ELSE d.severity END, left(concat_ws(': ', nullif(d.title, ''), nullif(d.message, '')), 1000), NULL::text, NULL::bigint, d.stored_at
        FROM driver_notifications d
        WHERE d.session_id = run.id
        ORDER BY d.notification DESC
        LIMIT most;
    END IF;
    IF kinds IS NULL OR 'stop' = ANY (kinds) THEN
        RETURN QUERY
        SELECT 'stop', s.from_time, s.to_time, s.latitude, s.longitude, NULL::text, 'Stood for ' || analytics.lasting(s.seconds), NULL::text, NULL::bigint, NULL::timestamptz
        FROM analytics.stops(run.id) s
        ORDER BY s.seconds DESC
        LIMIT most;
    END IF;
    IF kinds IS NULL OR 'gap' = ANY (kinds) THEN
        SELECT analytics.gap_after(m.step_s) INTO quiet FROM session_summaries m WHERE m.session = run.session;
        RETURN QUERY
        WITH parts AS (
            SELECT p.minute, p.step_max, p.first_time, lag(p.last_time) OVER (ORDER BY p.minute) AS before
            FROM summary_parts p
            WHERE p.session = run.session
        ), gaps AS (
            SELECT p.before AS begins, p.first_time AS ends FROM parts p WHERE p.first_time - p.before > quiet
            UNION ALL
            SELECT i.before, i.time
            FROM (SELECT q.minute FROM parts q WHERE make_interval(secs => q.step_max) > quiet ORDER BY q.step_max DESC LIMIT most) p
            CROSS JOIN LATERAL (
                SELECT t.time, lag(t.time) OVER (ORDER BY t.time) AS before
                FROM telemetry t
                WHERE t.session = run.session AND t.time >= p.minute AND t.time < p.minute + INTERVAL '1 minute'
                  AND t.time >= run.first_time AND t.time <= run.last_time
            ) i
            WHERE i.time - i.before > quiet
        )
        SELECT 'gap', g.begins, g.ends, NULL::double precision, NULL::double precision, 'warning', 'No records for ' || analytics.lasting(extract(epoch FROM g.ends - g.begins)::float8), NULL::text, NULL::bigint, NULL::timestamptz
        FROM gaps g
        ORDER BY g.ends - g.begins DESC
        LIMIT most;
    END IF;
    IF kinds IS NULL OR 'clock_step' = ANY (kinds) THEN
        RETURN QUERY
        SELECT 'clock_step', k.to_time, k.from_time, NULL::double precision, NULL::double precision, 'warning', 'The clock stepped back by ' || analytics.lasting(extract(epoch FROM k.from_time - k.to_time)::float8), NULL::text, NULL::bigint, NULL::timestamptz
        FROM clock_steps k
        WHERE k.session = run.session;
    END IF;
    IF kinds IS NULL OR 'set_aside' = ANY (kinds) THEN
        -- Their own times are wrong; when they came says where in the run they belong.
        RETURN QUERY
        SELECT 'set_aside', CASE WHEN min(a.received_at) BETWEEN run.first_time AND run.last_time THEN min(a.received_at) END, NULL::timestamptz, NULL::double precision, NULL::double precision,
               'warning', format('%s %s set aside: %s', count(*), CASE count(*) WHEN 1 THEN 'record' ELSE 'records' END, a.reason), NULL::text, NULL::bigint, min(a.received_at)
        FROM set_aside a
        WHERE a.session = run.session
        GROUP BY a.reason
        UNION ALL
        SELECT 'set_aside', min(a.time), nullif(max(a.time), min(a.time)), NULL, NULL, 'warning',
               format('Members of %s %s set aside: more than 1,024', count(*), CASE count(*) WHEN 1 THEN 'record' ELSE 'records' END), NULL, NULL, NULL
        FROM members_aside a
        WHERE a.session = run.session
        HAVING count(*) > 0;
    END IF;
    IF kinds IS NULL OR 'outlier' = ANY (kinds) THEN
        RETURN QUERY
        WITH flagged AS (
            SELECT t.time, t.batch, t.ord, t.outliers,
                   coalesce(t.outlier_severity, CASE WHEN jsonb_typeof(t.outliers) = 'object' THEN t.outliers ->> 'severity' END) AS severity
            FROM (SELECT q.minute FROM summary_parts q WHERE q.session = run.session AND q.anomalies > 0 ORDER BY q.minute LIMIT 2 * most) p
            CROSS JOIN LATERAL (
                SELECT t.*
                FROM telemetry t
                WHERE t.session = run.session AND t.time >= p.minute AND t.time < p.minute + INTERVAL '1 minute'
                  AND t.time >= run.first_time AND t.time <= run.last_time
            ) t
            WHERE t.outlier_severity IS NOT NULL OR t.outliers IS NOT NULL
            LIMIT 20000
        ), parted AS (
            SELECT f.*, count(*) FILTER (WHERE f.apart) OVER (ORDER BY f.time, f.batch, f.ord) AS part
            FROM (
                SELECT g.*, coalesce(g.time - lag(g.time) OVER (ORDER BY g.time, g.batch, g.ord) > INTERVAL '5 seconds', true) AS apart
                FROM flagged g
                WHERE g.severity <> 'none'
            ) f
        ), named AS (
            SELECT p.part, min(p.time) AS begins, max(p.time) AS ends, count(DISTINCT (p.time, p.batch, p.ord)) AS records,
                   max(CASE p.severity WHEN 'critical' THEN 2 WHEN 'warning' THEN 1 ELSE 0 END) AS severity,
                   left(string_agg(DISTINCT f.field, ', '), 300) AS fields
            FROM parted p
            LEFT JOIN LATERAL jsonb_array_elements_text(CASE WHEN jsonb_typeof(p.outliers -> 'flagged_fields') = 'array' THEN p.outliers -> 'flagged_fields' ELSE '[]' END) f (field) ON true
            GROUP BY p.part
        )
        SELECT 'outlier', n.begins, nullif(n.ends, n.begins), NULL::double precision, NULL::double precision, (ARRAY['info', 'warning', 'critical'])[n.severity + 1],
               concat_ws(': ', format('%s %s flagged', n.records, CASE n.records WHEN 1 THEN 'record' ELSE 'records' END), n.fields), NULL::text, NULL::bigint, NULL::timestamptz
        FROM named n
        ORDER BY n.severity DESC, n.begins
        LIMIT most;
    END IF;
END
$$;
COMMENT ON FUNCTION analytics.notes(text, text[]) IS
'What is noted of a run, at most 500 of each kind but note: kind (note by people; notification, stop, gap, clock_step, set_aside and outlier by the server), from_time and to_time (UTC; a moment has no end, the whole run neither), position (deg), severity (info, warning or critical), text, author, note (its number), created_at. kinds names those wanted, NULL is all. The server''s follow the records within a few seconds';

DO $$
BEGIN
    IF EXISTS (SELECT FROM pg_roles WHERE rolname = 'telemetry_analyst') THEN
        GRANT EXECUTE ON FUNCTION analytics.moment(text), analytics.notes(text, text[]) TO telemetry_analyst;
        -- Not whose account a note is of.
        GRANT SELECT (note, session, from_time, to_time, latitude, longitude, text, author_name, revision, created_at, changed_at) ON notes TO telemetry_analyst;
        GRANT SELECT ON driver_notifications, session_summaries, summary_parts, clock_steps, set_aside, members_aside TO telemetry_analyst;
    END IF;
END
$$;
