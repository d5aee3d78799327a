DROP TABLE archive_secret;
DROP TABLE archive_parts;
DROP TABLE archives;
