package api

import (
	"net/http"

	"github.com/ecovolt/telemetryd/auth"
)

// Credentials reads an Authorization header.
func Credentials(header string) auth.Credentials { return credentials(header) }

// Client finds out the address that a request comes from.
func Client(trusted []string, r *http.Request) (string, error) {
	p, err := parseProxies(trusted)
	if err != nil {
		return "", err
	}
	return p.client(r), nil
}

// RouteNames lists every route there is, as "METHOD /path".
func RouteNames(d Deps) []string {
	s := &server{Deps: d}
	var names []string
	for _, route := range s.engine().Routes() {
		names = append(names, route.Method+" "+route.Path)
	}
	return names
}

// BodyPatience is how long a body may take that nobody reads.
const BodyPatience = bodyPatience
