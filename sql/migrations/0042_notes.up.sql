-- What people note on a moment, a stretch or a place of a run. What the server marks
-- by itself is worked out when it is asked for: analytics.notes.
CREATE TABLE notes (
    note        bigint           GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    session     integer          NOT NULL,
    from_time   timestamptz,
    to_time     timestamptz      CHECK (to_time > from_time),
    latitude    double precision,
    longitude   double precision CHECK ((latitude IS NULL) = (longitude IS NULL)),
    text        text             NOT NULL,
    author      text,
    author_name text,
    revision    integer          NOT NULL DEFAULT 1,
    created_at  timestamptz      NOT NULL DEFAULT clock_timestamp(),
    changed_at  timestamptz      NOT NULL DEFAULT clock_timestamp()
);
CREATE INDEX notes_session ON notes (session, from_time);
COMMENT ON TABLE notes IS 'What people note on a moment, a stretch or a place of a run';
COMMENT ON COLUMN notes.note IS 'In the order in which they were made';
COMMENT ON COLUMN notes.session IS 'The run: sessions.session';
COMMENT ON COLUMN notes.from_time IS 'The moment, or where the stretch begins, UTC; NULL of a place, or of the whole run';
COMMENT ON COLUMN notes.to_time IS 'Where the stretch ends, UTC; NULL of a moment';
COMMENT ON COLUMN notes.latitude IS 'The place, deg, WGS84; NULL without one';
COMMENT ON COLUMN notes.longitude IS 'The place, deg, WGS84; NULL without one';
COMMENT ON COLUMN notes.text IS 'What is noted';
COMMENT ON COLUMN notes.author IS 'Id of the account that made it; NULL of a key';
COMMENT ON COLUMN notes.author_name IS 'Name of who made it, as it was then';
COMMENT ON COLUMN notes.revision IS 'Changes so far, count';
COMMENT ON COLUMN notes.created_at IS 'Server time when it was made';
COMMENT ON COLUMN notes.changed_at IS 'Server time of the newest change';
