// Package record is one telemetry record: its values, its timestamp, its place
// in the session (Cursor), and its forms on the way in and out.
//
//	upload                 decode.Batch             database
//	JSON, CSV  ── decode ──▶ Values ── Layout.AppendCopy ──▶ COPY row
//	                                                          │ Selection.Columns
//	JSON   ◀── Row.AppendJSON ───────────┐                    ▼
//	CSV    ◀── Row.AppendCSV ────────────┴── Row.Read ◀── binary row
//	JSON   ◀── Encoded.AppendJSON ◀── Row.Encode ──┘          │
//	float64, int64, text ◀── Columns ◀────────────────────────┘ aggregates
//
// Selection says which members a reader wants; it names the columns of the
// query and what is written of them. Members without a column are in two of telemetry:
// Parter puts them there, numbers into an array by Places and the others into an object,
// and Row makes one object of both. Row writes whole records, and Encoded
// members that are put together for many readers with different selections. Walks
// know what is computed of a record and of those before it, and tell a Row.
//
// Times are microseconds since the Unix epoch, UTC, the resolution of
// PostgreSQL's timestamptz; only the binary form counts from 2000-01-01. The
// package knows channels and nothing else of the service: names that only one
// protocol has (WithID, Row.WithCreated) come from the caller.
//
// Selections are immutable and may be shared. A Row, Columns or Values belongs
// to one goroutine.
package record
