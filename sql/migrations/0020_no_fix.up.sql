-- How many records have no fix is analysis_runs.no_fix.
ALTER TABLE summary_parts DROP COLUMN no_fix;
ALTER TABLE session_summaries DROP COLUMN no_fix;
