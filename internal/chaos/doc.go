// Package chaos tries what a telemetryd may lose: three instances in front of one
// database, cars, importers, readers and viewers at work, and one fault after the
// other between and in them. In the end it counts.
//
//	bridges, importers ─┐           ┌─ half-open, cut, slow ─┐ ┌─ cut before or after a step
//	readers, viewers ───┴─▶ proxy ──┴▶ telemetryd ─▶ proxy ──┴─┴─▶ PostgreSQL
//	                                  └─ killed, stopped      ▲     └─ killed, full of connections, disk full
//	files ─────────────────────────▶ telemetryd import ───────┘
//	                                  └─ killed
//
// The steps of ingest and of a refresh are found in what is sent to the database,
// so that nothing of them is in the daemon.
//
// Nothing acknowledged may be missing or there twice, what was not acknowledged is
// there as a whole or not at all, each viewer has received each record once and in
// order, and the rollups say what the records say.
package chaos
