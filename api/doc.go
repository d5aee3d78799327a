// Package api serves the REST routes and mounts the Convex endpoints. Handlers
// read a request, call a service and write its answer; what a request may do is
// decided by package auth, and errors are written in one place.
package api
