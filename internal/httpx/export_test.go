package httpx

import "net/http"

// Client finds out the address that a request comes from.
func (p Proxies) Client(r *http.Request) string { return p.client(r) }
