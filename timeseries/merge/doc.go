// Package merge makes one run of what the radio sent and what the car's own
// logger kept.
//
//	logger's file ─► decode ─► merge_file (temporary)
//	                               │ times and some channels
//	stored records ────────────────┤
//	                               ▼
//	                     offset of the two clocks      offset.go: correlation
//	                               │
//	                               ▼
//	                     pairs: records in both        pairs.go
//	                      │                   │
//	     in both: fill what is NULL      not in both: new records
//	     (merge_fills notes the cells)   of the merge's own batch
//	                      └─────────┬─────────┘
//	                                ▼
//	            sessions, ingest_batches (source merge), merges
//
// A record that both have stays one row. The logger's further channels could
// stand in rows of their own, and then every count, chart, sum over time and
// export would have to know which rows are halves; or in a table beside, which
// continuous aggregates cannot join. So they are filled into the radio's row,
// into cells that are NULL: what the radio sent is never changed, the row keeps
// its place (time, batch, ord) and so its id, and every reader is right without
// knowing of merges. It costs an UPDATE, of columnstore chunks too, once after
// the drive, and a log of the cells, by which undo makes them NULL again. Then
// an export is what it was, byte for byte.
//
// What only the logger has becomes records of a batch with the source merge, at
// the logger's time moved by the offset. They have "logger" for data_source
// unless the file says something else. A counter of the logger's that does not
// agree with the radio's in the records that both have (another zero) is left
// out of new records, where it would make the run's counter jump to and fro.
//
// Only the largest cluster of the file (package cluster) is merged, and of it
// what the offset puts at a time that can be right. All else is set aside, as on
// any way in, with the time that the file has, and the report names it. It does not
// come back by itself, since its clock is not the run's.
//
// Live feeds cannot tell a changed record by its batch: a merge has them begin
// anew, as a repair has (sessions.rewritten). Levels, summaries and laps follow
// by the batch's times in the commit log.
//
// What is to be done is found out without a lock, and a dry run takes none. A
// merge locks the session's row to write, if the run's newest batch is still the
// one that the file was laid over; uploads to that session wait until its commit.
// A Merger is safe for concurrent use.
// Times are microseconds since 1970, offsets are added to the logger's times.
package merge
