-- How an account likes the charts of runs arranged, under names. They go with the account.
CREATE TABLE chart_layouts (
    owner    text        NOT NULL REFERENCES users (id) ON DELETE CASCADE,
    name     text        NOT NULL,
    charts   jsonb       NOT NULL CHECK (jsonb_typeof(charts) = 'array'),
    saved_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    PRIMARY KEY (owner, name)
);
COMMENT ON TABLE chart_layouts IS 'Saved arrangements of charts; at most 32 per account';
COMMENT ON COLUMN chart_layouts.owner IS 'The account';
COMMENT ON COLUMN chart_layouts.name IS 'Name that its owner gave it';
COMMENT ON COLUMN chart_layouts.charts IS 'The charts in their order: [{"channels": [names], "size": low, usual or tall}]';
COMMENT ON COLUMN chart_layouts.saved_at IS 'Server time of the newest save';
