package httpx

import (
	"encoding/json"
	"io"
	"log/slog"
	"net/http"

	"github.com/klauspost/compress/gzip"

	"github.com/ecovolt/telemetryd/internal/httpx/problem"
)

// LinesType is the media type of Lines.
const LinesType = "application/x-ndjson"

// Lines is an answer of JSON values, one a line, each of which is sent at once: for what takes so
// long that the client wants to know how far it has come. One goroutine uses it at a time.
type Lines struct {
	w  http.ResponseWriter
	to io.Writer
	z  *gzip.Writer // nil where the client takes none
}

// NewLines begins an answer, in gzip where the client takes that.
func NewLines(w http.ResponseWriter, r *http.Request) *Lines {
	l := &Lines{w: w, to: w}
	h := w.Header()
	h.Set("Content-Type", LinesType)
	h.Set("Cache-Control", "no-store")
	h.Set("X-Accel-Buffering", "no") // nginx would keep lines back
	h.Add("Vary", "Accept-Encoding")
	if Accepts(r, "gzip") {
		h.Set("Content-Encoding", "gzip")
		l.z = gzips.Get().(*gzip.Writer)
		l.z.Reset(w)
		l.to = l.z
	}
	w.WriteHeader(http.StatusOK)
	return l
}

// Send sends a line of JSON. A client that is gone, or too slow, cannot be told.
func (l *Lines) Send(text []byte) {
	if _, err := l.to.Write(append(text, '\n')); err != nil {
		return
	}
	if l.z != nil {
		_ = l.z.Flush()
	}
	_ = http.NewResponseController(l.w).Flush()
}

// Close ends the answer.
func (l *Lines) Close() {
	if l.z != nil {
		_ = l.z.Close()
		gzips.Put(l.z)
		l.z = nil
	}
}

// Fail says in a last line, as the member error, what went wrong since the answer began, and logs
// it as the function of that name does.
func (l *Lines) Fail(r *http.Request, log *slog.Logger, route string, err error) {
	f := explain(l.w, r, log, route, err)
	if f == nil {
		panic(http.ErrAbortHandler)
	}
	text, err := json.Marshal(map[string]any{"error": problem.Of(l.w, problem.Problem{Status: f.Kind.Status(), Detail: f.Message, Code: f.Code, Problems: f.Problems})})
	if err != nil {
		text = []byte("{}") // no type in a Problem can fail
	}
	l.Send(text)
	l.Close()
}
