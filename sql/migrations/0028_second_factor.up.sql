-- A second factor beside the password, passwords of their own for clients that
-- cannot ask for one, and notice of changed credentials.

CREATE TABLE auth_factors (
    user_id      text        PRIMARY KEY REFERENCES users (id) ON DELETE CASCADE,
    secret       text        NOT NULL,
    created_at   timestamptz NOT NULL DEFAULT clock_timestamp(),
    confirmed_at timestamptz,
    last_step    bigint      NOT NULL DEFAULT 0
);
CREATE INDEX auth_factors_pending ON auth_factors (created_at) WHERE confirmed_at IS NULL;

COMMENT ON TABLE auth_factors IS 'Second factors (TOTP), one an account at most';
COMMENT ON COLUMN auth_factors.user_id IS 'Whose second factor';
COMMENT ON COLUMN auth_factors.secret IS 'Shared secret behind the marker of the pepper that it is sealed under; p0: not sealed';
COMMENT ON COLUMN auth_factors.created_at IS 'When it was begun';
COMMENT ON COLUMN auth_factors.confirmed_at IS 'Asked for since then; null: begun, and forgotten after 15 minutes';
COMMENT ON COLUMN auth_factors.last_step IS 'Step of the newest code that was taken, in 30 s since 1970; no code of it or before is taken again';

CREATE TABLE auth_recovery_codes (
    user_id   text  NOT NULL REFERENCES auth_factors (user_id) ON DELETE CASCADE,
    code_hash bytea NOT NULL CHECK (octet_length(code_hash) = 32),
    PRIMARY KEY (user_id, code_hash)
);

COMMENT ON TABLE auth_recovery_codes IS 'Codes that stand in for a lost second factor, once each: a used one is gone';
COMMENT ON COLUMN auth_recovery_codes.user_id IS 'Whose code';
COMMENT ON COLUMN auth_recovery_codes.code_hash IS 'SHA-256 of the code, which has 120 random bits';

CREATE TABLE auth_app_passwords (
    id           text        PRIMARY KEY,
    user_id      text        NOT NULL REFERENCES auth_factors (user_id) ON DELETE CASCADE,
    name         text        NOT NULL,
    secret_hash  bytea       NOT NULL UNIQUE CHECK (octet_length(secret_hash) = 32),
    created_at   timestamptz NOT NULL DEFAULT clock_timestamp(),
    last_used_at timestamptz
);
CREATE INDEX auth_app_passwords_user ON auth_app_passwords (user_id, created_at, id);

COMMENT ON TABLE auth_app_passwords IS 'What clients of the function contract sign in with where the account has a second factor';
COMMENT ON COLUMN auth_app_passwords.id IS 'Opaque id';
COMMENT ON COLUMN auth_app_passwords.user_id IS 'Whose app password';
COMMENT ON COLUMN auth_app_passwords.name IS 'What it is for, in its owner''s words';
COMMENT ON COLUMN auth_app_passwords.secret_hash IS 'SHA-256 of the app password, which has 256 random bits';
COMMENT ON COLUMN auth_app_passwords.created_at IS 'Server time of creation';
COMMENT ON COLUMN auth_app_passwords.last_used_at IS 'Newest sign-in with it; null: none yet';

ALTER TABLE auth_sessions ADD COLUMN app_password text REFERENCES auth_app_passwords (id) ON DELETE CASCADE;
CREATE INDEX auth_sessions_app_password ON auth_sessions (app_password) WHERE app_password IS NOT NULL;
COMMENT ON COLUMN auth_sessions.app_password IS 'App password that it was opened with, and with which it ends; null: the account''s own';

-- What happened before this migration is no news.
ALTER TABLE users ADD COLUMN notices_through bigint NOT NULL DEFAULT 0;
UPDATE users SET notices_through = coalesce((SELECT max(id) FROM auth_audit), 0);
COMMENT ON COLUMN users.notices_through IS 'Newest entry of auth_audit about the account''s credentials that its owner has dismissed';

CREATE INDEX auth_audit_actor ON auth_audit (actor_user_id, id) WHERE actor_user_id IS NOT NULL;
CREATE INDEX auth_audit_event ON auth_audit (event, id);
CREATE INDEX auth_audit_at ON auth_audit (at);
