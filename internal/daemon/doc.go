// Package daemon puts the parts of telemetryd together: database pool, store,
// accounts, live hub, function and REST endpoints, and the work that goes on in
// the background. The serve command and the end-to-end tests start the same one.
//
//	Start: listen, with 503 ─▶ database ─▶ pools ─▶ assemble (store, hub, accounts, stream, functions, api) ─▶ begin
//	Stop:  sockets ─▶ requests ─▶ background work ─▶ hub ─▶ pools
//
// What runs beside the requests is a service: it works until its context ends,
// and may drain first what it accepted. Services start in the order in which they
// need one another and stop in the reverse order, one after the other; Stop may be
// called twice. What one instance of several must do alone runs under a lease.
// Everything that Daemon exports is safe for concurrent use.
package daemon
