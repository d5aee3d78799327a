-- Accounts, their bearer sessions, deploy keys, attempt limits and the audit log.

CREATE TABLE users (
    id                  text        PRIMARY KEY,
    email               text        NOT NULL UNIQUE,
    name                text,
    role                text        NOT NULL DEFAULT 'external'
                        CHECK (role IN ('guest', 'external', 'internal', 'admin')),
    requested_role      text        CHECK (requested_role IN ('external', 'internal')),
    approval_status     text        NOT NULL DEFAULT 'approved'
                        CHECK (approval_status IN ('pending', 'approved', 'rejected')),
    password_hash       text        NOT NULL,
    password_changed_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    created_at          timestamptz NOT NULL DEFAULT clock_timestamp(),
    updated_at          timestamptz NOT NULL DEFAULT clock_timestamp()
);
CREATE INDEX users_created_at ON users (created_at, id);

COMMENT ON TABLE users IS 'One row per account, with its profile';
COMMENT ON COLUMN users.id IS 'Opaque account id that clients use; imported accounts keep theirs';
COMMENT ON COLUMN users.email IS 'Address, trimmed and in lower case';
COMMENT ON COLUMN users.name IS 'Display name; null when none was given';
COMMENT ON COLUMN users.role IS 'guest, external, internal or admin';
COMMENT ON COLUMN users.requested_role IS 'Role asked for and not yet decided on';
COMMENT ON COLUMN users.approval_status IS 'pending, approved or rejected; grants nothing by itself';
COMMENT ON COLUMN users.password_hash IS 'Argon2id text with its pepper marker, or an imported hash until the next sign-in';
COMMENT ON COLUMN users.password_changed_at IS 'Server time of the newest change of password';
COMMENT ON COLUMN users.created_at IS 'Server time of the sign-up';
COMMENT ON COLUMN users.updated_at IS 'Server time of the newest change';

CREATE TABLE auth_sessions (
    id           text        PRIMARY KEY,
    user_id      text        NOT NULL REFERENCES users (id) ON DELETE CASCADE,
    token_hash   bytea       NOT NULL UNIQUE CHECK (octet_length(token_hash) = 32),
    created_at   timestamptz NOT NULL DEFAULT clock_timestamp(),
    last_seen_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    expires_at   timestamptz NOT NULL,
    persistent   boolean     NOT NULL
);
CREATE INDEX auth_sessions_user ON auth_sessions (user_id, created_at);
CREATE INDEX auth_sessions_expiry ON auth_sessions (expires_at);

COMMENT ON TABLE auth_sessions IS 'Bearer sessions; a row that is gone or past its time is no session';
COMMENT ON COLUMN auth_sessions.id IS 'Opaque id of the session, not the token';
COMMENT ON COLUMN auth_sessions.user_id IS 'Whose session';
COMMENT ON COLUMN auth_sessions.token_hash IS 'SHA-256 of the token, 32 bytes; the token itself is never stored';
COMMENT ON COLUMN auth_sessions.created_at IS 'Server time of the sign-in';
COMMENT ON COLUMN auth_sessions.last_seen_at IS 'Set at creation and not moved';
COMMENT ON COLUMN auth_sessions.expires_at IS 'When it ends: 12 hours, or 30 days when persistent';
COMMENT ON COLUMN auth_sessions.persistent IS 'Whether the 30 days were asked for';

CREATE TABLE deploy_keys (
    id           text        PRIMARY KEY,
    name         text        NOT NULL,
    scope        text        NOT NULL CHECK (scope IN ('ingest', 'admin')),
    prefix       text        NOT NULL,
    secret_hash  bytea       NOT NULL UNIQUE CHECK (octet_length(secret_hash) = 32),
    created_at   timestamptz NOT NULL DEFAULT clock_timestamp(),
    created_by   text,
    expires_at   timestamptz,
    revoked_at   timestamptz,
    last_used_at timestamptz
);
CREATE INDEX deploy_keys_name ON deploy_keys (name, created_at);

COMMENT ON TABLE deploy_keys IS 'Credentials of machines; several of one name may be valid at once, for rotation';
COMMENT ON COLUMN deploy_keys.id IS 'Opaque id, also part of the key''s prefix';
COMMENT ON COLUMN deploy_keys.name IS 'What holds the key, such as bridge';
COMMENT ON COLUMN deploy_keys.scope IS 'ingest: store and report; admin: everything';
COMMENT ON COLUMN deploy_keys.prefix IS 'Start of the key, shown in lists';
COMMENT ON COLUMN deploy_keys.secret_hash IS 'SHA-256 of the whole key, 32 bytes; the key itself is never stored';
COMMENT ON COLUMN deploy_keys.created_at IS 'Server time of creation';
COMMENT ON COLUMN deploy_keys.created_by IS 'Account id, key id or command that made it';
COMMENT ON COLUMN deploy_keys.expires_at IS 'When it stops being valid; null: never';
COMMENT ON COLUMN deploy_keys.revoked_at IS 'When it was revoked; null: it was not';
COMMENT ON COLUMN deploy_keys.last_used_at IS 'Newest use, to about a minute';

CREATE TABLE auth_attempts (
    key               text        PRIMARY KEY,
    attempts          integer     NOT NULL,
    window_started_at timestamptz NOT NULL,
    blocked_until     timestamptz,
    last_used_at      timestamptz NOT NULL
);
CREATE INDEX auth_attempts_last_used ON auth_attempts (last_used_at);

COMMENT ON TABLE auth_attempts IS 'Sign-in and sign-up attempts of each account, shared by all instances';
COMMENT ON COLUMN auth_attempts.key IS 'signin: or signup: and the hex SHA-256 of the e-mail';
COMMENT ON COLUMN auth_attempts.attempts IS 'Attempts in the window, count';
COMMENT ON COLUMN auth_attempts.window_started_at IS 'Server time of the window''s first attempt';
COMMENT ON COLUMN auth_attempts.blocked_until IS 'No attempt is looked at before';
COMMENT ON COLUMN auth_attempts.last_used_at IS 'Server time of the newest attempt; the row goes 30 minutes later';

CREATE TABLE auth_addresses (
    address      text        PRIMARY KEY,
    free_at      timestamptz NOT NULL,
    refusals     integer     NOT NULL DEFAULT 0,
    last_used_at timestamptz NOT NULL
);
CREATE INDEX auth_addresses_last_used ON auth_addresses (last_used_at);

COMMENT ON TABLE auth_addresses IS 'Attempts of each client address, a leaking bucket shared by all instances';
COMMENT ON COLUMN auth_addresses.address IS 'IPv4 address or IPv6 /64 network';
COMMENT ON COLUMN auth_addresses.free_at IS 'When the bucket will have leaked empty';
COMMENT ON COLUMN auth_addresses.refusals IS 'Attempts refused since the newest one let through, count';
COMMENT ON COLUMN auth_addresses.last_used_at IS 'Server time of the newest attempt';

CREATE TABLE auth_audit (
    id             bigint      GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    at             timestamptz NOT NULL DEFAULT clock_timestamp(),
    event          text        NOT NULL,
    user_id        text,
    actor_user_id  text,
    email_hash     text,
    client_address text,
    detail         jsonb
);
CREATE INDEX auth_audit_user ON auth_audit (user_id, id);

COMMENT ON TABLE auth_audit IS 'What happened to accounts, sessions and keys; never holds secrets or clear e-mails';
COMMENT ON COLUMN auth_audit.id IS 'Order of the log';
COMMENT ON COLUMN auth_audit.at IS 'Server time';
COMMENT ON COLUMN auth_audit.event IS 'Such as sign_in_failed or role_changed';
COMMENT ON COLUMN auth_audit.user_id IS 'The account it happened to; it may be gone since';
COMMENT ON COLUMN auth_audit.actor_user_id IS 'The account that did it, when another one';
COMMENT ON COLUMN auth_audit.email_hash IS 'Hex SHA-256 of the e-mail';
COMMENT ON COLUMN auth_audit.client_address IS 'Address the request came from, where known';
COMMENT ON COLUMN auth_audit.detail IS 'Further facts, such as the old and new role';

-- A secret of this installation that is worth nothing outside it: it decides
-- which kind of work is done for an account that does not exist.
CREATE TABLE auth_secrets (
    name   text  PRIMARY KEY,
    secret bytea NOT NULL
);
INSERT INTO auth_secrets
VALUES ('decoy', sha256((gen_random_uuid()::text || gen_random_uuid()::text)::bytea));

COMMENT ON TABLE auth_secrets IS 'Random values that all instances share';
COMMENT ON COLUMN auth_secrets.name IS 'What the value is for';
COMMENT ON COLUMN auth_secrets.secret IS '32 random bytes';
