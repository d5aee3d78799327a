// Package energy says where the energy of a run went: it fits what driving takes, by distance,
// drag, height and speeding up, to the run itself, and parts by that what the run, its laps and its
// sectors took. It owns no table and keeps the answers of late in memory, by when the run was
// worked out; it reads what package analysis keeps, half second by half second, and no records.
// Energy is J inside and Wh in answers. A Reader is safe for concurrent use; whoever asks has the analysis brought up to date.
//
// # The model
//
//	energy = rolling × distance + drag × ∫v² ds + climbing × Δheight + speeding_up × Δ(v²/2)
//
// of the electrical energy, in J: so each coefficient is the mechanical one over the efficiency from
// battery to wheel, which is taken to be the same at any load, and rolling has in it what electronics
// take by the second at the usual speed. Distance, energy and altitude are those of package
// analysis; v is the slope of the distance over 1.5 s to each side.
//
// It is fitted to intervals of 10 to 22 s in which the car drove at 2 m/s or more, over no gap, and gave
// nothing back (less than -3 W over 2.5 s, and 2 s to each side of that). Brakes that the power does not
// show are found as intervals that lie more than 4 standard deviations (by the median) off, which do
// not count.
//
// What a regression is on must not be noisy, or it seems to matter less than it does: a speed sensor that
// is off by 1 m/s would halve the drag. So each amount is measured twice, from records that the two have
// not in common, and one is the instrument of the other (two stage least squares, exactly identified).
// Standard errors are those of the sandwich, neighbours' errors included (Newey and West, one lag). They
// know of noise, not of what is wrong with the model.
//
// Climbing is left out where it is not told from nothing by two standard errors, drag where it comes out negative by
// as much, and any term that goes along with the others throughout. Rolling and drag are told apart by how speeds differ
// alone: where they are not, both stay in the fit, so that the others do not take their place, and are shown as one. There is no model of fewer than
// 8 intervals a term, of one whose resistance is not told from nothing, and of one that explains less than half of
// the variance.
//
// fit_test.go says how near the coefficients come to those of simulated cars.
//
// # What follows from it
//
//	energy = terms + standing + rest
//	score  = energy at an even speed in the same time / energy
//
// At a given time over a given distance an even speed has the least ∫v² ds; height and speeds at the ends
// are the same. So what misses of the score is what varying the speed cost, and the rest: brakes, and
// what the model does not know.
//
// A sector in which laps begin is two stretches, one at the lap's begin and one at its end: advice is of one of
// them, and passes in which the car stood, or stood within 10 s of, are no advice.
package energy
