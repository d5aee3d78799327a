// Package runbook serves what people say of runs: which runs there are by their
// book, a figure by what the book says, notes, and what is left of a run's plan.
//
//	query ─▶ Filter ─▶ Store.Sessions, Store.Season ─▶ views
//	note ─▶ author, from the account ─▶ Store.Notes
//
// It keeps nothing, so everything may run any number of times at once. Who may do
// what is decided before a handler is called; external accounts are shown the runs
// of the window that the decision names. Days are those of the zone that the caller
// names, times ISO 8601 in UTC.
package runbook
