// Package realtime brings committed changes to those who watch.
//
// The Hub polls, once per tick and in one query, the versions of all watched
// topics (schema.Topic...), however many subscribers there are; nothing is
// polled while nobody watches. A local commit calls Wake and is seen at once,
// so the tick bounds only what other instances wrote. Versions are in the
// database: instances behind a load balancer need nothing else.
//
//	ingest ──commit──▶ sessions.batch, changes ◀──one query per tick── Hub ──▶ Sub (coalesced wake-up)
//	   └────────────────── Wake ────────────────────────────────────────▲
//
// Concurrency: Run owns the polling; all other methods may be called from any
// goroutine. A Sub belongs to its subscriber, but its methods are safe to call
// from several goroutines. The hub never blocks on a subscriber: a wake-up is
// a flag, and what changed is a set.
package realtime
