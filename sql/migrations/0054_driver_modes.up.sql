-- What was taken in each driver mode is added up record by record: by the second, a pulse
-- that ends within one was the next mode's. What is worked out of runs is worked out anew.
TRUNCATE analysis_parts, analysis_runs, analysis_laps, analysis_sectors;

ALTER TABLE analysis_parts
    ADD COLUMN modes         text[]             NOT NULL DEFAULT '{}',
    ADD COLUMN mode_s        double precision[] NOT NULL DEFAULT '{}',
    ADD COLUMN mode_way_m    double precision[] NOT NULL DEFAULT '{}',
    ADD COLUMN mode_energy_j double precision[] NOT NULL DEFAULT '{}';
COMMENT ON COLUMN analysis_parts.modes IS 'Driver modes in which the car was in that minute, each once, a hundred at most';
COMMENT ON COLUMN analysis_parts.mode_s IS 'How long in each of modes, over no silence of the records, s';
COMMENT ON COLUMN analysis_parts.mode_way_m IS 'Distance in each of modes, as way_m counts, m';
COMMENT ON COLUMN analysis_parts.mode_energy_j IS 'Energy in each of modes, as energy_j counts, J';
