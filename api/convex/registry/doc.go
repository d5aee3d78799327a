// Package registry knows the functions that clients call by name: what each is
// called, the arguments that it takes, who may call it, and how it is run.
//
//	"sessions.js:list", {"token":…}
//	      │ ParseName, Lookup        by name and kind
//	      ▼
//	   Prepare                       arguments checked by the function's validator
//	      ▼
//	   Run                           caller resolved, access rule, Function.Run
//	      ▼
//	   result or *Failure            what the caller may see of an error
//
// The transports, package http and package sync, do the rest. A query says with
// Call.Watch what it read, so that a transport that stays connected can run it
// again.
//
// Fill a Registry before it serves; from then on it is only read, and may be
// used concurrently.
package registry
