// Package functions defines the named functions of the team's clients, module
// by module: their arguments, who may call them and the shapes they answer
// with. What they do is in the services; the REST handlers call the same.
//
//	api/convex/http, api/convex/sync ── path, arguments ──▶ registry.Call
//	                                                            │
//	       what it watches, how long its answer holds ◀── function of a module
//	                                                            │
//	                                    timeseries, auth, dashboard ◀── access rules
//
// A function is a value without state, made by Register from the services; any
// number of calls run at once. Queries must read what they answer with, and name
// the topics that it depends on: the sync socket runs them again when one changes.
//
// Units are those of the contract: numbers are float64, times ISO 8601 texts or
// milliseconds since 1970 as each member says, values in the units of package
// channel.
package functions
