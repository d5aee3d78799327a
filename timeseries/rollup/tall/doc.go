// Package tall owns the levels of channels that came in records and have no column:
// the tables level_members, member_levels and member_level_progress.
//
//	telemetry.extra ──► 10 s ──► 1 min ──► 10 min      a row for each member and bucket
//	     │                         │
//	     │ Levels, behind          ▼
//	     │ the rollups           Known, Behind, Relation ──► series
//	     ▼
//	level_members: the first 150 members of a run
//
// A level with a column for each channel, as the rollups are, holds its rows together
// and is read faster; but a new sensor would change a table that everybody waits for,
// and on the way to a thousand of them it would not hold them. What few channels need,
// and a chart reads few of, stands in rows.
//
// A member has levels from its first record on or not at all: which ones do is
// decided where they are first seen, and no later. So a reader that finds one in
// level_members finds all its records in the levels, up to the batch of
// member_level_progress; later batches it reads from the records.
//
// Package registry counts the members of the same records, and is told of them where
// both have come as far: to read them is most of the work.
//
// Concurrency: Levels is work of whoever refreshes the rollups, one instance at a time;
// it is done run by run in transactions of its own, so that one that is stopped half-way
// is found again. Units: as in the records; buckets begin as those of the rollups do.
package tall
