-- Views of schema analytics that do not depend on the list of fields, and what
-- analysts may read. Applied whole whenever this file or what it builds on changes.
DROP VIEW IF EXISTS analytics.sessions CASCADE;
CREATE VIEW analytics.sessions AS
SELECT s.id AS session_id,
       s.name AS session_name,
       s.first_time AS start_time,
       s.last_time AS end_time,
       extract(epoch FROM s.last_time - s.first_time)::double precision AS duration_s,
       s.records,
       s.batch AS uploads,
       s.ended_at,
       s.updated_at
FROM sessions s
WHERE s.deleted_at IS NULL
  AND s.first_time IS NOT NULL
  AND s.id <> '';
COMMENT ON VIEW analytics.sessions IS 'One row per run';
COMMENT ON COLUMN analytics.sessions.session_id IS 'Id of the run';
COMMENT ON COLUMN analytics.sessions.session_name IS 'Name the operator gave the run';
COMMENT ON COLUMN analytics.sessions.start_time IS 'Time of the oldest record, UTC';
COMMENT ON COLUMN analytics.sessions.end_time IS 'Time of the newest record, UTC';
COMMENT ON COLUMN analytics.sessions.duration_s IS 'From the oldest to the newest record, s';
COMMENT ON COLUMN analytics.sessions.records IS 'Records stored, count';
COMMENT ON COLUMN analytics.sessions.uploads IS 'Batches stored, count';
COMMENT ON COLUMN analytics.sessions.ended_at IS 'When the bridge reported the end of the run, UTC';
COMMENT ON COLUMN analytics.sessions.updated_at IS 'Server time of the newest batch, UTC';

DROP VIEW IF EXISTS analytics.uploads CASCADE;
CREATE VIEW analytics.uploads AS
SELECT s.id AS session_id,
       b.batch,
       b.records,
       b.min_time,
       b.max_time,
       b.received_at,
       extract(epoch FROM b.received_at - b.max_time)::double precision AS delay_s,
       b.source
FROM ingest_batches b
JOIN sessions s ON s.session = b.session
WHERE s.deleted_at IS NULL;
COMMENT ON VIEW analytics.uploads IS 'One row per stored batch of a run: how the records came in';
COMMENT ON COLUMN analytics.uploads.session_id IS 'Id of the run';
COMMENT ON COLUMN analytics.uploads.batch IS 'Number of the batch in its run, from 1';
COMMENT ON COLUMN analytics.uploads.records IS 'Records of the batch, count';
COMMENT ON COLUMN analytics.uploads.min_time IS 'Time of the batch''s oldest record, UTC';
COMMENT ON COLUMN analytics.uploads.max_time IS 'Time of the batch''s newest record, UTC';
COMMENT ON COLUMN analytics.uploads.received_at IS 'Server time when the batch was stored, UTC';
COMMENT ON COLUMN analytics.uploads.delay_s IS 'From the newest record to its storing, s';
COMMENT ON COLUMN analytics.uploads.source IS 'The way in: function, rest, import, ...';

DROP VIEW IF EXISTS analytics.set_aside CASCADE;
CREATE VIEW analytics.set_aside AS
SELECT s.id AS session_id,
       a.id,
       a.batch,
       a.reason,
       a.time,
       a.timestamp,
       a.received_at,
       a.source,
       a.record
FROM set_aside a
JOIN sessions s ON s.session = a.session
WHERE s.deleted_at IS NULL;
COMMENT ON VIEW analytics.set_aside IS 'Records whose time cannot be right; no other view has them';
COMMENT ON COLUMN analytics.set_aside.session_id IS 'Id of the run';
COMMENT ON COLUMN analytics.set_aside.id IS 'Order of arrival';
COMMENT ON COLUMN analytics.set_aside.batch IS 'Number of the batch in its run that brought the record';
COMMENT ON COLUMN analytics.set_aside.reason IS 'no time, too early, too late, or stray: far from the run''s other records, and few';
COMMENT ON COLUMN analytics.set_aside.time IS 'The time that the record claims, UTC; NULL when its timestamp is no time';
COMMENT ON COLUMN analytics.set_aside.timestamp IS 'The timestamp as received';
COMMENT ON COLUMN analytics.set_aside.received_at IS 'Server time when the record came, UTC';
COMMENT ON COLUMN analytics.set_aside.source IS 'The way in: function, rest, import, ...';
COMMENT ON COLUMN analytics.set_aside.record IS 'The record''s other members';

DROP VIEW IF EXISTS analytics.members_aside CASCADE;
CREATE VIEW analytics.members_aside AS
SELECT s.id AS session_id,
       a.id,
       a.batch,
       a.time,
       a.received_at,
       a.source,
       a.members
FROM members_aside a
JOIN sessions s ON s.session = a.session
WHERE s.deleted_at IS NULL;
COMMENT ON VIEW analytics.members_aside IS 'Members beyond the 1,024 that a record may have; the records are where the others are';
COMMENT ON COLUMN analytics.members_aside.session_id IS 'Id of the run';
COMMENT ON COLUMN analytics.members_aside.id IS 'Order of arrival';
COMMENT ON COLUMN analytics.members_aside.batch IS 'Number of the batch in its run that brought the record';
COMMENT ON COLUMN analytics.members_aside.time IS 'When the vehicle measured the record, UTC';
COMMENT ON COLUMN analytics.members_aside.received_at IS 'Server time when the record came, UTC';
COMMENT ON COLUMN analytics.members_aside.source IS 'The way in: function, rest, import, ...';
COMMENT ON COLUMN analytics.members_aside.members IS 'The members that are not kept with the record';

DROP VIEW IF EXISTS analytics.clock_steps CASCADE;
CREATE VIEW analytics.clock_steps AS
SELECT s.id AS session_id,
       k.batch,
       k.from_time,
       k.to_time,
       extract(epoch FROM k.from_time - k.to_time)::double precision AS back_s,
       k.message_id
FROM clock_steps k
JOIN sessions s ON s.session = k.session
WHERE s.deleted_at IS NULL;
COMMENT ON VIEW analytics.clock_steps IS 'Where the clock of a run stepped back while records went on: the first hundred of each run';
COMMENT ON COLUMN analytics.clock_steps.session_id IS 'Id of the run';
COMMENT ON COLUMN analytics.clock_steps.batch IS 'Number of the batch in its run that brought the record behind the step';
COMMENT ON COLUMN analytics.clock_steps.from_time IS 'Time of the record before the step, UTC';
COMMENT ON COLUMN analytics.clock_steps.to_time IS 'Time of the record behind it, UTC: earlier';
COMMENT ON COLUMN analytics.clock_steps.back_s IS 'By how much the clock stepped back, s';
COMMENT ON COLUMN analytics.clock_steps.message_id IS 'Message counter of the record behind it; NULL without one';

DROP VIEW IF EXISTS analytics.clusters CASCADE;
CREATE VIEW analytics.clusters AS
SELECT s.id AS session_id,
       c.from_time,
       c.to_time,
       c.records,
       c.set_aside
FROM clusters c
JOIN sessions s ON s.session = c.session
WHERE s.deleted_at IS NULL;
COMMENT ON VIEW analytics.clusters IS 'Groups of records that lie more than 7 days apart, of the runs that have several. The counts of a group that alone is kept are as of when the last one was set aside';
COMMENT ON COLUMN analytics.clusters.session_id IS 'Id of the run';
COMMENT ON COLUMN analytics.clusters.from_time IS 'Time of the oldest record, UTC';
COMMENT ON COLUMN analytics.clusters.to_time IS 'Time of the newest record, UTC';
COMMENT ON COLUMN analytics.clusters.records IS 'Records, count';
COMMENT ON COLUMN analytics.clusters.set_aside IS 'Whether they are set aside as strays; those of the other groups are stored';

DROP VIEW IF EXISTS analytics.gaps CASCADE;
CREATE VIEW analytics.gaps AS
SELECT n.session_id,
       n.previous AS from_time,
       n.time AS to_time,
       extract(epoch FROM n.time - n.previous)::double precision AS gap_s
FROM (
    SELECT session_id,
           time,
           lag(time) OVER (PARTITION BY session_id ORDER BY time) AS previous
    FROM analytics.records
) n
LEFT JOIN sessions s ON s.id = n.session_id AND s.deleted_at IS NULL
LEFT JOIN session_summaries m ON m.session = s.session
WHERE n.time - n.previous > analytics.gap_after(m.step_s);
COMMENT ON VIEW analytics.gaps IS 'Silences between records of a run that are longer than five usual steps, and than 2 s. Name a session_id: without one every record is read';
COMMENT ON COLUMN analytics.gaps.session_id IS 'Id of the run';
COMMENT ON COLUMN analytics.gaps.from_time IS 'Time of the last record before the silence, UTC';
COMMENT ON COLUMN analytics.gaps.to_time IS 'Time of the first record after it, UTC';
COMMENT ON COLUMN analytics.gaps.gap_s IS 'Length of the silence, s';

DROP VIEW IF EXISTS analytics.run_book CASCADE;
CREATE VIEW analytics.run_book AS
SELECT s.id AS session_id,
       s.name AS session_name,
       s.first_time AS start_time,
       extract(epoch FROM s.last_time - s.first_time)::double precision AS duration_s,
       b.driver,
       b.car,
       b.setup,
       b.tyres,
       b.weather,
       coalesce(b.tags, '{}') AS tags,
       coalesce(b.fields, '{}') AS fields,
       t.distance_m,
       t.energy_wh,
       t.efficiency_km_kwh,
       m.avg_speed_kmh,
       b.plan_energy_wh,
       b.plan_laps,
       b.plan_distance_km,
       b.plan_time_s
FROM sessions s
LEFT JOIN run_book b ON b.session = s.session
LEFT JOIN analytics.totals t ON t.session_id = s.id
LEFT JOIN session_summaries m ON m.session = s.session
WHERE s.deleted_at IS NULL AND s.id <> '';
COMMENT ON VIEW analytics.run_book IS 'What people say of each run, beside its figures. The same as on the page and in REST';
COMMENT ON COLUMN analytics.run_book.session_id IS 'Id of the run';
COMMENT ON COLUMN analytics.run_book.session_name IS 'Name that the run was given';
COMMENT ON COLUMN analytics.run_book.start_time IS 'Time of the first record, UTC';
COMMENT ON COLUMN analytics.run_book.duration_s IS 'From the first record to the last, s';
COMMENT ON COLUMN analytics.run_book.driver IS 'Who drove';
COMMENT ON COLUMN analytics.run_book.car IS 'Which car';
COMMENT ON COLUMN analytics.run_book.setup IS 'How the car was set up';
COMMENT ON COLUMN analytics.run_book.tyres IS 'Which tyres';
COMMENT ON COLUMN analytics.run_book.weather IS 'What the weather was like';
COMMENT ON COLUMN analytics.run_book.tags IS 'Words that the run can be found by';
COMMENT ON COLUMN analytics.run_book.fields IS 'Further texts, by the names that people gave them';
COMMENT ON COLUMN analytics.run_book.distance_m IS 'Sum of speed times time, over no gap, m';
COMMENT ON COLUMN analytics.run_book.energy_wh IS 'Sum of power times time, over no gap; regeneration subtracts, Wh';
COMMENT ON COLUMN analytics.run_book.efficiency_km_kwh IS 'One over the other; NULL when nothing was used, km/kWh';
COMMENT ON COLUMN analytics.run_book.avg_speed_kmh IS 'Mean speed of the records that move, km/h';
COMMENT ON COLUMN analytics.run_book.plan_energy_wh IS 'How much it was allowed to use, Wh';
COMMENT ON COLUMN analytics.run_book.plan_laps IS 'How many laps it was to drive, count';
COMMENT ON COLUMN analytics.run_book.plan_distance_km IS 'How far it was to go, km';
COMMENT ON COLUMN analytics.run_book.plan_time_s IS 'How long it was allowed to take, s';

DROP VIEW IF EXISTS analytics.origins CASCADE;
CREATE VIEW analytics.origins AS
SELECT s.id AS session_id,
       t.time,
       t.batch,
       b.source,
       (SELECT array_agg(DISTINCT name)
        FROM merge_fills f, unnest(f.channels || f.members) AS name
        WHERE f.session = t.session AND f.of_batch = t.batch AND f.of_ord = t.ord) AS filled
FROM telemetry t
JOIN sessions s ON s.session = t.session
JOIN ingest_batches b ON b.session = t.session AND b.batch = t.batch
WHERE s.deleted_at IS NULL;
COMMENT ON VIEW analytics.origins IS 'Where each record of a run came from. Name a session_id: without one every record is read';
COMMENT ON COLUMN analytics.origins.session_id IS 'Id of the run';
COMMENT ON COLUMN analytics.origins.time IS 'When the vehicle measured, UTC';
COMMENT ON COLUMN analytics.origins.batch IS 'Number of the batch in its run that brought the record';
COMMENT ON COLUMN analytics.origins.source IS 'The way in: function, rest, import, merge, ...';
COMMENT ON COLUMN analytics.origins.filled IS 'Channels that a merge filled in from a logger''s file; NULL without any';

DROP VIEW IF EXISTS analytics.channels CASCADE;
CREATE VIEW analytics.channels AS
SELECT s.id AS session_id,
       c.key AS channel,
       (c.value ->> 'records')::bigint AS records,
       (c.value ->> 'step_s')::double precision AS step_s,
       (c.value ->> 'gap_s')::double precision AS gap_s
FROM session_summaries m
JOIN sessions s ON s.session = m.session
CROSS JOIN LATERAL jsonb_each(m.channels) c
WHERE s.deleted_at IS NULL;
COMMENT ON VIEW analytics.channels IS 'What a run has: the channels that records carry and that can be charted, as of a few seconds ago';
COMMENT ON COLUMN analytics.channels.session_id IS 'Id of the run';
COMMENT ON COLUMN analytics.channels.channel IS 'Name of the channel, as in analytics.records';
COMMENT ON COLUMN analytics.channels.records IS 'Records that carry it, count; NULL of a text state in a long run';
COMMENT ON COLUMN analytics.channels.step_s IS 'Usual (median) time between those, s; 0 when unknown';
COMMENT ON COLUMN analytics.channels.gap_s IS 'A longer silence of the channel is a gap, s';

DROP VIEW IF EXISTS analytics.quality CASCADE;
CREATE VIEW analytics.quality AS
SELECT r.session_id,
       count(*) AS records,
       count(*) FILTER (WHERE coalesce(r.outlier_severity, r.outliers ->> 'severity') <> 'none') AS outliers,
       max(t.no_fix) AS without_fix,
       count(*) - count(r.speed_ms) AS without_speed,
       count(*) - count(r.power_w) AS without_power,
       avg(r.quality_score) AS quality_score,
       count(*) / nullif(extract(epoch FROM max(r.time) - min(r.time))::double precision - coalesce(max(t.silent_s), 0), 0) AS rate_hz,
       max(k.clock_steps) AS clock_steps,
       coalesce(max(k.strays), 0) AS strays,
       max(k.set_aside) AS set_aside
FROM analytics.records r
LEFT JOIN analytics.totals t USING (session_id)
LEFT JOIN (
    SELECT s.id AS session_id,
           s.clock_steps,
           s.set_aside,
           (SELECT sum(c.records) - max(c.records) FROM clusters c WHERE c.session = s.session AND NOT c.set_aside)::bigint AS strays
    FROM sessions s
    WHERE s.deleted_at IS NULL
) k USING (session_id)
GROUP BY r.session_id;
COMMENT ON VIEW analytics.quality IS 'How complete a run''s records are. Name a session_id: without one every record is read';
COMMENT ON COLUMN analytics.quality.session_id IS 'Id of the run';
COMMENT ON COLUMN analytics.quality.records IS 'Records stored, count';
COMMENT ON COLUMN analytics.quality.outliers IS 'Records that were flagged with a severity, count';
COMMENT ON COLUMN analytics.quality.without_fix IS 'Records whose position is missing or no fix, count';
COMMENT ON COLUMN analytics.quality.without_speed IS 'Records without a speed, count';
COMMENT ON COLUMN analytics.quality.without_power IS 'Records without a power, count';
COMMENT ON COLUMN analytics.quality.quality_score IS 'Mean of the records'' quality scores, score';
COMMENT ON COLUMN analytics.quality.clock_steps IS 'Steps back of the clock while records went on, count';
COMMENT ON COLUMN analytics.quality.strays IS 'Records that lie more than 7 days from most others and are kept, count';
COMMENT ON COLUMN analytics.quality.set_aside IS 'Records set aside, which no other column counts, count';
COMMENT ON COLUMN analytics.quality.rate_hz IS 'Records per second of the run, gaps left out, Hz';

-- Views read with their owner's rights, so that an analyst needs none on the
-- tables of accounts. The record tables themselves may be read as well.
DO $$
BEGIN
    IF EXISTS (SELECT FROM pg_roles WHERE rolname = 'telemetry_analyst') THEN
        GRANT USAGE ON SCHEMA analytics, public TO telemetry_analyst;
        GRANT SELECT ON ALL TABLES IN SCHEMA analytics TO telemetry_analyst;
        GRANT SELECT ON telemetry, sessions, ingest_batches TO telemetry_analyst;
    END IF;
END
$$;
