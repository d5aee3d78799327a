package http

import (
	"errors"
	"io"
	"net/http"
	"strconv"

	"github.com/ecovolt/telemetryd/api/convex/registry"
	"github.com/ecovolt/telemetryd/api/convex/value"
	"github.com/ecovolt/telemetryd/internal/fault"
	"github.com/ecovolt/telemetryd/internal/httpx"
)

// statusFunctionFailed is the status of a failed function that clients take
// for a failure, with the body they know.
const statusFunctionFailed = 560

// transportError is a request that never became a call.
type transportError struct {
	status  int
	code    string
	message string
}

func (e *transportError) Error() string { return e.message }

func badRequest(code, message string) error {
	return &transportError{http.StatusBadRequest, code, message}
}

// writeRefusal answers a request that never became a call.
func (h *Handler) writeRefusal(w http.ResponseWriter, r *http.Request, err error) {
	var transport *transportError
	if !errors.As(err, &transport) {
		f := registry.Describe(r.Context(), h.Log, r.URL.Path, err, value.Clean)
		transport = &transportError{f.Kind.Status(), f.Kind.FunctionCode(), f.Message}
		httpx.SetRetryAfter(w.Header(), f.RetryAfter)
	}
	writeTransportError(w, transport)
}

func writeTransportError(w http.ResponseWriter, e *transportError) {
	out := append(value.AppendString([]byte(`{"code":`), e.code), `,"message":`...)
	writeJSON(w, e.status, append(value.AppendString(out, e.message), '}'))
}

// writeFailure answers a function that failed. A failed mutation or action is
// never a 200: the bridge takes every 200 for success. A query that refuses is
// one, as in the original; but a query that broke is not, or an importer would
// take the error for an empty session.
func writeFailure(w http.ResponseWriter, kind registry.Kind, f *registry.Failure) {
	status := statusFunctionFailed
	switch {
	case f.Kind == fault.RateLimited || f.Kind == fault.Unavailable:
		status = f.Kind.Status()
		httpx.SetRetryAfter(w.Header(), f.RetryAfter)
	case kind == registry.Query && f.Kind != fault.Internal:
		status = http.StatusOK
	}
	writeJSON(w, status, append(f.Append([]byte(`{"status":"error","errorMessage":`)), '}'))
}

func writeJSON(w http.ResponseWriter, status int, b []byte) {
	h := w.Header()
	h.Set("Content-Type", "application/json")
	h.Set("Cache-Control", "no-store")
	h.Set("Content-Length", strconv.Itoa(len(b)))
	w.WriteHeader(status)
	_, _ = w.Write(b) // a client that is gone cannot be told
}

// writeResult answers with a result.
func writeResult(w http.ResponseWriter, r *http.Request, result []byte) {
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Cache-Control", "no-store")
	httpx.Send(w, r, http.StatusOK, []byte(`{"status":"success","value":`), result, []byte(`,"logLines":[]}`))
}

func writeText(w http.ResponseWriter, text string) {
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	_, _ = io.WriteString(w, text)
}
