-- Who works alone, and who works first. Advisory locks are no ground for
-- either: anybody who may connect can take one, and one that outlives a
-- transaction needs a connection of its own.
CREATE TABLE leases (
    name   text        PRIMARY KEY,
    holder text        NOT NULL,
    fence  bigint      NOT NULL,
    until  timestamptz NOT NULL,
    -- This makes the fence part of a key. So raising it waits for transactions
    -- that hold FOR KEY SHARE on the row, and renewing the lease does not.
    UNIQUE (name, fence)
);
COMMENT ON TABLE leases IS 'Work that one instance at a time does';
COMMENT ON COLUMN leases.name IS 'The work, such as relay or purge';
COMMENT ON COLUMN leases.holder IS 'Host and process that does it, or did it last';
COMMENT ON COLUMN leases.fence IS 'Number of times that it changed hands, count';
COMMENT ON COLUMN leases.until IS 'Server time from which on another instance may take it';

CREATE TABLE locks (
    name text PRIMARY KEY
);
COMMENT ON TABLE locks IS 'Rows that transactions lock to go one after the other';
COMMENT ON COLUMN locks.name IS 'What is locked, such as live or notifications:<session>';
