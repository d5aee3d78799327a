-- The car's own counter of laps, for runs without positions.
ALTER TABLE analysis_parts
    ADD COLUMN lap_at     bigint[] NOT NULL DEFAULT '{}',
    ADD COLUMN lap_after  bigint[] NOT NULL DEFAULT '{}',
    ADD COLUMN lap_number bigint[] NOT NULL DEFAULT '{}';
COMMENT ON COLUMN analysis_parts.lap_at IS 'Records with another number of the lap than the one before, by the car''s own counter, µs since 1970';
COMMENT ON COLUMN analysis_parts.lap_after IS 'The records before those that carry it, µs since 1970';
COMMENT ON COLUMN analysis_parts.lap_number IS 'That number, from 1; 0 is before the first lap';
