// Package convexdump reads the snapshot that `npx convex export` writes: a ZIP
// with a folder for each table.
//
//	README.md
//	_tables/documents.jsonl          names and numbers of the tables
//	<table>/documents.jsonl          one JSON object a line, in order of _id
//	<table>/generated_schema.jsonl   a description, not needed to read
//	_storage/documents.jsonl         one line for each stored file
//	_storage/<id>.<extension>        the files; only with --include-file-storage
//	_components/<name>/...           the same again for each component
//
// Values are plain JSON: 64-bit integers are decimal strings and the special
// numbers are "NaN", "Infinity" and "-Infinity".
//
// A snapshot comes from elsewhere, so nothing in it is trusted: nothing is
// unpacked to the disk, and no line or file is read into memory without a bound.
package convexdump
