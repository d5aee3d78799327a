-- A batch may change what earlier ones brought: fill in values, or take records
-- away. Whatever is worked out of the records goes by the batches' times, and so
-- learns of it as it learns of new records.
ALTER TABLE ingest_batches ADD COLUMN changed integer NOT NULL DEFAULT 0;
COMMENT ON COLUMN ingest_batches.changed IS 'Records of earlier batches that the batch changed or took away, count';
COMMENT ON COLUMN ingest_batches.min_time IS 'Time of the oldest record that the batch brought or changed, UTC; NULL when all of them were set aside';
COMMENT ON COLUMN ingest_batches.max_time IS 'Time of the newest record that the batch brought or changed, UTC; NULL when all of them were set aside';
