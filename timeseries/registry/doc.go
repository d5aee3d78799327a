// Package registry owns what channels there are: the tables channels,
// session_members and member_progress.
//
//	records ──► ingest ──► telemetry.numbers, extra   members without a column
//	                            │
//	                            ▼ Work, of whoever refreshes the rollups
//	                      session_members         what each run has of them
//	                            │ a new one
//	                            ▼
//	people ──► Put, Hide ──► channels ──► Set ──► series, records, the page
//
// A channel is a field of the function contract, a member that came in a record
// (seen), one that a person named before it came (declared), or one that is
// made of others (math). The first spelling of a member owns the name.
//
// What records bring is found where they lie, behind the batches that are
// committed, and never on their way in: ingest pays nothing for it, what was
// counted is noted in the transaction that counts it, and a process that is killed
// leaves nothing that the next pass does not find.
//
// Concurrency: a Registry is safe for concurrent use, by any number of instances;
// what one of them changes the others know within a tenth of a second. A Set does
// not change. Units: as in the channel's unit; times in UTC.
package registry
