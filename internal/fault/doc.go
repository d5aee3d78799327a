// Package fault holds the one error type that every layer speaks, and the one
// table of what its kinds mean to clients.
//
// A service returns a *Error (or wraps one) and knows no wire; REST, the
// function endpoints and the live stream each write it in their own form:
//
//	service error ── Explain ──> *Error ── kinds ──┬─> status, Retry-After  REST (internal/httpx)
//	                                               ├─> status, code         function endpoints
//	                                               └─> code                 live stream
//
// Anything that is not a *Error is an internal failure, unless it is one of
// those that Explain knows: its text is logged and never shown.
package fault
