// Package schema holds the database's definition and the few rules that every
// package writing to it shares. It is called schema, so that nobody has to rename
// database/sql.
//
//	Migrate ──▶ migrations/*.sql ──▶ ApplyRepeatables ──▶ repeatable/*.sql, and rollup's
//	              numbered, once       when they change      levels, views, policies
//
// Numbered migrations (golang-migrate) make tables, roles and functions. What
// depends on the TimescaleDB edition or on the list of channels is a repeatable
// object, applied after them.
//
// What writers share:
//   - Tx is how a change is written: it gives callers of any layer one place to
//     add a step to the same transaction.
//   - Touch is how a change is announced: a watcher polls the versions that it
//     bumps. It locks rows that writers share until the commit, so it comes last.
//   - Lock lets one transaction at a time into a section that has no row to lock.
//     Locks are taken before Touch, in the order of their names.
//   - Lease lets one instance at a time do a piece of work, for longer than a
//     transaction. Its holder may be wrong about it for a moment: Fence.Check,
//     inside a transaction, is not.
//
// What readers share: Snapshot is how several statements are read of one moment, with a
// bound on time.
//
// All functions are safe for concurrent use, by any number of instances. Times are
// the database's.
package schema
