package api

import (
	"bytes"
	"net/http"
	"strings"
	"sync"

	"github.com/klauspost/compress/gzip"
)

// minCompress is the length below which a compressed body saves no packet.
const minCompress = 1400

var gzips = sync.Pool{New: func() any {
	w, _ := gzip.NewWriterLevel(nil, gzip.BestSpeed) // the level is a valid one
	return w
}}

// takesGzip reports whether the client takes answers in gzip.
func takesGzip(r *http.Request) bool {
	for entry := range strings.SplitSeq(r.Header.Get("Accept-Encoding"), ",") {
		name, weight, _ := strings.Cut(strings.ReplaceAll(entry, " ", ""), ";")
		if strings.EqualFold(name, "gzip") && weight != "q=0" && weight != "q=0.0" {
			return true
		}
	}
	return false
}

// compress gives a body in gzip where the client takes that and it pays. Charts
// are columns of similar numbers, which shrink to a third.
func compress(r *Request, body []byte) ([]byte, bool) {
	if len(body) < minCompress || !takesGzip(r.Request) {
		return body, false
	}
	w := gzips.Get().(*gzip.Writer)
	defer gzips.Put(w)
	var out bytes.Buffer
	w.Reset(&out)
	if _, err := w.Write(body); err != nil {
		return body, false
	}
	if err := w.Close(); err != nil {
		return body, false
	}
	return out.Bytes(), true
}
