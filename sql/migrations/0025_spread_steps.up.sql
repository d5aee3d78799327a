-- Steps of channels that not every record carries are spread over the records in
-- them. What was worked out before is worked out again.
TRUNCATE analysis_parts, analysis_runs, analysis_laps;
