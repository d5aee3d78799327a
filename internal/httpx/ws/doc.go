// Package ws is the websocket transport under the live stream and the sync
// protocol of the function contract: who may connect, how messages are bounded,
// when a silent client is gone, and why a connection ends.
//
//	GET, Upgrade ── Origin ──▶ Conn ── Next ──▶ messages, bounded in bytes
//	                            ▲ │
//	Queue, bounded in bytes ────┘ └── Close: code, reason; Drain
//
// Concurrency: one goroutine reads from a Conn (Next, Drain) and one writes
// (Write, WritePrepared); Ping and Say may be called by any. A Queue belongs to
// whoever holds the caller's lock. An idle Conn holds no write buffer. Sizes are
// in bytes.
//
// # Close codes
//
// What a client does when a connection ends follows from the range of the code:
//
//	1000               it was agreed on: nothing
//	1001, 1011 to 1014 the server: reconnect, with a growing pause
//	1002 to 1010       the client broke the protocol: mend it
//	4400 to 4407       the client was refused, as by the HTTP status of the code
//	                   less 4000: the next attempt would be, too
//	4408 to 4499       it was too slow, too silent or too loud: reconnect, with a
//	                   growing pause
//	none (1006)        the link broke: reconnect, with a growing pause
package ws
