package httpx

import (
	"bufio"
	"context"
	"errors"
	"io"
	"log/slog"
	"math"
	"net"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/klauspost/compress/gzip"
	"golang.org/x/time/rate"

	"github.com/ecovolt/telemetryd/internal/fault"
	"github.com/ecovolt/telemetryd/internal/httpx/problem"
)

// Method is a request's method as a label: whatever a client makes up is "other".
func Method(r *http.Request) string {
	switch r.Method {
	case http.MethodGet, http.MethodHead, http.MethodPost, http.MethodPut, http.MethodPatch, http.MethodDelete, http.MethodOptions:
		return r.Method
	}
	return "other"
}

// Recorder notes the status of the answer that is written through it.
type Recorder struct {
	http.ResponseWriter
	Status int // 0 while there is none
}

// WriteHeader notes the status, too.
func (r *Recorder) WriteHeader(status int) {
	if r.Status == 0 {
		r.Status = status
	}
	r.ResponseWriter.WriteHeader(status)
}

// Write begins an answer of 200 where there is none yet.
func (r *Recorder) Write(b []byte) (int, error) {
	if r.Status == 0 {
		r.Status = http.StatusOK
	}
	return r.ResponseWriter.Write(b)
}

// Hijack hands the connection to a websocket.
func (r *Recorder) Hijack() (net.Conn, *bufio.ReadWriter, error) {
	r.Status = http.StatusSwitchingProtocols
	return http.NewResponseController(r.ResponseWriter).Hijack()
}

// Unwrap lets http.ResponseController set deadlines.
func (r *Recorder) Unwrap() http.ResponseWriter { return r.ResponseWriter }

// Accepts reports whether the client takes answers in an encoding, by its
// Accept-Encoding; a weight of 0 refuses (RFC 9110, 12.5.3).
func Accepts(r *http.Request, encoding string) bool {
	any := false
	for entry := range strings.SplitSeq(r.Header.Get("Accept-Encoding"), ",") {
		name, parameter, _ := strings.Cut(entry, ";")
		taken := true
		if weight, ok := strings.CutPrefix(strings.ToLower(strings.ReplaceAll(parameter, " ", "")), "q="); ok {
			q, err := strconv.ParseFloat(weight, 64)
			taken = err == nil && q > 0
		}
		switch name = strings.TrimSpace(name); {
		case strings.EqualFold(name, encoding):
			return taken
		case name == "*":
			any = taken
		}
	}
	return any
}

// Matches reports whether an If-None-Match header names the entity tag, which
// is in quotes.
func Matches(r *http.Request, tag string) bool {
	for entry := range strings.SplitSeq(r.Header.Get("If-None-Match"), ",") {
		entry = strings.TrimPrefix(strings.TrimSpace(entry), "W/")
		if entry == tag || entry == "*" {
			return true
		}
	}
	return false
}

// minCompress is the length below which a compressed body saves no packet.
const minCompress = 1400

var gzips = sync.Pool{New: func() any {
	w, _ := gzip.NewWriterLevel(nil, gzip.BestSpeed) // the level is a valid one
	return w
}}

// Send answers with a body in parts, in gzip where the client takes that and it
// pays: charts are columns of similar numbers, which shrink to a third. A client
// that is gone, or too slow, cannot be told.
func Send(w http.ResponseWriter, r *http.Request, status int, parts ...[]byte) {
	size := 0
	for _, part := range parts {
		size += len(part)
	}
	h := w.Header()
	h.Add("Vary", "Accept-Encoding")
	to := io.Writer(w)
	if size >= minCompress && Accepts(r, "gzip") {
		h.Set("Content-Encoding", "gzip")
		z := gzips.Get().(*gzip.Writer)
		defer gzips.Put(z)
		z.Reset(to)
		defer z.Close()
		to = z
	} else {
		h.Set("Content-Length", strconv.Itoa(size))
	}
	w.WriteHeader(status)
	for _, part := range parts {
		if _, err := to.Write(part); err != nil {
			return
		}
	}
}

// SetRetryAfter tells the client to wait, in whole seconds; 0 says nothing.
func SetRetryAfter(h http.Header, wait time.Duration) {
	if wait > 0 {
		h.Set("Retry-After", strconv.Itoa(int(math.Ceil(wait.Seconds()))))
	}
}

// statusClientGone is logged when the client left before its answer; nobody
// receives it.
const statusClientGone = 499

// errClientGone says that the connection broke in the middle of a body.
var errClientGone = errors.New("the client left")

// turnedAway has the log say once a minute that requests are turned away: whoever
// comes back a thousand times a second shall not fill the disk with it.
var turnedAway = rate.Sometimes{First: 1, Interval: time.Minute}

// Fail answers a request with what went wrong, as far as the caller may see it,
// and logs what is our fault under the route's name. When the answer has begun
// it panics with http.ErrAbortHandler: cutting the connection is the only way to
// tell the client that it is not whole.
func Fail(w http.ResponseWriter, r *http.Request, log *slog.Logger, route string, begun bool, err error) {
	f := explain(w, r, log, route, err)
	switch {
	case begun:
		panic(http.ErrAbortHandler)
	case f == nil:
		w.WriteHeader(statusClientGone)
		return
	}
	SetRetryAfter(w.Header(), f.Wait())
	if f.Kind == fault.Unauthenticated {
		w.Header().Set("WWW-Authenticate", `Bearer realm="telemetryd"`)
	}
	problem.Write(w, problem.Problem{Status: f.Kind.Status(), Detail: f.Message, Code: f.Code, Problems: f.Problems})
}

// explain logs what went wrong with a request and returns what its client may see of it; nil where
// the client left.
func explain(w http.ResponseWriter, r *http.Request, log *slog.Logger, route string, err error) *fault.Error {
	id := w.Header().Get("X-Request-Id")
	// The database's words for work that was cancelled differ.
	if errors.Is(err, errClientGone) || errors.Is(r.Context().Err(), context.Canceled) {
		log.Debug("the client left", "method", r.Method, "path", route, "request_id", id, "error", err)
		return nil
	}
	f := fault.Explain(err)
	switch {
	case f.Kind == fault.Unavailable && f.Err == nil: // nothing failed, there was no room
		level := slog.LevelDebug
		turnedAway.Do(func() { level = slog.LevelWarn })
		log.Log(r.Context(), level, "a request was turned away", "method", r.Method, "path", route, "request_id", id, "error", err)
	case fault.Refusal(f) == nil:
		log.Error("request failed", "method", r.Method, "path", route, "request_id", id, "error", err)
	}
	return f
}
