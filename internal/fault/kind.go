package fault

import (
	"net/http"
	"time"
)

// Kind says what sort of failure happened. The table kinds has what each means
// on each of the wires.
type Kind int

const (
	Internal        Kind = iota // ours; details go to the log only
	Invalid                     // the caller's input is wrong
	Unauthenticated             // no credential, or a bad one
	Forbidden                   // known caller, not allowed
	NotFound                    // there is no such thing
	Conflict                    // the state does not permit it
	TooLarge                    // over a size limit
	Unsupported                 // media type or encoding not known
	RateLimited                 // too often
	Unavailable                 // overloaded, or the database is away
)

// kinds is the one table from a kind to what clients see of it.
var kinds = [...]struct {
	status   int           // of an HTTP answer
	function string        // code of a request to the function endpoints that never became a call, as the original backend names it
	live     string        // code in a message of the live stream
	retry    time.Duration // when to try again; 0 is never
}{
	Internal:        {http.StatusInternalServerError, "InternalServerError", "UNAVAILABLE", 0},
	Invalid:         {http.StatusBadRequest, "BadRequest", "INVALID_MESSAGE", 0},
	Unauthenticated: {http.StatusUnauthorized, "BadDeployKey", "UNAUTHENTICATED", 0},
	Forbidden:       {http.StatusForbidden, "Forbidden", "FORBIDDEN", 0},
	NotFound:        {http.StatusNotFound, "NotFound", "NOT_FOUND", 0},
	Conflict:        {http.StatusConflict, "Conflict", "INVALID_MESSAGE", 0},
	TooLarge:        {http.StatusRequestEntityTooLarge, "BodyTooLarge", "INVALID_MESSAGE", 0},
	Unsupported:     {http.StatusUnsupportedMediaType, "UnsupportedEncoding", "INVALID_MESSAGE", 0},
	RateLimited:     {http.StatusTooManyRequests, "TooManyRequests", "LIMIT", time.Second},
	Unavailable:     {http.StatusServiceUnavailable, "Overloaded", "UNAVAILABLE", time.Second},
}

// Status is the HTTP status of an answer that tells of the failure.
func (k Kind) Status() int { return kinds[k].status }

// FunctionCode names the refusal of a request to the function endpoints.
func (k Kind) FunctionCode() string { return kinds[k].function }
