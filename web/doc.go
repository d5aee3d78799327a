// Package web is the built-in page: plain ES modules and uPlot, embedded.
//
// There is no build step. The files are served under a path that carries the
// hash of all of them, so browsers keep them until the binary changes; only
// the small index page is asked for each time. Compressed forms are made once,
// when first asked for, and kept: the files are few and do not change.
//
//	/runs/x, /compare, ...    ──▶ index.html, with the hash filled in: asked for each time
//	/assets/<hash>/main.js    ──▶ static/, vendor/: kept for a year
//
// The page asks the server's own REST and live stream only (docs/page.md says how
// its modules divide that); nothing in this package knows what they answer. The
// handler is safe for concurrent use.
package web
