-- A run may be made of several files, and a file is known by what is in it,
-- however it is packed and whatever its run is called.
CREATE TABLE imported_files (
    session     integer     NOT NULL,
    digest      bytea       NOT NULL,
    imported_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    PRIMARY KEY (session, digest)
);
CREATE INDEX imported_files_digest ON imported_files (digest);
COMMENT ON TABLE imported_files IS 'Tables that were imported, so that they are known when they come again';
COMMENT ON COLUMN imported_files.session IS 'A run that its records are in: sessions.session';
COMMENT ON COLUMN imported_files.digest IS 'SHA-256 of what is in the file, unpacked; of files of before this table, as they came';
COMMENT ON COLUMN imported_files.imported_at IS 'Server time of the first import';

INSERT INTO imported_files (session, digest, imported_at)
SELECT session, file_digest, created_at
FROM sessions
WHERE file_digest IS NOT NULL;
ALTER TABLE sessions DROP COLUMN file_digest;
