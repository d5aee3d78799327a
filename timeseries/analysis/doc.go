// Package analysis works out from the records of a run how far it went and how
// much it took, which of its positions are fixes, and when it passed its start
// line. It owns the tables analysis_parts, analysis_runs, analysis_laps and analysis_sectors, and
// the functions of schema analytics that read them.
//
// # Definitions
//
//   - A fix (see package fix) is a position that is finite, |latitude| <= 90,
//     |longitude| <= 180, not within 1 km of 0,0, and not more than 100 m/s from
//     the last accepted one; five new ones in a row that agree start anew. It is
//     the one definition for laps, track, summary and page.
//   - Distance is the sum of speed × time, in m; energy the sum of power × time,
//     in J, from which regeneration subtracts. A step counts with the mean of
//     both ends, and not at all if it is a gap: longer than 2 s and than five
//     times the usual step of the records that carry the channel, which is the
//     median of its first 500 records. Speed is
//     speed_ms, else avg_speed_kmh / 3.6; power is power_w, else
//     voltage_v × current_a. Efficiency is one over the other, in km/kWh.
//   - The car's own counters (distance_m, route_distance_km, energy_j,
//     cumulative_energy_kwh) stand beside, where they differ by more than 1 %,
//     with the reason. In a run that has no speed, or no power, at all they are
//     what there is.
//   - A run whose positions show no laps has those that the car counts itself.
//   - A pause is 10 s or more below 0.5 m/s, or a silence of 10 s or more that
//     began or ended so, or one of a minute. A lap with a pause has no rank.
//
// The figures of the function contract (sessions:listSessions, archives) have
// rules of their own and are no business of this package.
//
// # The way of the data
//
//	records ─► Reducer ─► bins and spots of half a second ─► analysis_parts
//	            │  sums, counters, Fixes                            │
//	            │                                                   ▼
//	            │                          draw: a gate that the run came back to,
//	            │                          the mean line of its laps
//	            │                                                   │
//	            │                          follower: place along the line,
//	            │                          from fixes and odometer  │ 4 rounds
//	            ▼                                                   ▼
//	      analysis_runs                    crossings ─► analysis_laps ─► analytics.laps
//	                                           ▲        analysis_sectors ─► analytics.sectors
//	                                           │
//	                             package track: gates, and the finish
//
// A receiver is off by 2 m; at 5 Hz that alone is worth 0.45 s a lap. So the
// place of the car is fused: the odometer tells how far it came between two
// fixes, far better than they do, and all fixes around a moment tell where that
// was. What a lap's time depends on is the place along the way only, so it is
// enough to know each fix's place along a line that all laps share; errors of
// the line are the same in every lap and cancel out.
//
// # Why in Go, and stored
//
// The filter is stateful in both directions and adapts to the run, which SQL
// expresses badly and slowly. Stored results are what psql, REST and the page
// have in common, so that they agree, on both editions of TimescaleDB. A part
// keeps what was known when its minute began: records that come late, or are
// added while the car drives, cost the minutes from the oldest of them on, and
// what follows is the same as if all had come at once.
//
// The daemon keeps all runs up to date ([Analysis.Refresh], one instance at a
// time, under a lease), whether anybody opened them or not; who reads one
// through REST waits until it is. A run that grows is worked out anew after 5 s,
// and no sooner than 20 times what that took, so that it never costs more than a
// twentieth of a core. Its rows go one after the other under a row lock by name,
// so any number of instances may be asked at once.
package analysis
