-- The sectors of a lap that is not over are kept with those of the laps that are.
ALTER TABLE analysis_runs ADD COLUMN open_from timestamptz;
COMMENT ON COLUMN analysis_runs.open_from IS 'When the lap began that is not over, whose sectors are of the lap behind the last one in analysis_laps; null where there is none';
