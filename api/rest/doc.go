// Package rest is what REST routes are declared with, and what their handlers
// have in common: parameters and bodies are read, and answers written and
// described, as one Go type has it. Package api mounts them, behind the access
// rules; its doc.go says how one is added. Rooms of api that serve a subject of
// their own declare theirs with it, too.
//
//	JSON[params, answer] ─┐
//	Stream[params] ───────┼─▶ Route ─▶ api: router, description, access rules
//	options ──────────────┘
//
// A Route is made once and keeps nothing of what it serves, so it may be used any
// number of times at once; a Request belongs to one of them.
package rest
