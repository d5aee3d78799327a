-- Mutations that Convex clients asked for over the websocket. A client sends a request again when it lost
-- the answer; the row, written in the mutation's own transaction, keeps it from running twice.
CREATE TABLE convex_requests (
    session_id text        NOT NULL,
    request_id bigint      NOT NULL,
    caller     bytea       NOT NULL,
    run        uuid        NOT NULL,
    ts         bigint      NOT NULL,
    success    boolean,
    result     text,
    error_data text,
    created_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    PRIMARY KEY (session_id, request_id)
);
CREATE INDEX convex_requests_ts ON convex_requests (ts);
COMMENT ON TABLE convex_requests IS 'Mutations committed for websocket clients, so that a repeated request gets its first answer; pruned after two days';
COMMENT ON COLUMN convex_requests.session_id IS 'The client''s own id, one per client object';
COMMENT ON COLUMN convex_requests.request_id IS 'The client''s number of the request, counted within session_id';
COMMENT ON COLUMN convex_requests.caller IS 'SHA-256 over the identity, the function and its arguments; a repeat by another caller is refused';
COMMENT ON COLUMN convex_requests.run IS 'The run that wrote the row, to tell its own transactions from those of a second socket';
COMMENT ON COLUMN convex_requests.ts IS 'Timestamp that the client was answered with, nanoseconds since 1970 UTC';
COMMENT ON COLUMN convex_requests.success IS 'Whether the function succeeded after its transaction; null until the answer is known';
COMMENT ON COLUMN convex_requests.result IS 'The answer as JSON text when it succeeded, the message when it failed';
COMMENT ON COLUMN convex_requests.error_data IS 'The errorData of a failure as JSON text; null when there is none';
COMMENT ON COLUMN convex_requests.created_at IS 'Server time of the commit';
