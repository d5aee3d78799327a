-- The same drive twice is one run: a file is found again by what is in it, and
-- takes the name that it comes with unless a person has named the run.
ALTER TABLE sessions
    ADD COLUMN named boolean NOT NULL DEFAULT false,
    ADD COLUMN file_digest bytea;
COMMENT ON COLUMN sessions.named IS 'Whether a person gave the name, which batches then leave alone';
COMMENT ON COLUMN sessions.file_digest IS 'SHA-256 of the file that the run was imported from, where the file names no run';
