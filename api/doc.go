// Package api serves the REST routes under /api/v1 and the few public ones
// beside them, and mounts the endpoints of Convex clients.
//
//	request ─ httpx.Protect ─ NoteClient ─┬─ function endpoints (api/convex)
//	                                      │
//	                                      └─ gin ─ identify ─ recover ─ observe ─ CORS
//	                                                  │
//	   refuse unknown parameters ─ admit (package auth's rules) ─ read parameters and body
//	                                                  │
//	                                      handler ─ service ─ answer, or httpx.Fail
//
// What a caller may do is decided by package auth, what happened by the
// services; a handler translates between them and the wire. Everything here may
// run any number of times at once. Times on the wire are ISO 8601 in UTC, or
// milliseconds since 1970 where a member says so; every member's unit stands in
// the description.
//
// # Adding a route
//
// A route is declared once, and the description, the reference page, the check
// of parameters and the access table follow from that:
//
//  1. Write what it reads as a struct: parameters are fields with a query or
//     header tag (see openapi.Param), a JSON body is the field Body. A body's
//     member with omitempty may be left out.
//  2. Write what it answers as a struct with json tags. Its name, without
//     "View" or "Answer", is the component's name in the description; a member
//     without omitempty is always there, a pointer may be null. What a member
//     means is its doc tag or an entry of openapi's meanings.
//  3. Write the handler, func(*request, *params) (answer, error), and add a
//     rest.JSON to the list of its file; a handler that writes its answer itself
//     is a rest.Stream, which names what it writes with Returns or Answers. Name
//     with FailsWith the kinds of package fault that do not follow from the rest.
//  4. Add the route to the access table of access_test.go, and a call of it to
//     TestAnswersAreAsDescribed. Both fail without.
//
// An answer that the handler encodes itself, for speed, is described by a type
// that only mirrors it (package mirror); the test holds one against the other.
package api
