// Package hub tells subscribers that something they watch has changed.
//
// A Hub polls, once per tick and in one query, the versions of all watched
// topics (schema.Topic...), however many subscribers there are; nothing is
// polled while nobody watches. A local commit calls WakeSessions and is seen at
// once, so the tick bounds only what other instances wrote. Versions are in the
// database: instances behind a load balancer need nothing else.
//
//	local commit ── WakeSessions ──┐
//	                               ▼
//	tick ─────────────────────▶ Hub.Run ── Source.Versions, one query ──▶ database
//	                               │
//	                               ▼ what changed
//	                             Sub.C ──▶ subscriber ── Sub.Changed ──▶ reads
//
// Concurrency: Run owns the polling; all other methods may be called from any
// goroutine. The hub never waits for a subscriber: a wake-up is a flag, and
// what changed a set. Its one lock is held for no call of anybody else, so it
// may be taken under any lock.
package hub
