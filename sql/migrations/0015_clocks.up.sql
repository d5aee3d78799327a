-- What a run's clock did: groups of records that lie far apart, and steps back.
CREATE TABLE clusters (
    session   integer     NOT NULL,
    from_time timestamptz NOT NULL,
    to_time   timestamptz NOT NULL,
    records   bigint      NOT NULL,
    set_aside boolean     NOT NULL,
    trusted   boolean     NOT NULL,
    PRIMARY KEY (session, from_time)
);
COMMENT ON TABLE clusters IS 'Groups of records that lie more than 7 days apart, of the runs that have several. Worked out from the records and those set aside; kept so that a batch need not count them';
COMMENT ON COLUMN clusters.session IS 'The run: sessions.session';
COMMENT ON COLUMN clusters.from_time IS 'Time of the oldest record, UTC';
COMMENT ON COLUMN clusters.to_time IS 'Time of the newest record, UTC';
COMMENT ON COLUMN clusters.records IS 'Records, count';
COMMENT ON COLUMN clusters.set_aside IS 'Whether they are set aside as strays';
COMMENT ON COLUMN clusters.trusted IS 'Whether some of them came when the server''s clock said the same, or were put there by an administrator: they are no strays';

CREATE TABLE clock_steps (
    session    integer     NOT NULL,
    batch      integer     NOT NULL,
    from_time  timestamptz NOT NULL,
    to_time    timestamptz NOT NULL,
    message_id bigint
);
CREATE INDEX clock_steps_session ON clock_steps (session, batch);
COMMENT ON TABLE clock_steps IS 'Where the clock of a run stepped back while its records went on: the first hundred of each run';
COMMENT ON COLUMN clock_steps.session IS 'The run: sessions.session';
COMMENT ON COLUMN clock_steps.batch IS 'Which committed batch of its session brought the record behind the step: ingest_batches.batch';
COMMENT ON COLUMN clock_steps.from_time IS 'Time of the record before the step, UTC';
COMMENT ON COLUMN clock_steps.to_time IS 'Time of the record behind it, UTC: earlier';
COMMENT ON COLUMN clock_steps.message_id IS 'Message counter of the record behind it; NULL without one';

CREATE TABLE repaired (
    session integer NOT NULL,
    batch   integer NOT NULL,
    digest  bytea   NOT NULL
);
CREATE INDEX repaired_digest ON repaired (session, digest);
COMMENT ON TABLE repaired IS 'Records that were set aside and then put back or dropped, so that they are known when they come again';
COMMENT ON COLUMN repaired.session IS 'The run: sessions.session';
COMMENT ON COLUMN repaired.batch IS 'Watermark of its session when that was done: sessions.batch';
COMMENT ON COLUMN repaired.digest IS 'SHA-256 of timestamp and record, as set_aside had them';

ALTER TABLE sessions
    ADD COLUMN arrived_time    timestamptz,
    ADD COLUMN arrived_message bigint,
    ADD COLUMN clock_steps     integer NOT NULL DEFAULT 0,
    ADD COLUMN rewritten       integer NOT NULL DEFAULT 0;
COMMENT ON COLUMN sessions.arrived_time IS 'Time of the record that arrived last, UTC';
COMMENT ON COLUMN sessions.arrived_message IS 'Message counter of that record; NULL without one';
COMMENT ON COLUMN sessions.clock_steps IS 'Steps back of the clock while records went on, count';
COMMENT ON COLUMN sessions.rewritten IS 'With this batch, records of earlier ones were taken away: who has read those begins anew';
