// Package repeat tells whether records are there already: one by one, as a drive,
// or as a file.
//
//	instants of an upload, and records at them ─► Repeat: likely at 95 %, of either
//	a new run ─ runs of the same time ─ Elsewhere ─┘
//	a record ─ Held ─► Rows of its time ─► Take: matched once
//	SHA-256 of a file ─► File
//
// It owns no table, and reads sessions, telemetry and imported_files on its
// caller's connection.
package repeat
