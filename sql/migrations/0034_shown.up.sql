-- Math channels are columns of analytics.records, which are made anew when what they
-- are made of changes.
ALTER TABLE channels ADD COLUMN shown text;
COMMENT ON COLUMN channels.shown IS 'Digest of what the column of analytics.records is computed by, of a math channel; null: it has none';
