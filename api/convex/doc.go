// Package convex serves named functions the way Convex clients call them: over
// the HTTP endpoints and over the sync websocket, so that the bridge, the
// importer, the dashboards and the official npm client work unmodified.
//
// A Function is registered once, by name, with its kind, the validator of its
// arguments and what it does. The Server finds it, resolves who calls, checks
// the arguments, runs it and encodes what it returns. A query says with
// Call.Watch what it read; over the websocket it is run again when that
// changes, once for all the sockets that asked the same.
package convex
