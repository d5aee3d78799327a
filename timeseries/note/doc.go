// Package note is what is noted of runs: on a moment, a stretch, a place or the
// whole run. It owns the table notes, which people write, and the function
// analytics.notes, which adds what the server knows by itself: stops, gaps, steps
// of the clock, records set aside, outliers and the messages to the driver. Those
// are worked out from the records as they are, so that none of them outlives its
// cause; they are kept for the version of the run that they are of. So is which records
// say that they are made up.
//
//	people ─▶ Add, Change, Delete ─▶ notes ──┐
//	                                         ├─▶ analytics.notes ─▶ psql, All
//	records, analysis, summaries, messages ──┘
//
// Who follows a run that gets other times takes its notes along (package ingest).
// Everything is safe for concurrent use; who watches a run is told of each change.
// Times are UTC, positions degrees in WGS84.
package note
