-- Levels of channels that came in records and have no column: a row for each of them
-- and bucket, so that a new one needs no change of a table.
CREATE TABLE level_members (
    session integer  NOT NULL,
    slot    smallint NOT NULL,
    member  text     NOT NULL,
    PRIMARY KEY (session, slot),
    UNIQUE (session, member)
);
COMMENT ON TABLE level_members IS 'Which members of a run''s records have levels: those that came first';
COMMENT ON COLUMN level_members.session IS 'The run: sessions.session';
COMMENT ON COLUMN level_members.slot IS 'Their number in member_levels, from 1';
COMMENT ON COLUMN level_members.member IS 'The name, spelt as in the records';

CREATE TABLE member_levels (
    session    integer          NOT NULL,
    width      smallint         NOT NULL,
    slot       smallint         NOT NULL,
    bucket     timestamptz      NOT NULL,
    low        double precision NOT NULL,
    high       double precision NOT NULL,
    sum        double precision NOT NULL,
    count      integer          NOT NULL,
    first_time timestamptz      NOT NULL,
    last_time  timestamptz      NOT NULL,
    PRIMARY KEY (session, width, slot, bucket)
);
COMMENT ON TABLE member_levels IS 'Numbers of level_members by bucket, for charts; telemetry_10s and others have those with a column';
COMMENT ON COLUMN member_levels.session IS 'The run: sessions.session';
COMMENT ON COLUMN member_levels.width IS 'Width of the bucket: 10, 60 or 600 s';
COMMENT ON COLUMN member_levels.slot IS 'The member: level_members.slot';
COMMENT ON COLUMN member_levels.bucket IS 'Start of the bucket, UTC';
COMMENT ON COLUMN member_levels.low IS 'Lowest number';
COMMENT ON COLUMN member_levels.high IS 'Highest number';
COMMENT ON COLUMN member_levels.sum IS 'Sum; the mean is sum / count';
COMMENT ON COLUMN member_levels.count IS 'Records that have it as a number, count';
COMMENT ON COLUMN member_levels.first_time IS 'Time of the oldest of those, UTC';
COMMENT ON COLUMN member_levels.last_time IS 'Time of the newest of those, UTC';

CREATE TABLE member_level_progress (
    session   integer PRIMARY KEY,
    batch     integer NOT NULL,
    rewritten integer NOT NULL,
    changed   integer NOT NULL
);
COMMENT ON TABLE member_level_progress IS 'Up to which batch member_levels follow a run';
COMMENT ON COLUMN member_level_progress.session IS 'The run: sessions.session';
COMMENT ON COLUMN member_level_progress.batch IS 'Batches up to this one are in them';
COMMENT ON COLUMN member_level_progress.rewritten IS 'sessions.rewritten when they were; another value: make them anew';
COMMENT ON COLUMN member_level_progress.changed IS 'What batches up to this one changed in records of others is in them; a later one that does: make them anew';
