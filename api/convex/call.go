package convex

import (
	"encoding/json"
	"time"
)

// Call is one run of a function.
type Call struct {
	// Principal is who calls: the holder of the deploy key, the owner of the
	// token argument, or a guest.
	Principal Principal
	// Args are the checked arguments.
	Args Args
	// Raw is the arguments' JSON object as the caller sent it. It is part of
	// the request's buffer: do not keep it after Run has returned.
	Raw json.RawMessage
	// BaseURL is where the client reached us, such as https://host:1234, without
	// a slash at the end. Only functions with LinksHere get it.
	BaseURL string

	watch    func(topics ...string)
	until    time.Time
	hasUntil bool
}

// NewCall makes a call that watches nothing, for tests of functions.
func NewCall(principal Principal, args Args) *Call {
	return &Call{Principal: principal, Args: args}
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
	if !c.hasUntil || t.Before(c.until) {
		c.until, c.hasUntil = t, true
	}
}
