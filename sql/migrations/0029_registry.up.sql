-- Channels are data: what arrives is noted here, and can be charted at once.

CREATE TABLE channels (
    name       text        PRIMARY KEY CHECK (name ~ '^[a-z][a-z0-9_]{0,55}$'),
    kind       text        NOT NULL CHECK (kind IN ('contract', 'seen', 'declared', 'math')),
    type       text        NOT NULL CHECK (type IN ('number', 'integer', 'text', 'json')),
    member     text        UNIQUE CHECK (octet_length(member) <= 1024),
    unit       text,
    meaning    text,
    display    text,
    aliases    text[]      NOT NULL DEFAULT '{}',
    section    text,
    decimals   smallint    CHECK (decimals BETWEEN 0 AND 15),
    low        double precision,
    high       double precision,
    warn_low   double precision,
    warn_high  double precision,
    alarm_low  double precision,
    alarm_high double precision,
    colour     text        CHECK (colour ~ '^#[0-9a-f]{6}$'),
    hidden     boolean     NOT NULL DEFAULT false,
    expression text,
    created_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    created_by text
);

COMMENT ON TABLE channels IS 'What cars measure: the function contract''s fields, what records brought beside them, and what people declared';
COMMENT ON COLUMN channels.name IS 'Name by which it is asked for';
COMMENT ON COLUMN channels.kind IS 'contract: a field of the function contract; seen: came in a record; declared: by a person; math: made of others';
COMMENT ON COLUMN channels.type IS 'What its values are; a boolean is a number, 0 or 1';
COMMENT ON COLUMN channels.member IS 'Member of records that it is, spelt as it came first; null: a column of telemetry, or none yet';
COMMENT ON COLUMN channels.unit IS 'Unit of its values (UCUM); null: none, or not known';
COMMENT ON COLUMN channels.meaning IS 'What is measured';
COMMENT ON COLUMN channels.display IS 'Name on the page; null: the name';
COMMENT ON COLUMN channels.aliases IS 'Further names by which it is found';
COMMENT ON COLUMN channels.section IS 'Which channels it stands with in lists';
COMMENT ON COLUMN channels.decimals IS 'Digits behind the point on the page, count';
COMMENT ON COLUMN channels.low IS 'Lowest value to be expected, in its unit';
COMMENT ON COLUMN channels.high IS 'Highest value to be expected, in its unit';
COMMENT ON COLUMN channels.warn_low IS 'Below it the page warns, in its unit';
COMMENT ON COLUMN channels.warn_high IS 'Above it the page warns, in its unit';
COMMENT ON COLUMN channels.alarm_low IS 'Below it the page alarms, in its unit';
COMMENT ON COLUMN channels.alarm_high IS 'Above it the page alarms, in its unit';
COMMENT ON COLUMN channels.colour IS 'Colour of its line, #rrggbb';
COMMENT ON COLUMN channels.hidden IS 'Left out of lists and pickers; its records and charts stay';
COMMENT ON COLUMN channels.expression IS 'What a math channel is';
COMMENT ON COLUMN channels.created_at IS 'Server time when it was first known';
COMMENT ON COLUMN channels.created_by IS 'Who declared it: an account or a key; null: it came';

-- What each run has of members without a column, added up batch by batch.
CREATE TABLE session_members (
    session    integer     NOT NULL,
    member     text        NOT NULL,
    records    bigint      NOT NULL,
    numbers    bigint      NOT NULL,
    texts      bigint      NOT NULL,
    first_time timestamptz NOT NULL,
    last_time  timestamptz NOT NULL,
    low        double precision,
    high       double precision,
    PRIMARY KEY (session, member)
);
CREATE INDEX session_members_member ON session_members (member);

COMMENT ON TABLE session_members IS 'Members of a run''s records that have no column of telemetry';
COMMENT ON COLUMN session_members.session IS 'The run: sessions.session';
COMMENT ON COLUMN session_members.member IS 'Its name, spelt as in the records';
COMMENT ON COLUMN session_members.records IS 'Records that have it, null values left out, count';
COMMENT ON COLUMN session_members.numbers IS 'Thereof with a number or a boolean, count';
COMMENT ON COLUMN session_members.texts IS 'Thereof with a text, count';
COMMENT ON COLUMN session_members.first_time IS 'Time of the oldest record that has it, UTC';
COMMENT ON COLUMN session_members.last_time IS 'Time of the newest record that has it, UTC';
COMMENT ON COLUMN session_members.low IS 'Lowest number';
COMMENT ON COLUMN session_members.high IS 'Highest number';

CREATE TABLE member_progress (
    session   integer PRIMARY KEY,
    batch     integer NOT NULL,
    rewritten integer NOT NULL,
    changed   integer NOT NULL DEFAULT 0
);
COMMENT ON TABLE member_progress IS 'Up to which batch the members of a run''s records are known';
COMMENT ON COLUMN member_progress.session IS 'The run: sessions.session';
COMMENT ON COLUMN member_progress.batch IS 'Batches up to this one are counted in session_members';
COMMENT ON COLUMN member_progress.rewritten IS 'sessions.rewritten when they were; another value: count anew';
COMMENT ON COLUMN member_progress.changed IS 'What batches up to this one changed in records of others is counted; a later one that does: count anew';

ALTER TABLE ingest_batches ADD COLUMN members boolean;
COMMENT ON COLUMN ingest_batches.members IS 'Whether records of it have members without a column; null: stored by an older version';

-- A member of telemetry.extra as a number. Whatever it holds, this does not fail:
-- one record must not stop the aggregation of a run.
CREATE FUNCTION channel_number(extra jsonb, member text) RETURNS double precision
LANGUAGE sql IMMUTABLE PARALLEL SAFE
RETURN CASE jsonb_typeof(extra -> member)
    WHEN 'number' THEN
        CASE WHEN abs((extra -> member)::numeric) BETWEEN 1e-300 AND 1e100 THEN (extra -> member)::double precision
             WHEN abs((extra -> member)::numeric) < 1e-300 THEN 0
        END
    WHEN 'boolean' THEN (extra -> member)::boolean::integer
END;
COMMENT ON FUNCTION channel_number(jsonb, text) IS
'A record''s member as a number: true is 1, false 0; NULL when it is none, or over 1e100';

CREATE FUNCTION channel_text(extra jsonb, member text) RETURNS text
LANGUAGE sql IMMUTABLE PARALLEL SAFE
RETURN CASE jsonb_typeof(extra -> member) WHEN 'string' THEN extra ->> member END;
COMMENT ON FUNCTION channel_text(jsonb, text) IS 'A record''s member as a text; NULL when it is none';
