-- What was said once of a kind of logger's file, found again by its header.
CREATE TABLE import_profiles (
    name     text        PRIMARY KEY,
    profile  jsonb       NOT NULL,
    saved_at timestamptz NOT NULL DEFAULT now()
);
COMMENT ON TABLE import_profiles IS 'Saved mappings of loggers'' files';
COMMENT ON COLUMN import_profiles.name IS 'Name that a person gave it';
COMMENT ON COLUMN import_profiles.profile IS 'Header, meaning of columns, column of times, order of the day, time zone';
COMMENT ON COLUMN import_profiles.saved_at IS 'When it was saved last';
