// Package load keeps uploads ahead of everything that can wait, and callers from
// keeping one another waiting.
//
// The rule: records come in first, and what is scarce goes round by caller. A
// Queue shares places, one for each caller in turn: an account, a key, or the
// network of whoever has neither (WithCaller). The connections to the database
// are such places, see package database. A Budget does the same for bytes that are
// held for long, Seats for connections that stay open. A Gate bounds how many uploads are stored at once, and how much
// memory they take. InFlight counts those that are being stored; whatever runs
// beside them asks it before it takes the machine:
//
//	upload ──► Gate.Enter ──► InFlight.Begin ──► COPY ──► end ──► leave
//	                                │
//	        atOnce, Busy ◄──────────┴──────────► Rest, Yield
//	        fan-out: half of its writers,        rollups, analysis: Yield
//	        and a Rest after each round          before what can wait
//
// Everything here is safe for concurrent use and knows this process alone: the
// uploads that other instances store are at work on other machines, except for
// the database's part.
package load
