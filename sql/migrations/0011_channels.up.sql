-- What a run has, and how often: so that a chart tells a silence from a channel
-- that is sent seldom.
ALTER TABLE session_summaries
    ADD COLUMN step_s   double precision,
    ADD COLUMN channels jsonb;
COMMENT ON COLUMN session_summaries.step_s IS 'Median step between records, repeated timestamps left out, s; of a sample in a long run';
COMMENT ON COLUMN session_summaries.channels IS 'By name, the channels that records carry and that can be charted: records (count), step_s (median step between those, s), gap_s (a longer silence is a gap, s)';
