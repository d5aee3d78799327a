// Package ingest is the way of records into the database: one for a batch, a
// stream and an import.
//
//	bytes ─► decode.Decoder ─► reader ─► block ─► Writer ──────────► telemetry
//	                           (a goroutine)      │ lock             COPY, binary
//	                                              │ recognise
//	                                              │ COPY ◄─ loaders: over several
//	                                              ▼ log       connections
//	                                          sessions, ingest_batches
//
// An upload is cut into chunks, which depend on its records alone: a chunk's
// records of one session are a batch, which is stored once however often it
// comes, since its digest stands in the commit log. All chunks of an upload are
// one transaction. Every chunk takes the same steps: lock the session's row,
// recognise the batch, COPY its rows, log it. The reader decodes while others
// copy. It hands out the first chunk in blocks, whose digest is known only when
// the last of them has been copied; a batch that turns out to be stored already
// is then rolled back to a savepoint.
//
// An import copies the chunks over several connections, the loaders. It appears
// whole or not at all like the others, since its records are loaded under the
// key of a hidden session that the upload's own transaction shows. What comes in
// order goes straight into the columnstore (package pack).
//
// Records of a session that lie more than 7 days apart are clusters (package
// cluster); small ones are strays, which are set aside (table set_aside) and come
// back when they grow.
// Which these are follows from all records that were sent, so it is settled with
// each batch that may change it, and with no other: one whose times lie within
// 7 days of all others of a session without strays. Repair puts back, as a batch
// of its own, what somebody knows the time of.
//
// A Writer is safe for concurrent use. Sessions are locked in the order of their
// ids within a chunk, so that uploads of one chunk do not wait for each other's
// sessions in a circle. Longer ones may, and any may while the hypertable gets a
// chunk: the database then ends one of them, which is begun again up to twice
// while its input is still held, and is Unavailable after that.
package ingest
