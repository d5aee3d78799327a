// Package demo fills a daemon for a first look at it: an administrator to sign
// in as, finished runs, and a car that drives on. It goes through the same
// doors as a team's own accounts, imports and bridges.
//
// Start makes the former and returns; the car drives in a goroutine until the
// context ends, and sends over HTTP with a deploy key that only the demo has.
// Another start finds the runs and the account that the last one made.
package demo
