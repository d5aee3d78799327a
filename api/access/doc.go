// Package access joins sessions and access rules: who may read what of which
// session, for REST, the function endpoints and the live stream alike. The rules
// themselves are auth's; what a session is, timeseries'.
//
//	auth.Principal ──┐
//	                 ├─▶ Session, Live.MayWatch ──▶ auth.Allow ──▶ auth.Decision, until when
//	session's id ────┘         │
//	                           ▼
//	             Store.Session: its first and newest record
//
// Everything here is safe for concurrent use and holds nothing: each call reads the
// session anew, so that every instance decides alike. Times are the database's.
package access
