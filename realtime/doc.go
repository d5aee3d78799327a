// Package realtime brings committed changes to those who watch.
//
// The Hub polls, once per tick and in one query, the versions of all watched
// topics (schema.Topic...), however many subscribers there are; nothing is
// polled while nobody watches. A local commit calls Wake and is seen at once,
// so the tick bounds only what other instances wrote. Versions are in the
// database: instances behind a load balancer need nothing else.
//
// The Stream serves GET /api/v1/live, as a websocket or as server-sent events.
// When the hub says that a session moved, it reads the new records once,
// encodes them once for each set of fields and rate in use, and queues the
// result with every connection.
//
//	ingest ──commit──▶ sessions.batch, changes ◀──one query per tick── Hub ──▶ Sub (coalesced wake-up)
//	   └────────────────── Wake ────────────────────────────────────────▲       │
//	                                                                            ▼
//	client ◀── queue, bounded in bytes ◀── group (fields, rate) ◀── feed (session) ◀── one read per wake-up
//	   └─ fell behind, or was away: its own goroutine reads from the database until it has caught up ─┘
//
// A client's place is a cursor: a batch number of its session, and a place in
// that batch. Batches of a session become visible in order, so "after this
// cursor" is exactly what the client lacks.
//
// Concurrency: Hub.Run owns the polling and Stream.Run the reading for live
// clients; all other methods may be called from any goroutine. Neither ever
// waits for a client: a subscriber's wake-up is a flag and what changed a set;
// a connection's queue takes a message or drops the subscription to catching
// up. A connection has one goroutine that reads, and one that writes while
// there is something to write.
package realtime
