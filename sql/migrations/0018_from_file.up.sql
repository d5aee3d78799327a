-- Whether a batch came out of a file, whatever its way in: then the server's
-- clock says nothing of its records' times. Merges always do. Of older batches
-- that came by REST it is not known.
ALTER TABLE ingest_batches ADD COLUMN from_file boolean NOT NULL DEFAULT false;
UPDATE ingest_batches
SET from_file = true
WHERE source IN ('import', 'convex', 'merge');
ALTER TABLE ingest_batches ALTER COLUMN from_file SET DEFAULT true;
COMMENT ON COLUMN ingest_batches.from_file IS 'Whether the records came out of a file, not from a car at the time';
COMMENT ON COLUMN ingest_batches.source IS 'The way in: function, rest, import, convex, demo, merge or repair';
COMMENT ON COLUMN set_aside.source IS 'The way in: function, rest, import, convex, demo, merge or repair';
