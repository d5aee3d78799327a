package httpx

import (
	"net/http"
	"regexp"
	"strings"
)

// Origins decides which web origins may call. An entry is matched exactly, or
// holds "*", which stands for one or more letters, digits and hyphens, as the
// function contract's ALLOWED_WEB_ORIGINS has it. No library for CORS can do
// that, nor what CORS.Always asks for.
type Origins struct {
	entries  []string
	patterns []*regexp.Regexp
}

// NewOrigins takes the entries; none of them means that all origins may call.
func NewOrigins(entries []string) Origins {
	var o Origins
	for _, entry := range entries {
		entry = strings.TrimSpace(entry)
		if entry == "" {
			continue
		}
		quoted := strings.ReplaceAll(regexp.QuoteMeta(entry), `\*`, `[A-Za-z0-9-]+`)
		o.entries = append(o.entries, entry)
		o.patterns = append(o.patterns, regexp.MustCompile(`^`+quoted+`$`))
	}
	return o
}

// match returns the value of Access-Control-Allow-Origin for a request's Origin
// header, and whether it may call. Without an Origin that is the first entry.
func (o Origins) match(origin string) (allow string, ok bool) {
	if len(o.entries) == 0 {
		return "*", true
	}
	if origin == "" {
		return o.entries[0], true
	}
	for _, p := range o.patterns {
		if p.MatchString(origin) {
			return origin, true
		}
	}
	return "", false
}

// Allows reports whether the origin may call.
func (o Origins) Allows(origin string) bool { _, ok := o.match(origin); return ok }

// CORS is what pages of other origins may do with a group of routes.
type CORS struct {
	Origins Origins
	// Methods and Headers are what a preflight is told, by comma.
	Methods, Headers string
	// AnyHeader allows whatever headers a preflight asks for, instead of Headers.
	AnyHeader bool
	// Expose names the headers of answers that pages may read, by comma.
	Expose string
	// Always sets all of it on every answer, not on preflights only and without
	// an Origin too.
	Always bool
	// Refuse answers a request of an origin that may not call. Nil serves it
	// without the header that would let the page see the answer.
	Refuse http.HandlerFunc
}

// Admit sets the headers of an answer. It reports whether the request is still
// to be served: preflights and refused origins have their answer already.
func (c *CORS) Admit(w http.ResponseWriter, r *http.Request) bool {
	h, origin, preflight := w.Header(), r.Header.Get("Origin"), r.Method == http.MethodOptions
	h.Set("Vary", "Origin")
	if origin == "" && !c.Always && !preflight {
		return true
	}
	allow, ok := c.Origins.match(origin)
	switch {
	case !ok && preflight:
		w.WriteHeader(http.StatusForbidden)
		return false
	case !ok && c.Refuse != nil:
		c.Refuse(w, r)
		return false
	case !ok:
		return true
	}
	h.Set("Access-Control-Allow-Origin", allow)
	if c.Expose != "" {
		h.Set("Access-Control-Expose-Headers", c.Expose)
	}
	if preflight || c.Always {
		headers := c.Headers
		if asked := r.Header.Get("Access-Control-Request-Headers"); c.AnyHeader && asked != "" {
			headers = asked
		}
		h.Set("Access-Control-Allow-Methods", c.Methods)
		h.Set("Access-Control-Allow-Headers", headers)
		h.Set("Access-Control-Max-Age", "86400")
	}
	if preflight {
		w.WriteHeader(http.StatusNoContent)
	}
	return !preflight
}
