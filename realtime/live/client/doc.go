// Package client follows the live stream of a server, as `telemetryd watch` and
// the bench do.
//
//	dial ──▶ subscribe, since the last cursor ──▶ messages ──▶ Follower.Message
//	  ▲                                                │
//	  └── a pause that grows, up to 5 s ◀── connection ended: Follower.Down
//
// A Follower belongs to one goroutine, that of Run, which calls its functions too.
// It holds one message at a time: a slow Message slows the server's side down,
// which then sends from the database what it had to drop. Nothing is kept across
// processes.
package client
