-- The run book: what people know of a run and no record tells.
CREATE TABLE run_book (
    session    integer     PRIMARY KEY,
    driver     text,
    car        text,
    setup      text,
    tyres      text,
    weather    text,
    tags       text[]      NOT NULL DEFAULT '{}',
    fields     jsonb       NOT NULL DEFAULT '{}',
    revision   integer     NOT NULL DEFAULT 1,
    changed_at timestamptz NOT NULL DEFAULT clock_timestamp()
);
COMMENT ON TABLE run_book IS 'What people say of runs; a run that nobody said anything of has no row';
COMMENT ON COLUMN run_book.session IS 'The run: sessions.session';
COMMENT ON COLUMN run_book.driver IS 'Who drove';
COMMENT ON COLUMN run_book.car IS 'Which car';
COMMENT ON COLUMN run_book.setup IS 'How the car was set up';
COMMENT ON COLUMN run_book.tyres IS 'Which tyres';
COMMENT ON COLUMN run_book.weather IS 'What the weather was like';
COMMENT ON COLUMN run_book.tags IS 'Words that the run can be found by';
COMMENT ON COLUMN run_book.fields IS 'Further texts, by the names that people gave them';
COMMENT ON COLUMN run_book.revision IS 'Changes so far, the name''s among them, count';
COMMENT ON COLUMN run_book.changed_at IS 'Server time of the newest change';
