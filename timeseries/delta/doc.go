// Package delta owns what changed: the versions that watchers poll, and the
// records of a session that came after a position.
//
//	                   hub: has a version changed? ──► Versions ◄── sessions, changes
//	                    │ yes
//	                    ▼
//	Want: session, position ──► pieces of the commit log ◄── ingest_batches
//	                                  │  those of all sessions that lie within
//	                                  │  a minute of each other are one query
//	                                  ▼
//	                            telemetry, by the chunks that hold these times
//	                                  │
//	                                  ▼
//	                            Delta: records encoded member by member, from
//	                            which each connection copies what it asked for
//
// A position counts batches and records in the order of arrival, never the
// records' own times: a record that comes hours late is new all the same.
//
// Concurrency: a Reader is safe for concurrent use. A Delta is not changed after
// it was returned, so that any number of goroutines may read it.
package delta
