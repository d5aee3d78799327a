// Package signal counts what channels were: how often each value came, two channels
// against one another, and the mean of a third in each cell. It owns no table: it
// reads records, and keeps what was asked for lately in memory.
//
//	Request ─► versions of the runs ─► kept? ───────────────────────────────► Counted
//	                 │ no
//	                 ▼
//	       cost, a turn ─► lowest and highest value, from the rollups ─► edges of bins
//	                                                                          ▼
//	                    one pass over the records of each run, in one snapshot ─► Counted
//
// # Definitions
//
//   - Counts are of records, each once. A record that lacks one of the channels that
//     are counted by is missing, and in no bin: channels meet in the records that
//     carry both.
//   - Bins are equally wide between the edges that the answer has. A value on an edge
//     belongs to the bin above it, the highest edge to the last bin. Where the request
//     names no bounds they are the lowest and the highest value, and nothing is outside.
//   - What is made of rates is known in the order of the records only: they are read and
//     counted here, and not by the database.
//   - A mean is of the records of a cell that carry the channel, each once, however long
//     it stood for.
//
// A Reader is safe for concurrent use; what was counted is kept for whoever asks the same, and
// does not change. Values are in the channels' own units.
package signal
