-- Records whose time cannot be right are kept beside the others, whole, until
-- somebody puts them back or drops them. Batches are recognised by the
-- members received, by name (form 2); those stored before by the values in the
-- order of the channels (form 1).
CREATE TABLE set_aside (
    id          bigint      GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    session     integer     NOT NULL,
    batch       integer     NOT NULL,
    reason      text        NOT NULL CHECK (reason IN ('no time', 'too early', 'too late', 'stray')),
    time        timestamptz,
    timestamp   text        NOT NULL,
    record      jsonb       NOT NULL,
    source      text        NOT NULL,
    received_at timestamptz NOT NULL DEFAULT clock_timestamp()
);
CREATE INDEX set_aside_session ON set_aside (session, id);
COMMENT ON TABLE set_aside IS 'Records whose time cannot be right, whole, in order of arrival';
COMMENT ON COLUMN set_aside.id IS 'Order of arrival';
COMMENT ON COLUMN set_aside.session IS 'The run: sessions.session';
COMMENT ON COLUMN set_aside.batch IS 'Which committed batch of its session brought the record: ingest_batches.batch';
COMMENT ON COLUMN set_aside.reason IS 'no time, too early, too late, or stray: far from the run''s other records, and few';
COMMENT ON COLUMN set_aside.time IS 'The time that the record claims, UTC; NULL when its timestamp is no time';
COMMENT ON COLUMN set_aside.timestamp IS 'The timestamp as received';
COMMENT ON COLUMN set_aside.record IS 'The record''s other members';
COMMENT ON COLUMN set_aside.source IS 'The way in: function, rest, import, simulate or convex';
COMMENT ON COLUMN set_aside.received_at IS 'Server time when the record came';

ALTER TABLE sessions ADD COLUMN set_aside bigint NOT NULL DEFAULT 0;
COMMENT ON COLUMN sessions.set_aside IS 'Records set aside, count; they are not among records';

ALTER TABLE ingest_batches
    ADD COLUMN form smallint NOT NULL DEFAULT 1,
    ADD COLUMN set_aside integer NOT NULL DEFAULT 0,
    ALTER COLUMN min_time DROP NOT NULL,
    ALTER COLUMN max_time DROP NOT NULL;
COMMENT ON COLUMN ingest_batches.form IS 'What the digest is taken over: 1 the values as stored, 2 the members as received, by name';
COMMENT ON COLUMN ingest_batches.set_aside IS 'Further records of this session in the batch, which were set aside, count';
COMMENT ON COLUMN ingest_batches.min_time IS 'Time of the batch''s oldest record, UTC; NULL when all of them were set aside';
COMMENT ON COLUMN ingest_batches.max_time IS 'Time of the batch''s newest record, UTC; NULL when all of them were set aside';
