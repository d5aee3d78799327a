-- An upload of several runs that comes again under its idempotency key is the same
-- one even when some of the runs were deleted since. Their batches go with them, so
-- those that stay tell what the whole upload was.
ALTER TABLE ingest_batches ADD COLUMN upload bytea;
COMMENT ON COLUMN ingest_batches.upload IS 'SHA-256 of all that came under the idempotency key; NULL without one, and before this column';
COMMENT ON COLUMN ingest_batches.idempotency_key IS 'The caller''s own name for the upload whose first batch of the session it is, where it gave one';
