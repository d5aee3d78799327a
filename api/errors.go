package api

import (
	"context"
	"errors"
	"log/slog"
	"net/http"
	"strconv"

	"github.com/gin-gonic/gin"

	"github.com/ecovolt/telemetryd/internal/fault"
	schema "github.com/ecovolt/telemetryd/sql"
)

// problem is a failure as RFC 9457 writes it (application/problem+json).
type problem struct {
	Type     string          `json:"type"`
	Title    string          `json:"title"`
	Status   int             `json:"status"`
	Detail   string          `json:"detail,omitempty"`
	Code     string          `json:"code,omitempty"`
	Problems []fault.Problem `json:"problems,omitempty"`
	Request  string          `json:"request_id,omitempty"`
}

// statusClientGone is logged when the client left before its answer; nobody
// receives it.
const statusClientGone = 499

// writeError answers a request with what went wrong. It is the one place that
// turns errors into REST answers; details of internal ones go to the log only.
func writeError(c *gin.Context, log *slog.Logger, err error) {
	// The database's words for work that was cancelled differ.
	if errors.Is(err, errClientGone) || errors.Is(c.Request.Context().Err(), context.Canceled) {
		log.Debug("the client left", "method", c.Request.Method, "path", c.FullPath(), "request_id", requestID(c), "error", err)
		c.AbortWithStatus(statusClientGone)
		return
	}
	f := Explain(err)
	status := f.Kind.Status()
	p := problem{
		Type: "about:blank", Title: http.StatusText(status), Status: status,
		Detail: f.Message, Code: f.Code, Problems: f.Problems, Request: requestID(c),
	}
	if f.Kind == fault.Internal || f.Kind == fault.Unavailable {
		log.Error("request failed", "method", c.Request.Method, "path", c.FullPath(), "request_id", p.Request, "error", err)
	}
	if f.RetryAfter > 0 {
		c.Header("Retry-After", strconv.Itoa(int((f.RetryAfter.Seconds())+0.999)))
	}
	if status == http.StatusUnauthorized {
		c.Header("WWW-Authenticate", `Bearer realm="telemetryd"`)
	}
	if c.Writer.Written() {
		// The answer has begun: cutting the connection is the only way to tell
		// the client that it is not whole.
		panic(http.ErrAbortHandler)
	}
	c.Header("Content-Type", "application/problem+json")
	c.AbortWithStatusJSON(status, p)
}

// Explain gives the fault that a caller may see for any error: the one that it
// holds, Unavailable when the database is away, or Internal without details.
func Explain(err error) *fault.Error {
	if f := fault.As(err); f != nil {
		return f
	}
	var big *http.MaxBytesError
	if errors.As(err, &big) {
		return fault.New(fault.TooLarge, "the body is larger than %d bytes", big.Limit)
	}
	if schema.Away(err) {
		return &fault.Error{Kind: fault.Unavailable, Message: "the database does not answer; try again", RetryAfter: retryAfterAway, Err: err}
	}
	if errors.Is(err, context.DeadlineExceeded) {
		return &fault.Error{Kind: fault.Unavailable, Message: "the request took too long", RetryAfter: retryAfterAway, Err: err}
	}
	return &fault.Error{Kind: fault.Internal, Message: "something went wrong on the server", Err: err}
}
