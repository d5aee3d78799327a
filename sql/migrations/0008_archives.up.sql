-- Where the parts of a session's archive begin. Records stay in telemetry; the
-- files are made from them when they are asked for.
CREATE TABLE archives (
    session integer PRIMARY KEY,
    batch   integer NOT NULL,
    records bigint  NOT NULL
);
COMMENT ON TABLE archives IS 'How far a session was divided into archive parts';
COMMENT ON COLUMN archives.session IS 'The run: sessions.session';
COMMENT ON COLUMN archives.batch IS 'Newest batch that the division knows: sessions.batch at the time';
COMMENT ON COLUMN archives.records IS 'Records in all parts, count';

CREATE TABLE archive_parts (
    session    integer     NOT NULL,
    part       integer     NOT NULL,
    batch      integer     NOT NULL,
    first_time timestamptz NOT NULL,
    skip       integer     NOT NULL,
    last_time  timestamptz NOT NULL,
    records    integer     NOT NULL,
    mark_times timestamptz[] NOT NULL,
    mark_skips integer[]   NOT NULL,
    PRIMARY KEY (session, part)
);
COMMENT ON TABLE archive_parts IS 'Parts of 3000 records in order of time, batch and place; the last may be shorter';
COMMENT ON COLUMN archive_parts.session IS 'The run: sessions.session';
COMMENT ON COLUMN archive_parts.part IS 'Number of the part, from 0';
COMMENT ON COLUMN archive_parts.batch IS 'Records of later batches are not in the part, whatever their time';
COMMENT ON COLUMN archive_parts.first_time IS 'Time of the oldest record';
COMMENT ON COLUMN archive_parts.skip IS 'Records of that same time that belong to the part before, count';
COMMENT ON COLUMN archive_parts.last_time IS 'Time of the newest record';
COMMENT ON COLUMN archive_parts.records IS 'Records in the part, count';
COMMENT ON COLUMN archive_parts.mark_times IS 'Time of every 100th record of the part, from its first';
COMMENT ON COLUMN archive_parts.mark_skips IS 'For each of them, records of that same time that stand before it, count';

CREATE TABLE archive_secret (
    singleton boolean PRIMARY KEY DEFAULT true CHECK (singleton),
    secret    bytea   NOT NULL
);
INSERT INTO archive_secret (secret)
VALUES (sha256((gen_random_uuid()::text || gen_random_uuid()::text)::bytea));
COMMENT ON TABLE archive_secret IS 'What all instances sign the names of archive files with';
COMMENT ON COLUMN archive_secret.singleton IS 'Always true: allows one row';
COMMENT ON COLUMN archive_secret.secret IS '32 random bytes';
