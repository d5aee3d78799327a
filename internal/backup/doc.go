// Package backup copies a telemetryd database into a file and back, by pg_dump
// and pg_restore with the steps around them that TimescaleDB asks for: without
// them its catalog and a restored hypertable's chunks do not fit together.
//
//	Dump:     database ──▶ pg_dump ──▶ file, as of one moment
//	Restore:  pre_restore ──▶ file ──▶ pg_restore ──▶ post_restore ──▶ ANALYZE
//
// Dump runs beside everything that uses the database, Restore alone on an empty
// one. Both stream: neither holds the file in memory. Passwords reach the programs
// by their environment, since others can read command lines.
package backup
