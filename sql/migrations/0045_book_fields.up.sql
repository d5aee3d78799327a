-- Lists of runs read every entry of the book: one that somebody wrote by hand must
-- not be in the way of all.
UPDATE run_book
SET fields = (SELECT coalesce(jsonb_object_agg(key, value), '{}') FROM jsonb_each_text(CASE jsonb_typeof(fields) WHEN 'object' THEN fields ELSE '{}' END) WHERE value IS NOT NULL)
WHERE jsonb_typeof(fields) <> 'object' OR jsonb_path_exists(fields, '$.* ? (@.type() != "string")');
ALTER TABLE run_book
    ADD CONSTRAINT run_book_fields CHECK (jsonb_typeof(fields) = 'object' AND NOT jsonb_path_exists(fields, '$.* ? (@.type() != "string")'));
