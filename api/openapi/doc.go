// Package openapi writes what is said of the REST API: the OpenAPI 3.1
// description and the reference page. It owns the words (meanings.go) and the
// form of both; the routes and their types are package api's.
//
//	struct tags of parameters ─┐
//	types of bodies, answers  ─┼─ Operation ─┬─ Describe ─ JSON schemas ─ openapi.json
//	access rule, failures     ─┘             └─ Reference ─ page
//
// Nothing here keeps anything, so all of it may run any number of times at once.
// A unit stands in the text of the member that has it.
package openapi
