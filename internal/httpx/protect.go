package httpx

import (
	"net/http"
	"strings"
	"time"
)

// What protects browsers from an answer, whatever it holds.
const (
	// Nothing in an answer of the API is to be run or shown as a page.
	apiPolicy = "default-src 'none'; frame-ancestors 'none'; base-uri 'none'; form-action 'none'"
	// A browser that saw the server over TLS comes back over TLS only.
	strictTransport = "max-age=31536000"
)

// Protect sets the headers that every answer has, those of functions too (the
// built-in page sets a policy of its own over it), and sees to it that nobody
// keeps a connection with a body that never comes or an answer that nobody reads.
func Protect(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		h := w.Header()
		h.Set("X-Content-Type-Options", "nosniff")
		h.Set("Referrer-Policy", "no-referrer")
		h.Set("X-Frame-Options", "DENY")
		if strings.HasPrefix(r.URL.Path, "/api/") {
			h.Set("Content-Security-Policy", apiPolicy)
		}
		if r.TLS != nil {
			h.Set("Strict-Transport-Security", strictTransport)
		}
		if r.ContentLength != 0 {
			_ = http.NewResponseController(w).SetReadDeadline(time.Now().Add(SmallPatience))
		}
		x := newExchange(w)
		defer x.done()
		next.ServeHTTP(x, r)
	})
}
