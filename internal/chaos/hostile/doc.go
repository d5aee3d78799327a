// Package hostile attacks one daemon at full force, in one way after the other,
// while a bridge posts a car's records at 20 Hz, and measures what that does to the
// bridge and to the daemon's memory.
//
//	bridge, 20 Hz ────────┐
//	an attack's clients ──┴─▶ telemetryd, as it comes ─▶ PostgreSQL of its own
//
// No insert of the bridge may fail, and the daemon's memory has a bound. How long
// inserts take is told, and not judged: it depends on the machine, whose processors
// the attackers use, too.
package hostile
