package registry

import (
	"time"

	"github.com/ecovolt/telemetryd/auth"
)

// Call is one run of a function.
type Call struct {
	// Principal is who calls: the holder of the deploy key, the owner of the
	// token argument, or a guest.
	Principal auth.Principal
	// Args are the checked arguments.
	Args Args
	// BaseURL is where the client reached us, such as https://host:1234, without
	// a slash at the end. Only functions with LinksHere get it.
	BaseURL string
	// Journal is what a Paginated query leaves there for its next run: where the
	// page ends. It comes back through the client when that connects again, so it
	// is untrusted. It is empty on the first run.
	Journal string

	watch func(topics ...string)
	until time.Time // zero: no end
}

// Watch says what a query is about to read, as topics of package schema. Call
// it before reading: a change after it makes the query run again.
func (c *Call) Watch(topics ...string) {
	if c.watch != nil {
		c.watch(topics...)
	}
}

// ValidUntil says that a query's result is out of date at t, as when a token
// expires then or a session stops being live. The earliest t counts.
func (c *Call) ValidUntil(t time.Time) {
	if c.until.IsZero() || t.Before(c.until) {
		c.until = t
	}
}
