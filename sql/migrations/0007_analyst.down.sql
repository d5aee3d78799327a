DROP SCHEMA analytics CASCADE;
-- The role stays: other databases of the server may use it.
DO $$
BEGIN
    EXECUTE 'REVOKE ALL ON ALL TABLES IN SCHEMA public FROM telemetry_analyst';
EXCEPTION
    WHEN undefined_object THEN NULL;
END
$$;
