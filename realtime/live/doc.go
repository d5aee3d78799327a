// Package live serves GET /api/v1/live, as a websocket or as server-sent
// events. docs/live.md describes the protocol; package client speaks it.
//
// When the hub says that a session moved, the Stream reads the new records
// once, encodes them once for each set of fields and rate in use, and queues
// the result with every connection. From commit to socket:
//
//	commit ──▶ hub.Hub ──▶ Stream.deliver ──▶ Stream.read: one query for all sessions that moved
//	                          ▲                    │
//	      throttle: a rest ───┘                    ▼
//	      beside uploads                   sessionFeed.apply: encodes once for each group (fields, rate)
//	                                               │
//	                                               ▼
//	client ◀── writers.Pool ◀── conn: queue, bounded in bytes
//	   │                       ▲
//	   └─ fell behind, or      └── subscription.run: reads from the database until
//	      was away ───────────────▶ it has caught up with its sessionFeed
//
// A client's place is a cursor: a batch number of its session, and a place in
// that batch. Batches of a session become visible in order, so "after this
// cursor" is exactly what the client lacks. Bytes are counted as they are
// before compression; rates are records per second of measured time.
//
// Concurrency: Stream.Run owns the reading for live clients; all other methods
// may be called from any goroutine. Nobody waits for a client: a connection's
// queue takes a message, or drops the subscription to catching up. A
// connection has one goroutine that reads from it. Those that write belong to
// writers.Pool: as many as there are processors, each writing to one
// connection after the other; one that is stuck with a client is replaced.
//
// Locks are taken in this order, each of them optional: sessionFeed.opening,
// Stream.mu, sessionFeed.mu, conn.mu, writers.Pool.mu. The hub's lock may be
// taken under any of them.
package live
