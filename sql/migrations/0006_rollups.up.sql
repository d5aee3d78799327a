-- Bookkeeping of what is derived from the records: rollups and summaries. The
-- rollups themselves are repeatable objects, since they depend on the edition
-- of TimescaleDB and on the list of fields.
CREATE TABLE repeatable_objects (
    name       text        PRIMARY KEY,
    version    text        NOT NULL,
    applied_at timestamptz NOT NULL DEFAULT clock_timestamp()
);
COMMENT ON TABLE repeatable_objects IS 'Which definition of the repeatable objects (rollups, policies, analytics) this database has';
COMMENT ON COLUMN repeatable_objects.name IS 'Group of objects';
COMMENT ON COLUMN repeatable_objects.version IS 'SHA-256 over the definitions of this group and those before it, hexadecimal';
COMMENT ON COLUMN repeatable_objects.applied_at IS 'Server time when the group was made';

CREATE TABLE rollup_progress (
    session      integer     PRIMARY KEY,
    batch        integer     NOT NULL,
    refreshed_at timestamptz NOT NULL DEFAULT clock_timestamp()
);
COMMENT ON TABLE rollup_progress IS 'How far the rollups follow the records of each session; no row means not at all. Empty where rollups are plain views';
COMMENT ON COLUMN rollup_progress.session IS 'The run: sessions.session';
COMMENT ON COLUMN rollup_progress.batch IS 'Batches up to this number are in every rollup level: ingest_batches.batch';
COMMENT ON COLUMN rollup_progress.refreshed_at IS 'Server time of the refresh';

CREATE TABLE rollup_dirty (
    id         bigint      GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    session    integer     NOT NULL,
    from_time  timestamptz NOT NULL,
    to_time    timestamptz NOT NULL,
    created_at timestamptz NOT NULL DEFAULT clock_timestamp()
);
CREATE INDEX rollup_dirty_session ON rollup_dirty (session);
COMMENT ON TABLE rollup_dirty IS 'Ranges whose records changed other than by a batch, such as a deletion, and that the rollups do not show yet';
COMMENT ON COLUMN rollup_dirty.id IS 'Order of arrival';
COMMENT ON COLUMN rollup_dirty.session IS 'The run: sessions.session';
COMMENT ON COLUMN rollup_dirty.from_time IS 'Time of the oldest record concerned, UTC';
COMMENT ON COLUMN rollup_dirty.to_time IS 'Time of the newest record concerned, UTC, included';
COMMENT ON COLUMN rollup_dirty.created_at IS 'Server time of the change';

CREATE TABLE summary_parts (
    session        integer     NOT NULL,
    minute         timestamptz NOT NULL,
    records        bigint      NOT NULL,
    first_time     timestamptz NOT NULL,
    last_time      timestamptz NOT NULL,
    first_speed    double precision,
    first_power    double precision,
    speed_max      double precision,
    moving_sum     double precision,
    moving_count   bigint      NOT NULL,
    power_sum      double precision,
    power_count    bigint      NOT NULL,
    power_max      double precision,
    voltage_sum    double precision,
    voltage_count  bigint      NOT NULL,
    g_max          double precision,
    quality_sum    double precision,
    quality_count  bigint      NOT NULL,
    elevation_max  double precision,
    anomalies      bigint      NOT NULL,
    optimal_first  double precision,
    distance_m     double precision NOT NULL,
    energy_j       double precision NOT NULL,
    last_route_km  double precision,
    last_kwh       double precision,
    last_eff       double precision,
    steps          bigint      NOT NULL,
    step_sum       double precision NOT NULL,
    step_max       double precision NOT NULL,
    duplicates     bigint      NOT NULL,
    no_fix         bigint      NOT NULL,
    PRIMARY KEY (session, minute)
);
COMMENT ON TABLE summary_parts IS 'What a session''s summary is added up from, by the minute, so that a late record costs one minute''s recount';
COMMENT ON COLUMN summary_parts.session IS 'The run: sessions.session';
COMMENT ON COLUMN summary_parts.minute IS 'Start of the minute, UTC';
COMMENT ON COLUMN summary_parts.records IS 'Records in the minute, count';
COMMENT ON COLUMN summary_parts.first_time IS 'Time of the minute''s first record, UTC';
COMMENT ON COLUMN summary_parts.last_time IS 'Time of the minute''s last record, UTC';
COMMENT ON COLUMN summary_parts.first_speed IS 'Speed at the first record, m/s';
COMMENT ON COLUMN summary_parts.first_power IS 'Power at the first record, W';
COMMENT ON COLUMN summary_parts.speed_max IS 'Highest speed, m/s';
COMMENT ON COLUMN summary_parts.moving_sum IS 'Sum of the speeds above 0, m/s';
COMMENT ON COLUMN summary_parts.moving_count IS 'Records with a speed above 0, count';
COMMENT ON COLUMN summary_parts.power_sum IS 'Sum of power, W';
COMMENT ON COLUMN summary_parts.power_count IS 'Records with a power, count';
COMMENT ON COLUMN summary_parts.power_max IS 'Highest power, W';
COMMENT ON COLUMN summary_parts.voltage_sum IS 'Sum of voltage, V';
COMMENT ON COLUMN summary_parts.voltage_count IS 'Records with a voltage, count';
COMMENT ON COLUMN summary_parts.g_max IS 'Highest acceleration, g';
COMMENT ON COLUMN summary_parts.quality_sum IS 'Sum of quality scores, score';
COMMENT ON COLUMN summary_parts.quality_count IS 'Records with a quality score, count';
COMMENT ON COLUMN summary_parts.elevation_max IS 'Highest climb since the start, m';
COMMENT ON COLUMN summary_parts.anomalies IS 'Records flagged with an outlier severity, count';
COMMENT ON COLUMN summary_parts.optimal_first IS 'First estimate of the best cruising speed, km/h';
COMMENT ON COLUMN summary_parts.distance_m IS 'Speed integrated from the first record of the minute to its last, steps under 60 s, m';
COMMENT ON COLUMN summary_parts.energy_j IS 'Magnitude of power integrated likewise, steps under 72 s, J';
COMMENT ON COLUMN summary_parts.last_route_km IS 'The last record''s route distance, km';
COMMENT ON COLUMN summary_parts.last_kwh IS 'The last record''s cumulative energy, kWh';
COMMENT ON COLUMN summary_parts.last_eff IS 'The last record''s efficiency, km/kWh';
COMMENT ON COLUMN summary_parts.steps IS 'Steps between records of the minute, count';
COMMENT ON COLUMN summary_parts.step_sum IS 'Sum of the steps, s';
COMMENT ON COLUMN summary_parts.step_max IS 'Longest step, s';
COMMENT ON COLUMN summary_parts.duplicates IS 'Steps of no length: records that share a timestamp, count';
COMMENT ON COLUMN summary_parts.no_fix IS 'Records whose position is missing or 0,0, count';

CREATE TABLE session_summaries (
    session           integer     PRIMARY KEY,
    batch             integer     NOT NULL,
    computed_at       timestamptz NOT NULL DEFAULT clock_timestamp(),
    records           bigint,
    distance_km       double precision,
    max_speed_kmh     double precision,
    avg_speed_kmh     double precision,
    energy_wh         double precision,
    efficiency_km_kwh double precision,
    duration_min      double precision,
    avg_power_w       double precision,
    max_power_w       double precision,
    avg_voltage_v     double precision,
    max_g             double precision,
    optimal_speed_kmh double precision,
    quality_score     double precision,
    elevation_gain_m  double precision,
    anomalies         bigint,
    cadence_s         double precision,
    longest_gap_s     double precision,
    duplicates        bigint,
    no_fix            bigint
);
COMMENT ON TABLE session_summaries IS 'The figures of a whole session, as of the batch they were computed for';
COMMENT ON COLUMN session_summaries.session IS 'The run: sessions.session';
COMMENT ON COLUMN session_summaries.batch IS 'Batches up to this number are counted: ingest_batches.batch';
COMMENT ON COLUMN session_summaries.computed_at IS 'Server time of the computation';
COMMENT ON COLUMN session_summaries.records IS 'Records, count';
COMMENT ON COLUMN session_summaries.distance_km IS 'Distance: the last record''s route distance, else speed integrated, km';
COMMENT ON COLUMN session_summaries.max_speed_kmh IS 'Highest speed, km/h';
COMMENT ON COLUMN session_summaries.avg_speed_kmh IS 'Mean speed of the records that move, km/h';
COMMENT ON COLUMN session_summaries.energy_wh IS 'Energy: the last record''s cumulative energy, else the magnitude of power integrated, Wh';
COMMENT ON COLUMN session_summaries.efficiency_km_kwh IS 'Efficiency by the last record, 0 when unknown, km/kWh';
COMMENT ON COLUMN session_summaries.duration_min IS 'From the first record to the last, min';
COMMENT ON COLUMN session_summaries.avg_power_w IS 'Mean power, W';
COMMENT ON COLUMN session_summaries.max_power_w IS 'Highest power, W';
COMMENT ON COLUMN session_summaries.avg_voltage_v IS 'Mean voltage, V';
COMMENT ON COLUMN session_summaries.max_g IS 'Highest acceleration, g';
COMMENT ON COLUMN session_summaries.optimal_speed_kmh IS 'First estimate of the best cruising speed, km/h';
COMMENT ON COLUMN session_summaries.quality_score IS 'Mean quality score; NULL when no record has one, score';
COMMENT ON COLUMN session_summaries.elevation_gain_m IS 'Highest climb since the start, m';
COMMENT ON COLUMN session_summaries.anomalies IS 'Records flagged with an outlier severity, count';
COMMENT ON COLUMN session_summaries.cadence_s IS 'Mean step between records, gaps over 60 s left out, s';
COMMENT ON COLUMN session_summaries.longest_gap_s IS 'Longest step between records, s';
COMMENT ON COLUMN session_summaries.duplicates IS 'Records that share their timestamp with the one before, count';
COMMENT ON COLUMN session_summaries.no_fix IS 'Records whose position is missing or 0,0, count';
