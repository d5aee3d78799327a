// Package protocol owns the live protocol, version 1: its messages, the check of
// what clients ask for, and the cursors that say where they are. Server and
// client of the live stream share it.
//
//	message or query of a URL ──► Parse, ParseQuery ──► Request, within all limits
//	delta.Position ◄──► cursor: opaque text, one for each position
//
// docs/live.md describes every message; a test holds the examples there against
// these types. Members may be added to messages within a version.
//
// Concurrency: there is no state. Units: seconds, records per second of measured
// time, and bytes of UTF-8.
package protocol
