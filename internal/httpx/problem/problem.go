// Package problem writes failures as RFC 9457 has them, for all of HTTP: routes,
// function endpoints, the page and the requests that do not become a stream. It
// keeps nothing.
package problem

import (
	"encoding/json"
	"net/http"
	"strconv"

	"github.com/ecovolt/telemetryd/internal/fault"
)

// Problem is a failure as RFC 9457 writes it (application/problem+json).
type Problem struct {
	Type     string          `json:"type"`
	Title    string          `json:"title"`
	Status   int             `json:"status"`
	Detail   string          `json:"detail,omitempty"`
	Code     string          `json:"code,omitempty"`
	Problems []fault.Problem `json:"problems,omitempty"`
	Request  string          `json:"request_id,omitempty"`
}

// Of fills in the type, the title and the request's id, which the answer's X-Request-Id has.
func Of(w http.ResponseWriter, p Problem) Problem {
	p.Type, p.Title, p.Request = "about:blank", http.StatusText(p.Status), w.Header().Get("X-Request-Id")
	return p
}

// Write answers with a problem, as Of fills it in.
func Write(w http.ResponseWriter, p Problem) {
	p = Of(w, p)
	body, err := json.Marshal(p)
	if err != nil {
		body = []byte("{}") // no type in a Problem can fail
	}
	h := w.Header()
	h.Set("Content-Type", "application/problem+json")
	h.Set("Cache-Control", "no-store")
	h.Set("Content-Length", strconv.Itoa(len(body)))
	w.WriteHeader(p.Status)
	_, _ = w.Write(body) // a client that is gone cannot be told
}
