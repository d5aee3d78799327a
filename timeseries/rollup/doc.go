// Package rollup owns the levels that charts are drawn from: one row per
// session and bucket of 1 s, 5 s, 10 s, 1 min and 10 min, with the lowest, the
// highest, the sum and the count of every charted field of the function contract,
// and the newest of the text states; and the records that begin and end the buckets
// of 1 s and 10 s.
//
//	records (telemetry)        ingest_batches, rollup_dirty:
//	        │                  which ranges changed
//	        ▼                        ▼
//	┌────────────────────────────────────────────────┐
//	│ Refresh, the finest level first                │
//	│   community: 1s ► 5s ► 10s ► 1m ► 10m          │ continuous aggregates
//	│   Apache:              10s ► 1m ► 10m          │ tables; the finer are views
//	└────────────────────────────────────────────────┘
//	        │                        │
//	        ▼                        ▼
//	Catalog: the table         rollup_progress: up to
//	behind each level          which batch of a session
//	        └─────────► series ◄─────┘
//
// The relations have the same names and columns on both editions of
// TimescaleDB. They, the analysts' views over them and the background policies
// are repeatable objects: made anew when the edition, the list of fields or the
// policies change, and never altered. Only the view of the records grows meanwhile,
// by a column for each channel that came in them.
//
// A reader asks the Catalog for the tables and rollup_progress for how far they
// follow a session's batches; what they lack it reads from the records. So the
// refresher may be late, and charts are exact all the same.
//
// Concurrency: Rollups are safe for concurrent use. Any number of instances may
// call Refresh and Apply at once; one works, the others leave or wait. A pass
// that is stopped half-way is done again, since progress is recorded last.
//
// A large pass, such as after an import, takes a second connection while no uploads
// come in: what is made of others waits for those, and the summaries' sums are made
// beside. What can wait gives it the machine (Yield).
//
// Units: buckets begin at whole multiples of their width since Origin, in UTC,
// as time_bucket has it; sums and counts are over records, not over time.
package rollup
