-- A record may have 1,024 members that are no channel of the contract. What one has
-- beyond them is kept here, and the record where the others are: it is no reason to
-- refuse a batch, which a bridge would send again for ever.
CREATE TABLE members_aside (
    id          bigint      GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    session     integer     NOT NULL,
    batch       integer     NOT NULL,
    time        timestamptz NOT NULL,
    members     jsonb       NOT NULL,
    source      text        NOT NULL,
    received_at timestamptz NOT NULL DEFAULT clock_timestamp()
);
CREATE INDEX members_aside_session ON members_aside (session, id);
COMMENT ON TABLE members_aside IS 'Members beyond the 1,024 that a record may have, of records that are stored, in order of arrival';
COMMENT ON COLUMN members_aside.id IS 'Order of arrival';
COMMENT ON COLUMN members_aside.session IS 'The run: sessions.session';
COMMENT ON COLUMN members_aside.batch IS 'Which committed batch of its session brought the record: ingest_batches.batch';
COMMENT ON COLUMN members_aside.time IS 'When the vehicle measured the record, UTC';
COMMENT ON COLUMN members_aside.members IS 'The members that are not kept with the record';
COMMENT ON COLUMN members_aside.source IS 'The way in: function, rest, import, ...';
COMMENT ON COLUMN members_aside.received_at IS 'Server time when the record came';
