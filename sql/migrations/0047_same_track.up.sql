-- A place that was found twice, since runs took it in ways that lie too far apart: each
-- line stays one by which runs know it.
ALTER TABLE tracks ADD COLUMN same_as integer REFERENCES tracks (track) ON DELETE CASCADE;
COMMENT ON COLUMN tracks.same_as IS 'The circuit that people made this one part of, whose name and gates its runs have: tracks.track; null where it is one of its own';
