-- What is worked out from the records of a run: how far and how much, which
-- positions are fixes, where it went and when it passed its start line.
CREATE TABLE analysis_parts (
    session   integer     NOT NULL,
    minute    timestamptz NOT NULL,
    begun     jsonb       NOT NULL,
    at        bigint[]    NOT NULL,
    way_m     double precision[] NOT NULL,
    energy_j  double precision[] NOT NULL,
    silent_s  double precision[] NOT NULL,
    paused_s  double precision[] NOT NULL,
    top_ms    double precision[] NOT NULL,
    fix_at    double precision[] NOT NULL,
    fix_way_m double precision[] NOT NULL,
    latitude  double precision[] NOT NULL,
    longitude double precision[] NOT NULL,
    fixes     double precision[] NOT NULL,
    PRIMARY KEY (session, minute)
);
COMMENT ON TABLE analysis_parts IS 'A run by the half second, a row per minute; sums count from the start of the run. So a batch costs the minutes from its oldest record on';
COMMENT ON COLUMN analysis_parts.session IS 'The run: sessions.session';
COMMENT ON COLUMN analysis_parts.minute IS 'Start of the minute, UTC';
COMMENT ON COLUMN analysis_parts.begun IS 'What was known of the run when the minute began';
COMMENT ON COLUMN analysis_parts.at IS 'Last record of each half second, µs since 1970';
COMMENT ON COLUMN analysis_parts.way_m IS 'Sum of speed times time until then, over no gap, m';
COMMENT ON COLUMN analysis_parts.energy_j IS 'Sum of power times time until then, over no gap, J';
COMMENT ON COLUMN analysis_parts.silent_s IS 'Time until then that way_m leaves out as gaps, s';
COMMENT ON COLUMN analysis_parts.paused_s IS 'Time until then that the car stood, in pauses of 10 s or more, s';
COMMENT ON COLUMN analysis_parts.top_ms IS 'Highest speed of the half second, m/s; NaN without one';
COMMENT ON COLUMN analysis_parts.fix_at IS 'Mean time of the fixes of each half second that has some, µs since 1970';
COMMENT ON COLUMN analysis_parts.fix_way_m IS 'Mean of the way at those fixes, m';
COMMENT ON COLUMN analysis_parts.latitude IS 'Mean of those fixes, deg, WGS84';
COMMENT ON COLUMN analysis_parts.longitude IS 'Mean of those fixes, deg, WGS84';
COMMENT ON COLUMN analysis_parts.fixes IS 'Number of those fixes, count';

CREATE TABLE analysis_runs (
    session         integer     PRIMARY KEY,
    batch           integer     NOT NULL,
    computed_at     timestamptz NOT NULL DEFAULT clock_timestamp(),
    took_s          double precision NOT NULL,
    distance_m      double precision,
    distance_from   text,
    energy_j        double precision,
    energy_from     text,
    sent_distance_m double precision,
    sent_energy_j   double precision,
    sent_why        text,
    silent_s        double precision NOT NULL,
    paused_s        double precision NOT NULL,
    no_fix          bigint      NOT NULL,
    lap_m           double precision,
    noise_m         double precision,
    line_latitude   double precision[],
    line_longitude  double precision[]
);
COMMENT ON TABLE analysis_runs IS 'How far and how much, and the line that a run''s laps have in common, as of the batch they were worked out for';
COMMENT ON COLUMN analysis_runs.session IS 'The run: sessions.session';
COMMENT ON COLUMN analysis_runs.batch IS 'Batches up to this number are counted: ingest_batches.batch';
COMMENT ON COLUMN analysis_runs.computed_at IS 'Server time when it was worked out';
COMMENT ON COLUMN analysis_runs.took_s IS 'How long that took, s';
COMMENT ON COLUMN analysis_runs.distance_m IS 'Sum of speed times time, over no gap, m';
COMMENT ON COLUMN analysis_runs.distance_from IS 'What it was summed up from: speed, or the car''s counter in a run without';
COMMENT ON COLUMN analysis_runs.energy_j IS 'Sum of power times time, over no gap; regeneration subtracts, J';
COMMENT ON COLUMN analysis_runs.energy_from IS 'What it was summed up from: power, or the car''s counter in a run without';
COMMENT ON COLUMN analysis_runs.sent_distance_m IS 'By how much the car''s own counter grew, m';
COMMENT ON COLUMN analysis_runs.sent_energy_j IS 'By how much the car''s own counter grew, J';
COMMENT ON COLUMN analysis_runs.sent_why IS 'Why the counters differ from the sums by more than 1 %';
COMMENT ON COLUMN analysis_runs.silent_s IS 'Gaps between records, s';
COMMENT ON COLUMN analysis_runs.paused_s IS 'Pauses of 10 s or more, s';
COMMENT ON COLUMN analysis_runs.no_fix IS 'Records whose position is no fix, count';
COMMENT ON COLUMN analysis_runs.lap_m IS 'Length of a lap by the run''s own speed, m';
COMMENT ON COLUMN analysis_runs.noise_m IS 'Standard deviation of a fix from the line, m';
COMMENT ON COLUMN analysis_runs.line_latitude IS 'Corners of the closed line, at equal lengths from the start line on, deg';
COMMENT ON COLUMN analysis_runs.line_longitude IS 'Corners of the closed line, deg';

CREATE TABLE analysis_laps (
    session    integer     NOT NULL,
    lap        integer     NOT NULL,
    from_time  timestamptz NOT NULL,
    to_time    timestamptz NOT NULL,
    from_way_m double precision NOT NULL,
    distance_m double precision NOT NULL,
    energy_j   double precision NOT NULL,
    silent_s   double precision NOT NULL,
    paused_s   double precision NOT NULL,
    top_ms     double precision,
    error_s    double precision NOT NULL,
    PRIMARY KEY (session, lap)
);
COMMENT ON TABLE analysis_laps IS 'Laps of each run from its own start line on; analytics.laps shows them';
COMMENT ON COLUMN analysis_laps.session IS 'The run: sessions.session';
COMMENT ON COLUMN analysis_laps.lap IS 'Number, from 1';
COMMENT ON COLUMN analysis_laps.from_time IS 'When the car passed the line, UTC';
COMMENT ON COLUMN analysis_laps.to_time IS 'When it passed the line again, UTC';
COMMENT ON COLUMN analysis_laps.from_way_m IS 'Way of the run at the begin, m';
COMMENT ON COLUMN analysis_laps.distance_m IS 'Sum of speed times time, over no gap, m';
COMMENT ON COLUMN analysis_laps.energy_j IS 'Sum of power times time, over no gap, J';
COMMENT ON COLUMN analysis_laps.silent_s IS 'Gaps that the distance leaves out, s';
COMMENT ON COLUMN analysis_laps.paused_s IS 'Pauses of 10 s or more, s';
COMMENT ON COLUMN analysis_laps.top_ms IS 'Highest speed, m/s';
COMMENT ON COLUMN analysis_laps.error_s IS 'Standard deviation of the lap''s time, s';
