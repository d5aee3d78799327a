// Package convextest is a small application of named functions, for tests of the
// transports that serve them: a list of texts in the database, and knobs.
//
// A Notebook has a database of its test's own and may be used by any number of
// goroutines; only Until is set before anybody calls.
package convextest
