// Package channel is the list of what a car can measure: each channel's name,
// type, unit and meaning.
//
// It owns the names, which are the members of records as JSON and the columns
// of the table telemetry. COPY, validation, rollups, the API's description and
// the columns' comments all derive from it. Units are written as they stand in
// charts: SI where the function contract has no unit of its own.
//
// The list is constant, so that all of it is safe for concurrent use.
package channel
