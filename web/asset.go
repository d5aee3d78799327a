package web

import (
	"bytes"
	"compress/gzip"
	"crypto/sha256"
	"encoding/hex"
	"net/http"
	"strconv"
	"strings"
	"sync"

	"github.com/andybalholm/brotli"
	"github.com/tdewolff/minify/v2"
	"github.com/tdewolff/minify/v2/css"
	"github.com/tdewolff/minify/v2/js"

	"github.com/ecovolt/telemetryd/internal/httpx"
)

// asset is one file and its compressed forms.
type asset struct {
	contentType string
	tag         string // without quotes
	body        func() []byte
	brotli      func() []byte
	gzip        func() []byte
}

// minCompress is the length below which a compressed body saves no packet.
const minCompress = 512

func newAsset(contentType string, body []byte) *asset {
	sum := sha256.Sum256(body)
	a := &asset{contentType: contentType, tag: hex.EncodeToString(sum[:8])}
	a.body = sync.OnceValue(func() []byte { return minified(contentType, body) })
	a.brotli = sync.OnceValue(func() []byte {
		return compress(a.body(), func(out *bytes.Buffer) writeCloser { return brotli.NewWriterLevel(out, 9) })
	})
	a.gzip = sync.OnceValue(func() []byte {
		return compress(a.body(), func(out *bytes.Buffer) writeCloser {
			w, _ := gzip.NewWriterLevel(out, gzip.BestCompression) // the level is a valid one
			return w
		})
	})
	return a
}

// minified is a script or style sheet without what browsers do not need, comments
// above all: a fifth of what a first visit transfers of them, compressed. Other
// bodies, and what is no script or sheet after all, stay as they are.
func minified(contentType string, body []byte) []byte {
	kind, _, _ := strings.Cut(contentType, ";")
	short, err := minifier.Bytes(kind, body)
	if err != nil {
		return body
	}
	return short
}

var minifier = func() *minify.M {
	m := minify.New()
	m.AddFunc("text/javascript", js.Minify)
	m.AddFunc("text/css", css.Minify)
	return m
}()

type writeCloser interface {
	Write([]byte) (int, error)
	Close() error
}

// compress returns the compressed body, or nil where that is not shorter.
func compress(body []byte, to func(*bytes.Buffer) writeCloser) []byte {
	if len(body) < minCompress {
		return nil
	}
	var out bytes.Buffer
	w := to(&out)
	if _, err := w.Write(body); err != nil {
		return nil
	}
	if w.Close() != nil || out.Len() >= len(body) {
		return nil
	}
	return out.Bytes()
}

// serve answers with the file in the best encoding that the client takes.
func (a *asset) serve(w http.ResponseWriter, r *http.Request, cache string) {
	h := w.Header()
	h.Set("Content-Type", a.contentType)
	h.Set("Cache-Control", cache)
	h.Set("Vary", "Accept-Encoding")
	h.Set("X-Content-Type-Options", "nosniff")
	body, tag := a.body(), a.tag
	for _, e := range []struct {
		name string
		body func() []byte
	}{{"br", a.brotli}, {"gzip", a.gzip}} {
		if !httpx.Accepts(r, e.name) {
			continue
		}
		if packed := e.body(); packed != nil {
			body, tag = packed, a.tag+"-"+e.name
			h.Set("Content-Encoding", e.name)
			break
		}
	}
	quoted := `"` + tag + `"`
	h.Set("ETag", quoted)
	if httpx.Matches(r, quoted) {
		h.Del("Content-Encoding")
		h.Del("Content-Type")
		w.WriteHeader(http.StatusNotModified)
		return
	}
	h.Set("Content-Length", strconv.Itoa(len(body)))
	w.WriteHeader(http.StatusOK)
	if r.Method != http.MethodHead {
		_, _ = w.Write(body) // a client that went away needs no answer
	}
}
