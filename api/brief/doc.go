// Package brief makes one page of a run, to be read, printed and handed round: what
// the run book says, figures, best and worst laps and sectors, where the energy went,
// and what deserves attention, with links to that very part of the run.
//
//	summary, laps, notes, charts, track, as REST answers them ─▶ run ─▶ run.html
//
// It measures nothing: every figure is one of theirs, or a sum of theirs, turned into
// the units that the caller wants to see. The exact value stands in a data element
// behind the rounded one. The page has no scripts and loads nothing; whatever people
// or cars wrote is text in it. It keeps nothing, so everything may run any number of times at once.
package brief
