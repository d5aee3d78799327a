-- What the hub polls to learn that something other than a session's records changed.
CREATE TABLE changes (
    topic      text        PRIMARY KEY,
    version    bigint      NOT NULL DEFAULT 1,
    changed_at timestamptz NOT NULL DEFAULT clock_timestamp()
);
COMMENT ON TABLE changes IS 'Change counters by topic; bumped in the transaction that makes the change';
COMMENT ON COLUMN changes.topic IS 'What changed, such as users or user:<id>';
COMMENT ON COLUMN changes.version IS 'Number of changes so far, count';
COMMENT ON COLUMN changes.changed_at IS 'Server time of the newest change';
