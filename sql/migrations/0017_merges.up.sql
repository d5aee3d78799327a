-- What a car's own logger kept, merged into the run that the radio sent.
CREATE TABLE merges (
    session     integer          NOT NULL,
    batch       integer          NOT NULL,
    digest      bytea            NOT NULL,
    file        text             NOT NULL,
    shift_us    bigint           NOT NULL,
    correlation double precision,
    added       integer          NOT NULL,
    filled      integer          NOT NULL,
    report      jsonb            NOT NULL,
    merged_at   timestamptz      NOT NULL DEFAULT clock_timestamp(),
    undone_by   integer,
    PRIMARY KEY (session, batch)
);
COMMENT ON TABLE merges IS 'Loggers'' files that were merged into runs';
COMMENT ON COLUMN merges.session IS 'The run: sessions.session';
COMMENT ON COLUMN merges.batch IS 'The batch of the records that the merge added: ingest_batches.batch';
COMMENT ON COLUMN merges.digest IS 'SHA-256 over the file''s records; a file that comes again is answered, not merged';
COMMENT ON COLUMN merges.file IS 'Name of the file, or empty';
COMMENT ON COLUMN merges.shift_us IS 'What was added to the file''s times, µs';
COMMENT ON COLUMN merges.correlation IS 'How well the channels of both go together then, 0 to 1; NULL when nothing could be compared';
COMMENT ON COLUMN merges.added IS 'Records that were added, count';
COMMENT ON COLUMN merges.filled IS 'Records of other batches that got further values, count';
COMMENT ON COLUMN merges.report IS 'What whoever merged was told';
COMMENT ON COLUMN merges.merged_at IS 'Server time of the merge';
COMMENT ON COLUMN merges.undone_by IS 'The batch that undid it: ingest_batches.batch; NULL while it holds';

CREATE TABLE merge_fills (
    session  integer NOT NULL,
    batch    integer NOT NULL,
    of_batch integer NOT NULL,
    of_ord   integer NOT NULL,
    channels text[]  NOT NULL,
    members  text[]  NOT NULL,
    PRIMARY KEY (session, of_batch, of_ord, batch)
);
COMMENT ON TABLE merge_fills IS 'Values that a merge put into records of other batches, where they had none';
COMMENT ON COLUMN merge_fills.session IS 'The run: sessions.session';
COMMENT ON COLUMN merge_fills.batch IS 'The merge: merges.batch';
COMMENT ON COLUMN merge_fills.of_batch IS 'The record: telemetry.batch';
COMMENT ON COLUMN merge_fills.of_ord IS 'The record: telemetry.ord';
COMMENT ON COLUMN merge_fills.channels IS 'Columns that were NULL before';
COMMENT ON COLUMN merge_fills.members IS 'Members of extra that were not there before';
