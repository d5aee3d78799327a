// Package httpx is the HTTP that REST, the function endpoints and the built-in
// page have in common: which origins may call, who calls, how long a body may
// be and take, how an answer is compressed, and how a failure is written.
//
//	request ── Protect ── Client ──┬─ CORS ── Credentials ── body: ReadJSON, Hold or Spooler
//	                               │                             │
//	                               │                          handler
//	                               │                             │
//	answer  <──────────────────────┴── Send (gzip, in pieces) or package problem
//
// A client that moves its body or its answer slower than 1 kB/s for 20 s ends its
// request, and so does one whose request takes 5 min in all, but for uploads,
// exports and streams (Unhurried). Sockets have rules of their own.
//
// It knows nothing of routes. Everything in it may be used by any number of
// requests at once; readers and writers belong to one request. Sizes are in
// bytes.
package httpx
