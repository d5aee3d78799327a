-- A value of a sensor for calculations. PostgreSQL refuses a product that is nearer
-- to 0 than it can write: one such record would stop what is worked out of a run.
CREATE FUNCTION measured(x double precision) RETURNS double precision
LANGUAGE sql IMMUTABLE PARALLEL SAFE
RETURN CASE WHEN abs(x) < 1e-100 THEN 0 ELSE x END;
COMMENT ON FUNCTION measured(double precision) IS 'The value; 0 where it is nearer to 0 than 1e-100, which nothing measures';
