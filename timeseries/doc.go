// Package timeseries is the telemetry store: the face that the rest of the
// service uses. It owns sessions, live state, notifications, summaries and the
// reading of records; a Store holds the rooms below, whose types callers use
// directly. No room knows the Store.
//
//	          channel: what can be measured
//	             ▲
//	          record: one record, and its row as COPY, JSON and CSV
//	             ▲
//	bytes ──► decode ──► ingest ──► telemetry, sessions, ingest_batches
//	                                   │
//	      ┌──────────┬─────────┬───────┴──┬───────────┐
//	      ▼          ▼         ▼          ▼           ▼
//	    rollup     delta    archive    analysis     Store
//	    levels     what     files of   laps,        records,
//	      │        came     a session  distance     summaries
//	      ▼        since a  for a      and energy
//	    series     position browser
//	    charts, maps
//
// Concurrency: a Store and its rooms are safe for concurrent use, by any number
// of instances on one database. What must be done by one of them (refreshing
// rollups, removing deleted sessions) is done by who holds a lease.
//
// Units: times are UTC with microseconds; values are in the units of package
// channel.
package timeseries
