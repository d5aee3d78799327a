-- Circuits, found in runs and edited by people; what was worked out of a run says of
-- which state of its track that is.
CREATE TABLE tracks (
    track      integer GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    name       text    NOT NULL DEFAULT '',
    length_m   double precision NOT NULL,
    latitude   double precision[] NOT NULL,
    longitude  double precision[] NOT NULL,
    altitude_m double precision[],
    south      double precision NOT NULL,
    north      double precision NOT NULL,
    gates_m    double precision[] NOT NULL,
    gate_names text[]  NOT NULL,
    finish_set boolean NOT NULL DEFAULT false,
    edited     boolean NOT NULL DEFAULT false,
    laps       integer NOT NULL,
    found_by   integer,
    revision   integer NOT NULL DEFAULT 1,
    created_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    updated_at timestamptz NOT NULL DEFAULT clock_timestamp()
);
CREATE UNIQUE INDEX tracks_found_by ON tracks (found_by);
CREATE INDEX tracks_created_at ON tracks (created_at);
COMMENT ON TABLE tracks IS 'Circuits that runs go round, in the direction in which they do; analytics.tracks shows them';
COMMENT ON COLUMN tracks.track IS 'Key';
COMMENT ON COLUMN tracks.name IS 'What people call it; empty: Track and its key';
COMMENT ON COLUMN tracks.length_m IS 'Length by the speed of the run that found it, m';
COMMENT ON COLUMN tracks.latitude IS 'Corners of the closed line, at equal lengths, deg';
COMMENT ON COLUMN tracks.longitude IS 'Corners of the closed line, deg';
COMMENT ON COLUMN tracks.altitude_m IS 'Altitude of the corners, m; null where the run that found it had none';
COMMENT ON COLUMN tracks.south IS 'Lowest of latitude, deg';
COMMENT ON COLUMN tracks.north IS 'Highest of latitude, deg';
COMMENT ON COLUMN tracks.gates_m IS 'Where sectors begin, m along the line; the first is the finish';
COMMENT ON COLUMN tracks.gate_names IS 'What people call the sectors; empty: Sector and its number';
COMMENT ON COLUMN tracks.finish_set IS 'Whether a person set the finish: runs count their laps from there, and not from where they began';
COMMENT ON COLUMN tracks.edited IS 'Whether a person set gates';
COMMENT ON COLUMN tracks.laps IS 'Of how many laps the line is the mean, count';
COMMENT ON COLUMN tracks.found_by IS 'The run that found it, which may be gone: sessions.session';
COMMENT ON COLUMN tracks.revision IS 'Grows with each change of line, gates or finish: what was worked out with another one is done anew';
COMMENT ON COLUMN tracks.created_at IS 'When it was found, server time';
COMMENT ON COLUMN tracks.updated_at IS 'When a person changed it last, server time';

ALTER TABLE analysis_runs
    ADD COLUMN track          integer,
    ADD COLUMN track_revision integer NOT NULL DEFAULT 0;
COMMENT ON COLUMN analysis_runs.track IS 'The circuit that the run goes round: tracks.track; null where it is none that is known';
COMMENT ON COLUMN analysis_runs.track_revision IS 'tracks.revision that the laps are of';
