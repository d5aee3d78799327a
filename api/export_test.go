package api

// RouteNames lists every route there is, as "METHOD /path".
func RouteNames(d Deps) []string {
	s := &server{Deps: d}
	var names []string
	for _, route := range s.engine().Routes() {
		names = append(names, route.Method+" "+route.Path)
	}
	return names
}
