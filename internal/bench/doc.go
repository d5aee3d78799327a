// Package bench measures telemetryd beside plain PostgreSQL, in one run on one
// database, so that its figures are ratios and not promises about a machine.
//
//	Run ──▶ suite ──▶ scratch database ──┬─▶ Process: the daemon under test ──▶ table
//	                                     └─▶ psql, or SQL of the same rows ──┘
//
// It is a program of its own (cmd/telemetryd-bench); nothing of it is in the one
// that is shipped. Suites run one after the other, each on a fresh database and
// with a daemon of its own, which is a process so that its memory and time on the
// processor can be told from the bench's. Figures: records/s, ms, MiB.
package bench
