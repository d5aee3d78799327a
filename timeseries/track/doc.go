// Package track knows the circuits that runs go round: it owns the table tracks.
//
//	analysis: the line of a run's laps ─► Recognise ─┬─ a track that leads along there ─► its gates on the run's line
//	                                                 └─ none: kept as a new one, with gates of its own
//	people ─► Edit ─► tracks.revision ─► what was worked out of runs with another one is worked out anew
//
// # Definitions
//
//   - A track is a closed line in the direction in which it is driven: the same
//     circuit the other way round is another one. A run is on it where its own line
//     keeps within 15 m of the track's for 92 % of the round, all along the track.
//   - Its first corner is where the run that found it began its laps. Places are m
//     from there along the line, by the speed of that run.
//   - Gates are where sectors begin, the first one at the finish: first the first
//     corner, and the middles of straights, or the crest or hollow of one that has
//     one. Until a person sets the finish, each run counts its laps from where it
//     began itself, so that none is lost; then all count from the finish.
//
// A track is found by a run of two laps, and its line gets better while that run
// drives on, until it is the mean of eight. It stays when the run is deleted. People
// may make one part of another: its line stays one by which runs are known, and they
// have name and gates of the other.
//
// Recognise works in the transaction of whoever works out a run, any number of them
// at once: a lock lets one of them add a track. Units: m, deg (WGS84).
package track
