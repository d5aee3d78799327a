package api

import "github.com/ecovolt/telemetryd/api/rest"

// What routes are made of.
type (
	route   = rest.Route
	request = rest.Request
	none    = rest.None
)
