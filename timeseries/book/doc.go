// Package book is the run book: what people know of a run and no record tells.
// It owns the table run_book; a run's name, which stands in its own row, is
// changed together with it by the Store.
//
//	Change ─▶ Entry.With ─▶ bounds ─▶ Write, under the lock of the run's row ─▶ run_book
//	                                                                             │
//	Filter.Where, Of ◀── lists of runs ◀─────────────────────────────────────────┘
//	Group ◀── a figure of each run, by what the book says ◀── Store.Season
//
// Texts are kept as they are typed, in normal form C and without the space around
// them. A Change names only what it changes, so that two people who write
// different things are both right; one that names the revision it was made from
// is refused where somebody was quicker. A plan is numbers, of which 0 takes one out;
// what it means while the car drives is package pace's. Everything here is safe for concurrent
// use. Figures have the units of the figures that they are of.
package book
