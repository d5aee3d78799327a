-- Which channels a run has ever carried: rollups leave out the others, which are
-- most. It holds while every batch has told: what changes records in another way,
-- or a version that does not know of it, moves batch alone.

ALTER TABLE sessions
    ADD COLUMN carried       bit(128),
    ADD COLUMN carried_batch integer NOT NULL DEFAULT 0;
ALTER TABLE sessions ALTER COLUMN carried SET DEFAULT repeat('0', 128)::bit(128);

COMMENT ON COLUMN sessions.carried IS 'Channels of the function contract that a record of it carries, a bit each from the left; null: not known';
COMMENT ON COLUMN sessions.carried_batch IS 'Batch up to which that is known; where it is not the newest, nothing is';
