package http

import (
	"net/http"
	"net/url"
	"strings"
)

// endpoint is one of the routes.
type endpoint int

const (
	noEndpoint endpoint = iota
	queryEndpoint
	mutationEndpoint
	actionEndpoint
	functionEndpoint
	runEndpoint
	timestampEndpoint
	syncEndpoint
	versionEndpoint
	nameEndpoint
	debugEndpoint
)

// route finds the endpoint of a path, and the rest of the path for run. Empty
// segments count for nothing: a base URL with a trailing slash gives "//api".
// It must not redirect, which would break the upgrade of a websocket.
func route(path string) (endpoint, []string) {
	segments := strings.FieldsFunc(path, func(r rune) bool { return r == '/' })
	if len(segments) == 1 {
		switch segments[0] {
		case "version", "instance_version":
			return versionEndpoint, nil
		case "instance_name":
			return nameEndpoint, nil
		}
	}
	if len(segments) < 2 || segments[0] != "api" {
		return noEndpoint, nil
	}
	if segments[1] == "run" {
		return runEndpoint, segments[2:]
	}
	if len(segments) == 3 && segments[2] == "sync" {
		return syncEndpoint, segments[1:2]
	}
	if len(segments) != 2 {
		return noEndpoint, nil
	}
	switch segments[1] {
	case "query", "query_at_ts":
		return queryEndpoint, nil
	case "mutation":
		return mutationEndpoint, nil
	case "action":
		return actionEndpoint, nil
	case "function":
		return functionEndpoint, nil
	case "query_ts":
		return timestampEndpoint, nil
	case "sync":
		return syncEndpoint, nil
	case "debug_event":
		return debugEndpoint, nil
	}
	return noEndpoint, nil
}

// patterns name the endpoints in logs and metrics.
var patterns = [...]string{
	queryEndpoint: "/api/query", mutationEndpoint: "/api/mutation", actionEndpoint: "/api/action", functionEndpoint: "/api/function",
	runEndpoint: "/api/run/:function", timestampEndpoint: "/api/query_ts", syncEndpoint: "/api/:version/sync",
	versionEndpoint: "/version", nameEndpoint: "/instance_name", debugEndpoint: "/api/debug_event",
}

// Route names the endpoint that serves the request, whatever its number of
// slashes, or returns "" for a request that is not for this server.
func (h *Handler) Route(r *http.Request) string {
	e, _ := route(r.URL.EscapedPath())
	return patterns[e]
}

// runName turns the path behind /api/run into a function name. The last
// segment is the function; it may also hold the whole name, with its colon.
func runName(segments []string) (string, error) {
	parts := make([]string, len(segments))
	for i, segment := range segments {
		var err error
		if parts[i], err = url.PathUnescape(segment); err != nil {
			return "", badRequest("BadConvexFunctionIdentifier", err.Error())
		}
	}
	last := len(parts) - 1
	if last < 0 || last == 0 && !strings.Contains(parts[0], ":") {
		return "", badRequest("MissingIdentifier", "path needs a module and a function")
	}
	if strings.Contains(parts[last], ":") {
		return strings.Join(parts, "/"), nil
	}
	return strings.Join(parts[:last], "/") + ":" + parts[last], nil
}
