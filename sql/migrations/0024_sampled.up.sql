-- How often channels are sent is measured anew only where a run has grown much.
ALTER TABLE session_summaries ADD COLUMN sampled bigint;
COMMENT ON COLUMN session_summaries.sampled IS 'Records that the run had when the steps of its channels were measured, count; null: never, or by an older version';
