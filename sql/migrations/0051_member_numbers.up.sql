-- Numbers of members without a column as an array: to read them as JSON, and to compress
-- that, takes the database longer than all the rest of a record with hundreds of them.

CREATE TABLE member_places (
    place  integer PRIMARY KEY CHECK (place > 0),
    member text    NOT NULL UNIQUE
);
COMMENT ON TABLE member_places IS 'Where in telemetry.numbers the numbers of a member are. Never changed, and only added to';
COMMENT ON COLUMN member_places.place IS 'Subscript of the array, from 1';
COMMENT ON COLUMN member_places.member IS 'Name of the member, spelt as in records';

ALTER TABLE telemetry ADD COLUMN numbers bigint[];
-- In the row, and not compressed as long as two rows fit a page: each look at one number
-- would decompress all of them. No statistics of hundreds of numbers.
ALTER TABLE telemetry SET (toast_tuple_target = 4080);
ALTER TABLE telemetry ALTER COLUMN numbers SET STATISTICS 0;
COMMENT ON COLUMN telemetry.numbers IS
'Numbers and booleans of members without a column of their own, by member_places; read them with channel_number(numbers[place]), or all with record_members(numbers, extra)';
COMMENT ON COLUMN telemetry.extra IS
'Members of the record that have no column of their own, as received, but for what is in numbers';

-- What stands in the array: digits, five bits left, and how many of them are behind the
-- point; 31 of those says a boolean. Package record reads and writes it, too.
CREATE FUNCTION member_value(number bigint) RETURNS text
LANGUAGE sql IMMUTABLE PARALLEL SAFE
RETURN CASE WHEN number & 31 = 31 THEN (number >> 5 = 1)::text
            ELSE ((number >> 5)::numeric * ('{1,0.1,0.01,0.001,0.0001,0.00001,0.000001,0.0000001,0.00000001,0.000000001,0.0000000001,0.00000000001,0.000000000001,0.0000000000001,0.00000000000001,0.000000000000001,0.0000000000000001,0.00000000000000001,0.000000000000000001,0.0000000000000000001,0.00000000000000000001,0.000000000000000000001,0.0000000000000000000001,0.00000000000000000000001,0.000000000000000000000001,0.0000000000000000000000001,0.00000000000000000000000001,0.000000000000000000000000001,0.0000000000000000000000000001,0.00000000000000000000000000001,0.000000000000000000000000000001}'::numeric[])[1 + (number & 31)::integer])::text
       END;
COMMENT ON FUNCTION member_value(bigint) IS 'A number of telemetry.numbers as the record had it, as JSON';

-- The same value as channel_number of what the record had, since both parts are exact
-- in a float and the division rounds as it should; elsewhere the text is read.
CREATE FUNCTION channel_number(number bigint) RETURNS double precision
LANGUAGE sql IMMUTABLE PARALLEL SAFE
RETURN CASE WHEN number & 31 = 31 THEN (number >> 5)::double precision
            WHEN number & 31 <= 22 AND number >> 5 BETWEEN -9007199254740992 AND 9007199254740992
            THEN (number >> 5)::double precision / ('{1e0,1e1,1e2,1e3,1e4,1e5,1e6,1e7,1e8,1e9,1e10,1e11,1e12,1e13,1e14,1e15,1e16,1e17,1e18,1e19,1e20,1e21,1e22}'::double precision[])[1 + (number & 31)::integer]
            ELSE member_value(number)::double precision
       END;
COMMENT ON FUNCTION channel_number(bigint) IS 'A number of telemetry.numbers: true is 1, false 0';

-- Text that is read once takes a third of what jsonb_object_agg does.
CREATE FUNCTION record_members(numbers bigint[], extra jsonb) RETURNS jsonb
LANGUAGE sql STABLE PARALLEL SAFE
RETURN CASE WHEN numbers IS NULL THEN extra
            ELSE nullif(coalesce(extra, '{}') || coalesce((
                SELECT '{' || string_agg(to_json(p.member) || ':' || member_value(numbers[p.place]), ',') || '}'
                FROM member_places p
                WHERE p.place BETWEEN array_lower(numbers, 1) AND array_upper(numbers, 1) AND numbers[p.place] IS NOT NULL), '{}')::jsonb, '{}')
       END;
COMMENT ON FUNCTION record_members(bigint[], jsonb) IS
'The members of a record that have no column of their own, as received: of its columns numbers and extra';
