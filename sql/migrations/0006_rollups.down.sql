-- The rollups are continuous aggregates or plain views, by edition; the
-- coarser ones read the finer ones, so CASCADE takes them all.
DO $$
DECLARE
    relation text;
BEGIN
    FOREACH relation IN ARRAY ARRAY['telemetry_states_10m', 'telemetry_states_1m', 'telemetry_states_10s', 'telemetry_states_1s', 'telemetry_10m', 'telemetry_1m', 'telemetry_10s', 'telemetry_5s', 'telemetry_1s'] LOOP
        IF EXISTS (SELECT FROM timescaledb_information.continuous_aggregates WHERE view_name = relation AND view_schema = current_schema()) THEN
            EXECUTE format('DROP MATERIALIZED VIEW %I CASCADE', relation);
        ELSE
            EXECUTE format('DROP VIEW IF EXISTS %I CASCADE', relation);
        END IF;
    END LOOP;
END
$$;
DROP TABLE session_summaries, summary_parts, rollup_dirty, rollup_progress, repeatable_objects;
