-- Records that came when the server's clock said the same are right, however few
-- they are. That is told by the commit log, which must know by how much a run was
-- shifted since.
ALTER TABLE ingest_batches ADD COLUMN shifted interval NOT NULL DEFAULT '0';
COMMENT ON COLUMN ingest_batches.shifted IS 'How much later than they came the batch''s records are now, since the whole run was shifted';
