// Package compare lays laps over one another: where on the track was time lost,
// and where energy, in figures and in sentences made of them. It owns no table, and keeps
// in memory what the records of laps say of channels: it reads the places of laps from
// package analysis and channels from the records.
//
//	analysis_parts ─► analysis.Way ─► knots (time, place, way, energy) of each lap ─┐
//	                                                                               ▼
//	the first lap's line, or its length ─► axis ─► time and energy at each of its places
//	                                                                               ▼
//	records of each lap ──────────────────────────► channels at those times ─► Comparison
//
// # Definitions
//
//   - Axis: of by=position the line of the first lap's run from its start on, of
//     by=distance the first lap's odometer, both in m; of by=time the time since
//     each lap began, in s.
//   - A lap is laid on the line by its fixes and its odometer together. A lap of
//     another run of the same track may begin elsewhere on the line: from the axis'
//     begin on it then counts from where it passed that, and what it drove first
//     comes last, so that it is whole all the same. A lap that did not go along
//     the line, or has no fixes, is laid on by its odometer, scaled to the line;
//     so are all with by=distance.
//   - Differences are cumulative, against the first lap, positive for slower and
//     for more. At the end they are those of the laps' times and energies.
//   - A channel's value is linear between two records that carry it, and none
//     across a gap (channel.GapAfter). Whole numbers, states and other texts have
//     their newest value.
//
// A Reader is safe for concurrent use. Each lap costs two statements, one over
// analysis_parts and one over the records of its time, unless package column holds what
// is asked of those. Laps are laid on the axis by one goroutine each.
package compare
