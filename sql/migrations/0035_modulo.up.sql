-- x % y of math channels: what is left of x, with its sign, where y was taken from it as
-- often as it goes in. It is exact, as C's fmod is, and NULL where y is 0, or goes into x
-- 2^53 times or more: nobody knows then how often.
--
-- The second case covers whole divisors, which are the usual ones. In the loop s is y
-- times a power of two; what is subtracted is at least half of what there is, so that
-- no difference is rounded.
CREATE FUNCTION math_modulo(x float8, y float8) RETURNS float8
    LANGUAGE plpgsql IMMUTABLE STRICT PARALLEL SAFE AS $$
DECLARE
    r float8 := abs(x);
    d float8 := abs(y);
    s float8 := d;
BEGIN
    IF r < d THEN
        RETURN x;
    ELSIF r < 2::float8 ^ 53 AND d >= 1 AND d = trunc(d) THEN
        RETURN (trunc(x)::bigint % d::bigint)::float8 + (x - trunc(x));
    ELSIF d = 0 OR (CASE WHEN d > 1 THEN r * 2::float8 ^ -53 >= d ELSE r >= d * 2::float8 ^ 53 END) THEN
        RETURN NULL;
    END IF;
    WHILE s <= r / 2 LOOP
        s := s * 2;
    END LOOP;
    WHILE r >= d LOOP
        IF r >= s THEN
            r := r - s;
        END IF;
        s := s / 2;
    END LOOP;
    IF r < 2::float8 ^ -1022 THEN
        RETURN 0;
    END IF;
    RETURN CASE WHEN x < 0 THEN - r ELSE r END;
END $$;
