package fault

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"time"

	schema "github.com/ecovolt/telemetryd/sql"
)

// Problem is one thing that is wrong with the input.
type Problem struct {
	Index  *int   `json:"index,omitempty"` // zero-based place of the record in the batch
	Line   int    `json:"line,omitempty"`  // of the file, from 1; 0 where there is none
	Field  string `json:"field,omitempty"` // JSON name of the field or argument
	Reason string `json:"reason"`
}

// String renders the problem as one line, such as "record 3, field speed_ms: not
// a number". A line of the file says more than the number of the record.
func (p Problem) String() string {
	var where []string
	switch {
	case p.Line != 0:
		where = append(where, fmt.Sprintf("line %d", p.Line))
	case p.Index != nil:
		where = append(where, fmt.Sprintf("record %d", *p.Index))
	}
	if p.Field != "" {
		where = append(where, "field "+p.Field)
	}
	if where == nil {
		return p.Reason
	}
	return strings.Join(where, ", ") + ": " + p.Reason
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
	RetryAfter time.Duration  // how long to wait; 0 is what the kind says, see Wait
	Err        error          // the cause, for the log only
}

// Error returns the message and, in brackets, the first problem.
func (e *Error) Error() string {
	if len(e.Problems) == 0 {
		return e.Message
	}
	if e.Message == "" {
		return e.Problems[0].String()
	}
	return e.Message + ": " + e.Problems[0].String()
}

// Wait is how long the caller is asked to wait before the next attempt, or 0
// where another one would fail alike.
func (e *Error) Wait() time.Duration {
	if e.RetryAfter > 0 {
		return e.RetryAfter
	}
	return kinds[e.Kind].retry
}

// LiveCode names the failure to clients of the live stream.
func (e *Error) LiveCode() string {
	if e.Code != "" {
		return e.Code
	}
	return kinds[e.Kind].live
}

// Unwrap returns the cause to errors.Is and errors.As.
func (e *Error) Unwrap() error { return e.Err }

// New makes an error without a code.
func New(kind Kind, format string, args ...any) *Error {
	return &Error{Kind: kind, Message: fmt.Sprintf(format, args...)}
}

// Busy makes the error of what has no room for a moment: Unavailable, and to be
// tried again after a second.
func Busy(message string) *Error {
	return &Error{Kind: Unavailable, Message: message, RetryAfter: time.Second}
}

// Coded makes one of the contract's coded errors.
func Coded(kind Kind, code, format string, args ...any) *Error {
	return &Error{Kind: kind, Code: code, Message: fmt.Sprintf(format, args...)}
}

// Field makes an Invalid error about one named field or argument.
func Field(field, format string, args ...any) *Error {
	return &Error{Kind: Invalid, Message: "invalid input", Problems: []Problem{{Field: field, Reason: fmt.Sprintf(format, args...)}}}
}

// NoSession is the error for a session that does not exist.
func NoSession(id string) error {
	return New(NotFound, "there is no session %q", Clip(id))
}

// As returns the *Error inside err, or nil when there is none.
func As(err error) *Error {
	var e *Error
	if errors.As(err, &e) {
		return e
	}
	return nil
}

// Explain returns what a caller may see of any error: the *Error inside it, or
// else Unavailable where the database is away or the time ran out, TooLarge for
// a body beyond http.MaxBytesReader's limit, and Internal without details.
func Explain(err error) *Error {
	if e := As(err); e != nil {
		return e
	}
	var big *http.MaxBytesError
	switch {
	case errors.As(err, &big):
		return New(TooLarge, "the body is larger than %d bytes", big.Limit)
	case schema.Away(err):
		return &Error{Kind: Unavailable, Message: "the database does not answer; try again", Err: err}
	case errors.Is(err, context.DeadlineExceeded):
		return &Error{Kind: Unavailable, Message: "the request took too long", Err: err}
	}
	return &Error{Kind: Internal, Message: "something went wrong on the server", Err: err}
}

// Wrap says what failed, unless the error says it itself; nil stays nil.
func Wrap(what string, err error) error {
	if err == nil || As(err) != nil {
		return err
	}
	return fmt.Errorf("%s: %w", what, err)
}

// Refusal returns the *Error by which the caller was refused, or nil where the
// failure is ours, so that the same call may succeed later.
func Refusal(err error) *Error {
	if e := As(err); e != nil && e.Kind != Internal && e.Kind != Unavailable {
		return e
	}
	return nil
}

// Is reports whether err holds an *Error of the kind.
func Is(err error, kind Kind) bool {
	e := As(err)
	return e != nil && e.Kind == kind
}
