// Package convexmove brings what a Convex deployment of the former backend
// holds into telemetryd: accounts with their password hashes, runs with all
// their records, notifications and dashboards.
//
//	convexdump.Dump ──▶ accounts ──▶ runs ──▶ notifications ──▶ live state ──▶ dashboards ──▶ Report
//	                       │          │            │                │             │
//	                       ▼          ▼            ▼                ▼             ▼
//	                      auth      ingest       timeseries       timeseries    dashboard
//
// The snapshot has the newest records in no useful order, over all runs. They
// are copied to a temporary file with an index (24 bytes a record, in memory),
// so that each run is one import.
//
// A move can be stopped at any moment and run again: every account, run and
// dashboard is stored in a transaction of its own, and what is stored is
// recognised. Running it twice adds nothing. A move belongs to one goroutine, and
// others may use the services meanwhile.
package convexmove
