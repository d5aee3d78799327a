-- Where records were taken away chunks may be left that hold none. They are
-- dropped once the rollups have followed, or else every plan that cannot go by
-- time names them. What earlier versions left is looked for once.
CREATE TABLE emptied (
    id        bigint      GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    from_time timestamptz NOT NULL,
    to_time   timestamptz NOT NULL,
    try_at    timestamptz NOT NULL DEFAULT clock_timestamp()
);
COMMENT ON TABLE emptied IS 'Ranges of time that records were taken from, in which empty chunks are to be dropped';
COMMENT ON COLUMN emptied.id IS 'Order of arrival';
COMMENT ON COLUMN emptied.from_time IS 'Time of the oldest record that was taken away, UTC';
COMMENT ON COLUMN emptied.to_time IS 'Time of the newest record that was taken away, UTC, included';
COMMENT ON COLUMN emptied.try_at IS 'Server time before which it is not tried: a chunk was in use';

INSERT INTO emptied (from_time, to_time)
SELECT '-infinity', 'infinity'
WHERE EXISTS (SELECT FROM timescaledb_information.chunks WHERE hypertable_name = 'telemetry' AND hypertable_schema = current_schema());
