-- Sectors of laps, how long cars roll by themselves, their highest power, and how
-- high the road is. What is worked out of runs is worked out anew for it.
TRUNCATE analysis_parts, analysis_runs, analysis_laps;

ALTER TABLE analysis_parts
    ADD COLUMN peak_w     double precision[] NOT NULL DEFAULT '{}',
    ADD COLUMN coast_s    double precision[] NOT NULL DEFAULT '{}',
    ADD COLUMN altitude_m double precision[] NOT NULL DEFAULT '{}';
COMMENT ON COLUMN analysis_parts.peak_w IS 'Highest power of the half second, W; NaN without one';
COMMENT ON COLUMN analysis_parts.coast_s IS 'Time until then that the car rolled at 0.5 m/s or more with 25 W or less either way, s';
COMMENT ON COLUMN analysis_parts.altitude_m IS 'Mean altitude of the half second, m; NaN without one';

ALTER TABLE analysis_runs
    ADD COLUMN has_coast boolean NOT NULL DEFAULT false,
    ADD COLUMN gates_m   double precision[];
COMMENT ON COLUMN analysis_runs.has_coast IS 'Whether the run has speed and power, so that it is known when the car rolled by itself';
COMMENT ON COLUMN analysis_runs.gates_m IS 'Where along the line its sectors begin, m: the first, the second and so on; null without a line';

ALTER TABLE analysis_laps
    ADD COLUMN peak_w  double precision,
    ADD COLUMN coast_s double precision NOT NULL DEFAULT 0;
COMMENT ON COLUMN analysis_laps.peak_w IS 'Highest power, W';
COMMENT ON COLUMN analysis_laps.coast_s IS 'Time that the car rolled by itself, s';

CREATE TABLE analysis_sectors (
    session    integer     NOT NULL,
    lap        integer     NOT NULL,
    sector     integer     NOT NULL,
    from_time  timestamptz NOT NULL,
    to_time    timestamptz NOT NULL,
    seconds    double precision NOT NULL,
    distance_m double precision NOT NULL,
    energy_j   double precision NOT NULL,
    silent_s   double precision NOT NULL,
    paused_s   double precision NOT NULL,
    coast_s    double precision NOT NULL,
    top_ms     double precision,
    peak_w     double precision,
    error_s    double precision NOT NULL,
    PRIMARY KEY (session, lap, sector)
);
COMMENT ON TABLE analysis_sectors IS 'Sectors of the laps of analysis_laps, which they add up to; analytics.sectors shows them';
COMMENT ON COLUMN analysis_sectors.session IS 'The run: sessions.session';
COMMENT ON COLUMN analysis_sectors.lap IS 'Number of the lap, from 1';
COMMENT ON COLUMN analysis_sectors.sector IS 'Number along the line, from 1';
COMMENT ON COLUMN analysis_sectors.from_time IS 'When the car came into it; of one in which the lap begins, at its later part, UTC';
COMMENT ON COLUMN analysis_sectors.to_time IS 'When it left that, UTC';
COMMENT ON COLUMN analysis_sectors.seconds IS 'Its time: of both parts, where the lap begins in it, s';
COMMENT ON COLUMN analysis_sectors.distance_m IS 'Sum of speed times time, over no gap, m';
COMMENT ON COLUMN analysis_sectors.energy_j IS 'Sum of power times time, over no gap, J';
COMMENT ON COLUMN analysis_sectors.silent_s IS 'Gaps that the distance leaves out, s';
COMMENT ON COLUMN analysis_sectors.paused_s IS 'Pauses of 10 s or more, s';
COMMENT ON COLUMN analysis_sectors.coast_s IS 'Time that the car rolled by itself, s';
COMMENT ON COLUMN analysis_sectors.top_ms IS 'Highest speed, m/s';
COMMENT ON COLUMN analysis_sectors.peak_w IS 'Highest power, W';
COMMENT ON COLUMN analysis_sectors.error_s IS 'Standard deviation of seconds, s';
