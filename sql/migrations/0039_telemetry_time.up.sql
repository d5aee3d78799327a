-- What follows the records asks for a stretch of time of all sessions, every few
-- seconds while a car drives. By (session, time) that goes over the whole index of
-- the day's chunk: 60 ms behind 800,000 records, and more with every hour. Records
-- lie nearly in order of time, so a summary of blocks finds them, and costs
-- inserts nothing. The refresher summarises the blocks that are new.
CREATE INDEX telemetry_time ON telemetry USING brin (time) WITH (pages_per_range = 32);
