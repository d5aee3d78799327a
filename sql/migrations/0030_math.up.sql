-- What the operators of math channels come to where those of SQL would raise an
-- error: NULL where there is no finite value, and 0 for what is nearer to zero
-- than the least normal number, 2^-1022. An error in one record would stop the
-- refresh of a level for good.
--
-- The operands are of that kind themselves: finite, and normal or 0. Each product
-- and quotient of scaled operands is there to see whether the true one is within
-- reach; a double is scaled by a power of two without loss.

CREATE FUNCTION math_value(x float8) RETURNS float8
    LANGUAGE plpgsql IMMUTABLE STRICT PARALLEL SAFE AS $$
BEGIN
    RETURN CASE
        WHEN abs(x) < 2::float8 ^ -1022 THEN 0
        WHEN abs(x) < float8 'Infinity' THEN x -- NaN is greater
    END;
END $$;

CREATE FUNCTION math_add(x float8, y float8) RETURNS float8
    LANGUAGE plpgsql IMMUTABLE STRICT PARALLEL SAFE AS $$
BEGIN
    RETURN CASE
        WHEN abs(x / 2 + y / 2) >= 2::float8 ^ 1023 THEN NULL
        WHEN abs(x + y) < 2::float8 ^ -1022 THEN 0
        ELSE x + y
    END;
END $$;

CREATE FUNCTION math_multiply(x float8, y float8) RETURNS float8
    LANGUAGE plpgsql IMMUTABLE STRICT PARALLEL SAFE AS $$
BEGIN
    RETURN CASE
        WHEN x = 0 OR y = 0 THEN 0
        WHEN abs(x) >= 1 AND abs(y) >= 1 THEN
            CASE WHEN abs((x * 2::float8 ^ -512) * (y * 2::float8 ^ -512)) < 1 THEN x * y END
        WHEN abs(x) < 1 AND abs(y) < 1 THEN
            CASE WHEN abs((x * 2::float8 ^ 512) * (y * 2::float8 ^ 512)) < 1 THEN 0
                 WHEN abs(x * y) < 2::float8 ^ -1022 THEN 0
                 ELSE x * y END
        ELSE x * y
    END;
END $$;

CREATE FUNCTION math_divide(x float8, y float8) RETURNS float8
    LANGUAGE plpgsql IMMUTABLE STRICT PARALLEL SAFE AS $$
BEGIN
    RETURN CASE
        WHEN y = 0 THEN NULL
        WHEN x = 0 THEN 0
        WHEN abs(x) >= 1 AND abs(y) < 1 THEN
            CASE WHEN abs((x * 2::float8 ^ -512) / (y * 2::float8 ^ 512)) < 1 THEN x / y END
        WHEN abs(x) < 1 AND abs(y) >= 1 AND abs((x * 2::float8 ^ 512) / (y * 2::float8 ^ -512)) < 1 THEN 0
        WHEN abs(x / y) < 2::float8 ^ -1022 THEN 0
        ELSE x / y
    END;
END $$;

-- The bounds of the next two are those of timeseries/expression, so that both
-- sides are NULL, and 0, for the same operands.

CREATE FUNCTION math_exp(x float8) RETURNS float8
    LANGUAGE plpgsql IMMUTABLE STRICT PARALLEL SAFE AS $$
BEGIN
    RETURN CASE
        WHEN x > 709.78 THEN NULL
        WHEN x < -708.39 THEN 0
        ELSE exp(x)
    END;
END $$;

CREATE FUNCTION math_power(x float8, y float8) RETURNS float8
    LANGUAGE plpgsql IMMUTABLE STRICT PARALLEL SAFE AS $$
BEGIN
    RETURN CASE
        WHEN abs(y) > 1e6 OR x = 0 AND y < 0 OR x < 0 AND y <> trunc(y) THEN NULL
        WHEN x = 0 THEN CASE WHEN y = 0 THEN 1 ELSE 0 END
        WHEN abs(y) < 1e-300 THEN 1
        WHEN y * ln(abs(x)) > 709.78 THEN NULL
        WHEN y * ln(abs(x)) < -708.39 THEN 0
        ELSE power(x, y)
    END;
END $$;

COMMENT ON FUNCTION math_value IS 'The value of a channel in a math channel';
COMMENT ON FUNCTION math_add IS 'x + y in a math channel, without errors';
COMMENT ON FUNCTION math_multiply IS 'x * y in a math channel, without errors';
COMMENT ON FUNCTION math_divide IS 'x / y in a math channel, without errors';
COMMENT ON FUNCTION math_exp IS 'exp(x) in a math channel, without errors';
COMMENT ON FUNCTION math_power IS 'x ^ y in a math channel, without errors';
