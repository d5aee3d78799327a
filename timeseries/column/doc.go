// Package column owns what is held in memory of runs, so that a chart, or laps over one
// another, of what was looked at before need no query of records or levels.
//
//	chart ──► Rows: all blocks held? ──yes──► times and values, frame by frame
//	               │ no
//	               ├──────► the database answers
//	               ▼
//	          load: the block, in the background, then the rest of the run,
//	                nearest first, for half of the memory at most
//
// A block is one column of a table, the records or a level of the rollups, in a range of
// time of about 30,000 rows: the times, or what an expression is. Its frames of 1024 rows
// are packed in as few bits as their numbers need: decimals as whole numbers, where those
// come back bit for bit, times as what they are off an even step. A channel of one decimal
// at 50 Hz takes about 4 MB of a race of 24 h. Blocks lie where Go's collector does not
// look. Those that nobody read for the longest time make room for others.
//
// What is held is never believed by itself: whoever reads says how a snapshot of the
// database shows the run (State). A block holds as long as no batch touched its range
// since it was read and nothing was taken out of the run (sessions.rewritten); a channel
// that is edited is another expression. A snapshot that is older than a block does not
// see it. So any number of instances may have a Memory each. Of a level, a range of which
// it lacks something is not held. What a retention policy drops is forgotten within a
// minute.
//
// Concurrency: a Memory is safe for concurrent use, by one lock that is held for no
// query and no unpacking; one goroutine loads, while there is something to load, on one
// connection of the pool. Rows are for one goroutine, and keep their blocks until they
// are released. Units: µs since 1970; values as the expressions have them.
package column
