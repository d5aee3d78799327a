-- What was added up with one gap for all channels is worked out anew: those that
-- only some records carry were left out. The daemon does it run by run.
TRUNCATE analysis_parts, analysis_runs, analysis_laps;
