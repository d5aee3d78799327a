// Package sync speaks the sync protocol of Convex clients: one websocket carries
// a client's subscriptions, mutations and actions, and every change of what it
// watches.
//
//	          reader                                    writer
//	client ─────────> session ── watch ──> live query     ▲
//	   ▲                │  ▲                 │ run         │ one at a time
//	   │                │  └──── notify ─────┤             │
//	   │                │                    └─ registry ─> services
//	   │                └─ mutation, action ──> registry   │
//	   └────────────────────── outbox <────────────────────┘
//
// A live query runs in a goroutine of its own, once for all sockets that asked
// the same, again when a topic that it read has changed (realtime.Hub), and when
// time alone changes its answer. A session is the state machine of one socket:
// it decides what to send and when, under its mutex, and does no input or output.
// Each socket has a reader, a writer, one goroutine for its mutations, which run
// in order, and up to 16 for its actions.
//
// A mutation runs once for its session and request (table convex_requests), and
// its answer comes before the transition that shows its effects. Timestamps are
// nanoseconds of the database's clock. What waits for a client that does not
// read is bounded in bytes; so are messages, sockets and queries.
package sync
