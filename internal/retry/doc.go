// Package retry spaces out attempts: pauses, and how they grow.
//
// Whoever tries something again, or looks at something now and then, pauses by it,
// so that every such loop ends with its context and none hammers a server that is
// coming back. A Backoff belongs to one goroutine; nothing else here has state.
package retry
