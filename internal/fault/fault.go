// Package fault holds the one error type that every layer speaks.
//
// A service returns a *Error (or wraps one); the api package turns it into an
// HTTP problem or a function error in a single place. Anything that is not a
// *Error is an internal failure: its text is logged and never shown.
package fault

import (
	"errors"
	"fmt"
	"net/http"
	"time"
)

// Kind says what sort of failure happened. It decides the HTTP status.
type Kind int

// The kinds, with their HTTP status.
const (
	Internal        Kind = iota // 500: ours; details go to the log only
	Invalid                     // 400: the caller's input is wrong
	Unauthenticated             // 401: no credential, or a bad one
	Forbidden                   // 403: known caller, not allowed
	NotFound                    // 404
	Conflict                    // 409: the state does not permit it
	TooLarge                    // 413: over a size limit
	Unsupported                 // 415: media type or encoding not known
	RateLimited                 // 429: see RetryAfter
	Unavailable                 // 503: overloaded or the database is away; see RetryAfter
)

// Status is the HTTP status of an answer that tells of the failure.
func (k Kind) Status() int {
	switch k {
	case Invalid:
		return http.StatusBadRequest
	case Unauthenticated:
		return http.StatusUnauthorized
	case Forbidden:
		return http.StatusForbidden
	case NotFound:
		return http.StatusNotFound
	case Conflict:
		return http.StatusConflict
	case TooLarge:
		return http.StatusRequestEntityTooLarge
	case Unsupported:
		return http.StatusUnsupportedMediaType
	case RateLimited:
		return http.StatusTooManyRequests
	case Unavailable:
		return http.StatusServiceUnavailable
	}
	return http.StatusInternalServerError
}

// Problem is one thing that is wrong with the input.
type Problem struct {
	Index  *int   `json:"index,omitempty"` // zero-based place of the record in the batch
	Field  string `json:"field,omitempty"` // JSON name of the field or argument
	Reason string `json:"reason"`
}

// String renders the problem as one line, such as "record 3, field speed_ms: not a number".
func (p Problem) String() string {
	switch {
	case p.Index != nil && p.Field != "":
		return fmt.Sprintf("record %d, field %s: %s", *p.Index, p.Field, p.Reason)
	case p.Index != nil:
		return fmt.Sprintf("record %d: %s", *p.Index, p.Reason)
	case p.Field != "":
		return fmt.Sprintf("field %s: %s", p.Field, p.Reason)
	}
	return p.Reason
}

// Error is a failure that the caller may see.
type Error struct {
	Kind Kind
	// Code is the machine-readable name, such as LAST_ADMIN. When it is set,
	// the Convex endpoints send {code, message, ...Data} as errorData, so set
	// it only for the coded errors of the function contract. REST problems
	// carry it as "code".
	Code       string
	Message    string         // for people; never holds secrets
	Data       map[string]any // further members of errorData
	Problems   []Problem      // per-record or per-field details
	RetryAfter time.Duration  // how long to wait, for RateLimited and Unavailable
	Err        error          // the cause, for the log only
}

// Error gives the message and, in brackets, the first problem.
func (e *Error) Error() string {
	if len(e.Problems) == 0 {
		return e.Message
	}
	if e.Message == "" {
		return e.Problems[0].String()
	}
	return e.Message + ": " + e.Problems[0].String()
}

// Unwrap gives the cause to errors.Is and errors.As.
func (e *Error) Unwrap() error { return e.Err }

// New makes an error without a code.
func New(kind Kind, format string, args ...any) *Error {
	return &Error{Kind: kind, Message: fmt.Sprintf(format, args...)}
}

// Coded makes one of the contract's coded errors.
func Coded(kind Kind, code, format string, args ...any) *Error {
	return &Error{Kind: kind, Code: code, Message: fmt.Sprintf(format, args...)}
}

// Field makes an Invalid error about one named field or argument.
func Field(field, format string, args ...any) *Error {
	return &Error{Kind: Invalid, Message: "invalid input", Problems: []Problem{{Field: field, Reason: fmt.Sprintf(format, args...)}}}
}

// As gives the *Error inside err, or nil when there is none.
func As(err error) *Error {
	var e *Error
	if errors.As(err, &e) {
		return e
	}
	return nil
}

// Is reports whether err holds an *Error of the kind.
func Is(err error, kind Kind) bool {
	e := As(err)
	return e != nil && e.Kind == kind
}
