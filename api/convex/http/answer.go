package http

import (
	"errors"
	"io"
	"math"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/klauspost/compress/gzip"

	"github.com/ecovolt/telemetryd/api/convex/registry"
	"github.com/ecovolt/telemetryd/api/convex/value"
	"github.com/ecovolt/telemetryd/internal/fault"
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

// refusalCode names what is wrong with a request that was refused, as the
// original backend does.
func refusalCode(kind fault.Kind) string {
	switch kind {
	case fault.Invalid:
		return "BadRequest"
	case fault.Unauthenticated:
		return "BadDeployKey"
	case fault.Forbidden:
		return "Forbidden"
	case fault.NotFound:
		return "NotFound"
	case fault.Conflict:
		return "Conflict"
	case fault.TooLarge:
		return "BodyTooLarge"
	case fault.Unsupported:
		return "UnsupportedEncoding"
	case fault.RateLimited:
		return "TooManyRequests"
	case fault.Unavailable:
		return "Overloaded"
	}
	return "InternalServerError"
}

// writeRefusal answers a request that never became a call.
func (h *Handler) writeRefusal(w http.ResponseWriter, r *http.Request, err error) {
	var transport *transportError
	if !errors.As(err, &transport) {
		f := registry.Describe(r.Context(), h.Log, r.URL.Path, err, value.Clean)
		if f.Transient {
			f.Kind = fault.Unavailable
		}
		transport = &transportError{message: f.Message}
		transport.status, transport.code = f.Kind.Status(), refusalCode(f.Kind)
		setRetryAfter(w, f)
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
	case f.Kind == fault.RateLimited || f.Transient:
		status = f.Kind.Status()
		if f.Transient {
			status = http.StatusServiceUnavailable
		}
		setRetryAfter(w, f)
	case kind == registry.Query && f.Kind != fault.Internal:
		status = http.StatusOK
	}
	writeJSON(w, status, append(f.Append([]byte(`{"status":"error","errorMessage":`)), '}'))
}

func setRetryAfter(w http.ResponseWriter, f *registry.Failure) {
	seconds := math.Max(1, math.Ceil(f.RetryAfter.Seconds()))
	w.Header().Set("Retry-After", strconv.Itoa(int(seconds)))
}

func writeJSON(w http.ResponseWriter, status int, b []byte) {
	h := w.Header()
	h.Set("Content-Type", "application/json")
	h.Set("Cache-Control", "no-store")
	h.Set("Content-Length", strconv.Itoa(len(b)))
	w.WriteHeader(status)
	_, _ = w.Write(b) // a client that is gone cannot be told
}

// zipFrom is the size from which a result is worth compressing.
const zipFrom = 4096

var zippers = sync.Pool{New: func() any {
	z, _ := gzip.NewWriterLevel(nil, gzip.BestSpeed) // the level is valid
	return z
}}

// writeResult answers with a result, compressed if it is large and the client
// takes that.
func writeResult(w http.ResponseWriter, r *http.Request, result []byte) {
	h := w.Header()
	h.Set("Content-Type", "application/json")
	h.Set("Cache-Control", "no-store")
	out := io.Writer(flowingWriter{w, http.NewResponseController(w)})
	const before, after = `{"status":"success","value":`, `,"logLines":[]}`
	if len(result) >= zipFrom && acceptsGzip(r) {
		h.Set("Content-Encoding", "gzip")
		h.Add("Vary", "Accept-Encoding")
		z := zippers.Get().(*gzip.Writer)
		defer zippers.Put(z)
		z.Reset(out)
		defer z.Close()
		out = z
	} else {
		h.Set("Content-Length", strconv.Itoa(len(before)+len(result)+len(after)))
	}
	for _, part := range [][]byte{[]byte(before), result, []byte(after)} {
		if _, err := out.Write(part); err != nil {
			return // a client that is gone cannot be told
		}
	}
}

func acceptsGzip(r *http.Request) bool {
	for _, accepted := range strings.Split(r.Header.Get("Accept-Encoding"), ",") {
		name, quality, _ := strings.Cut(strings.TrimSpace(accepted), ";")
		if name == "gzip" {
			return strings.TrimRight(strings.ReplaceAll(quality, " ", ""), "0.") != "q="
		}
	}
	return false
}

// writePiece is how many bytes a client takes at least in flowPatience.
const writePiece = 256 << 10

// flowingWriter renews the connection's deadline with each piece that the
// client takes.
type flowingWriter struct {
	w          io.Writer
	connection *http.ResponseController
}

func (f flowingWriter) Write(b []byte) (n int, err error) {
	defer f.connection.SetWriteDeadline(time.Time{})
	for len(b) > 0 && err == nil {
		_ = f.connection.SetWriteDeadline(time.Now().Add(flowPatience))
		var m int
		m, err = f.w.Write(b[:min(len(b), writePiece)])
		n, b = n+m, b[m:]
	}
	return n, err
}

func writeText(w http.ResponseWriter, text string) {
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	_, _ = io.WriteString(w, text)
}
