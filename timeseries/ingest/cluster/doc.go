// Package cluster tells which records of a session are strays. Records more than
// 7 days apart belong to different clusters; a small one beside the others is odd,
// and its records are set aside (package ingest) until it grows.
//
//	table clusters, or the records by day ─ Held ─┐
//	times of a batch ───────────────────── Fresh ─┴─ Join ─ Judge ─ Write ─ table clusters
//
// It owns the table clusters, which has rows for sessions of several clusters
// only. Whoever calls holds the lock of the session's row. Times are µs since
// 1970.
package cluster
