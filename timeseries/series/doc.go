// Package series owns what charts show: metrics of runs at any zoom, by time,
// by elapsed time or by distance, and the track on the map.
//
//	Request: sessions, metrics, window, points
//	   │  round: the narrowest round width by which the window has so few buckets
//	   ▼
//	view: a session in one snapshot ──── rollup_progress, rollup_dirty: what the
//	   │                                 levels do not show yet; package column:
//	   │                                 what of it is in memory
//	   │  cover: which stretch of the window each level serves exactly
//	   ▼
//	[records | 10 s |        1 min         | 10 s | records ]   from memory, or one query
//	   │                                                        each, in one round trip
//	   ▼
//	buckets: min, max, sum and count added up in each ──► columns ──► Answer, JSON
//
// Where a window has no more records than points, they are answered themselves.
// In mode m4 a bucket is a pixel column with its first and last record, so that a
// line through it covers the same pixels as one through all records. Where package
// rollup keeps what begins and ends the buckets of a level, columns are whole buckets
// of that, and the rest is looked up.
//
// A channel that came in records has levels of its own (package tall), which may be
// behind where the others are not. One that no level has, since it is made of others
// or is one of very many, is read from the records at any zoom. A rate depends on the
// record before, so that package walk goes over the records in order, from a minute
// before the window on.
//
// Concurrency: a Reader is safe for concurrent use; an Answer is kept for whoever
// asks the same, and does not change. Each read is one read-only transaction on one
// connection, or one statement where memory has all that it needs, or
// none if the caller has just read the sessions' versions.
//
// Units: the x axis is in milliseconds since 1970 by time, in seconds by elapsed
// time and in metres by distance; values are in the channels' own units.
package series
