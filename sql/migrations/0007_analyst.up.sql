-- Who analyses the data in psql: reads the schema analytics and the telemetry
-- tables, and nothing of accounts, keys or dashboards.
CREATE SCHEMA analytics;
COMMENT ON SCHEMA analytics IS 'Stable views for analysts; see docs/sql.md';

-- A role belongs to the whole server: another database, or another instance at
-- this very moment, may have made it.
DO $$
BEGIN
    CREATE ROLE telemetry_analyst LOGIN CONNECTION LIMIT 20;
EXCEPTION
    WHEN duplicate_object OR unique_violation THEN NULL;
    WHEN insufficient_privilege THEN
        RAISE WARNING 'the role telemetry_analyst is missing and may not be made: make it as a superuser, then migrate again';
END
$$;

DO $$
BEGIN
    IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = 'telemetry_analyst') THEN
        RETURN;
    END IF;
    ALTER ROLE telemetry_analyst SET default_transaction_read_only = on;
    ALTER ROLE telemetry_analyst SET statement_timeout = '60s';
    ALTER ROLE telemetry_analyst SET idle_in_transaction_session_timeout = '5min';
    ALTER ROLE telemetry_analyst SET search_path = analytics, public;
    ALTER ROLE telemetry_analyst SET timezone = 'UTC';
EXCEPTION
    -- Two databases that are migrated at once may meet on the same rows.
    WHEN insufficient_privilege OR internal_error THEN
        RAISE WARNING 'the settings of telemetry_analyst cannot be made: %', SQLERRM;
END
$$;
