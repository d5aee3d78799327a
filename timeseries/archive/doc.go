// Package archive owns sessions in the form of the function contract's archives:
// a list of parts and an overview, each a gzip file with a name that a browser
// can fetch without credentials.
//
//	ingest_batches: the oldest time that came since the last division
//	        │
//	        ▼
//	divide ──► archives, archive_parts: where each part of 3000 records begins,
//	        │                           and every 100th record's place in it
//	        ▼
//	List, Overview: signed names ─── a browser ───► File: the records, as JSON, gzip
//
// Nothing is moved or copied. A file's name says exactly which records it
// holds (which stretch of the session, and none of batches later than one
// named), so that it means the same for ever, and is signed, so that it cannot
// be made up. When records arrive, only the parts that they fall into get new
// names. Where parts begin is remembered in the database: finding it again
// after a batch looks at the parts that the batch touched only.
//
// Concurrency: Archives are safe for concurrent use, by any number of instances.
// A session is divided by one at a time, which a lock in the database sees to,
// and once for all who ask an instance meanwhile. As many files are made at once
// as there are processors.
//
// Units: times are microseconds since 1970 within names; figures have the units
// that their fields name.
package archive
