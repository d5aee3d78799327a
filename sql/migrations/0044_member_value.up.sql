-- The same of a member's value, for who has it: each look into a record of hundreds of
-- members decompresses all of it.
CREATE FUNCTION channel_number(value jsonb) RETURNS double precision
LANGUAGE sql IMMUTABLE PARALLEL SAFE
RETURN CASE jsonb_typeof(value)
    WHEN 'number' THEN
        CASE WHEN abs(value::numeric) BETWEEN 1e-300 AND 1e100 THEN value::double precision
             WHEN abs(value::numeric) < 1e-300 THEN 0
        END
    WHEN 'boolean' THEN value::boolean::integer
END;
COMMENT ON FUNCTION channel_number(jsonb) IS
'A member''s value as a number: true is 1, false 0; NULL when it is none, or over 1e100';
