-- An idempotency key belongs to one upload, whatever sessions that has. Further
-- chunks of an upload had the key with their number, which somebody's own key
-- could be; they need none, since they are found by their digest.
UPDATE ingest_batches b
SET idempotency_key = NULL
WHERE b.idempotency_key ~ '#[0-9]+$'
  AND EXISTS (
      SELECT
      FROM ingest_batches k
      WHERE k.idempotency_key = regexp_replace(b.idempotency_key, '#[0-9]+$', ''));
CREATE INDEX ingest_batches_upload ON ingest_batches (idempotency_key) WHERE idempotency_key IS NOT NULL;
COMMENT ON COLUMN ingest_batches.idempotency_key IS 'The caller''s own name for the upload that the batch is the beginning of, where it gave one';
