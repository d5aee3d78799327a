-- A key may be told not to make channels: what unknown members its records bring is
-- stored like any other, and makes no channel of its own accord.
ALTER TABLE deploy_keys ADD COLUMN no_channels boolean NOT NULL DEFAULT false;
COMMENT ON COLUMN deploy_keys.no_channels IS 'Whether records that come by the key make no channels';

ALTER TABLE ingest_batches ADD COLUMN no_channels boolean;
COMMENT ON COLUMN ingest_batches.no_channels IS 'Whether it came by a key that makes no channels; null: no';

ALTER TABLE session_members ADD COLUMN no_channels boolean NOT NULL DEFAULT false;
COMMENT ON COLUMN session_members.no_channels IS 'Whether all of its records came by keys that make no channels';
