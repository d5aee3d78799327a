package http

import (
	"errors"
	"io"
	"log/slog"
	"net/http"
	"time"

	"golang.org/x/sync/semaphore"

	"github.com/ecovolt/telemetryd/api/convex/registry"
)

// ordinaryBody is the largest body, in bytes, that Convex itself takes.
const ordinaryBody = 16<<20 + 2000

// Sync is the part of the protocol that stays connected. *sync.Server is one.
type Sync interface {
	// Serve takes over the request's connection. version is the client's, as the
	// path says it, or ""; baseURL is where the client reached us. After an error
	// nothing was answered.
	Serve(w http.ResponseWriter, r *http.Request, version, baseURL string) error
	// Timestamp returns a new timestamp in the form of the wire.
	Timestamp() string
	// Wrote notes that a mutation or action has ended.
	Wrote()
}

// Options configure a Handler. Registry and Sync are needed; the zero value of
// the rest is right.
type Options struct {
	Registry *registry.Registry
	Sync     Sync
	// AllowOrigin says which browser origins may call; nil lets all of them.
	AllowOrigin func(origin string) bool
	// Version is what /version answers.
	Version string
	Log     *slog.Logger // nil discards

	// MaxBody bounds a request's body, decompressed, in bytes. Default 16 MiB
	// and 2,000 bytes.
	MaxBody int64
	// MaxKeyBody is MaxBody for the holders of a deploy key. Default 64 MiB.
	MaxKeyBody int64
	// Bodies bounds the bytes of all bodies held at once. Default 256 MiB.
	Bodies *semaphore.Weighted
	// QueryTimeout and WriteTimeout bound one run of a query, and of a
	// mutation or action. Defaults 30 s and 60 s.
	QueryTimeout, WriteTimeout time.Duration
}

func (o *Options) setDefaults() error {
	if o.Registry == nil || o.Sync == nil {
		return errors.New("convex: Registry and Sync are needed")
	}
	if o.AllowOrigin == nil {
		o.AllowOrigin = func(string) bool { return true }
	}
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	if o.Bodies == nil {
		o.Bodies = semaphore.NewWeighted(256 << 20)
	}
	if o.Version == "" {
		o.Version = "telemetryd"
	}
	if o.MaxBody == 0 {
		o.MaxBody = ordinaryBody
	}
	if o.MaxKeyBody == 0 {
		o.MaxKeyBody = 64 << 20
	}
	if o.QueryTimeout == 0 {
		o.QueryTimeout = 30 * time.Second
	}
	if o.WriteTimeout == 0 {
		o.WriteTimeout = 60 * time.Second
	}
	return nil
}

// Handler serves the functions of a registry over HTTP.
type Handler struct {
	Options
}

// New makes a handler.
func New(options Options) (*Handler, error) {
	if err := options.setDefaults(); err != nil {
		return nil, err
	}
	return &Handler{options}, nil
}

// ServeHTTP serves all the endpoints, the websocket included.
func (h *Handler) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	e, rest := route(r.URL.EscapedPath())
	if !h.cors(w, r) {
		return
	}
	switch e {
	case queryEndpoint:
		h.serveFunction(w, r, registry.Query, nil)
	case mutationEndpoint:
		h.serveFunction(w, r, registry.Mutation, nil)
	case actionEndpoint:
		h.serveFunction(w, r, registry.Action, nil)
	case functionEndpoint:
		h.serveFunction(w, r, registry.AnyKind, nil)
	case runEndpoint:
		h.serveFunction(w, r, registry.AnyKind, rest)
	case timestampEndpoint:
		writeJSON(w, http.StatusOK, []byte(`{"ts":"`+h.Sync.Timestamp()+`"}`))
	case syncEndpoint:
		version := ""
		if len(rest) > 0 {
			version = rest[0]
		}
		if err := h.Sync.Serve(w, r, version, baseURL(r)); err != nil {
			h.writeRefusal(w, r, err)
		}
	case versionEndpoint:
		writeText(w, h.Version)
	case nameEndpoint:
		writeText(w, "telemetryd")
	case debugEndpoint:
		_, _ = io.CopyN(io.Discard, r.Body, 1<<16)
		writeText(w, "")
	default:
		writeTransportError(w, &transportError{http.StatusNotFound, "NotFound", "no such route"})
	}
}

// cors sets the headers that let browsers call. It answers preflights and
// refuses origins that are not allowed; then it returns false.
func (h *Handler) cors(w http.ResponseWriter, r *http.Request) bool {
	origin := r.Header.Get("Origin")
	header := w.Header()
	if header.Get("Vary") == "" {
		header.Set("Vary", "Origin")
	}
	if origin != "" {
		if !h.AllowOrigin(origin) {
			writeTransportError(w, &transportError{http.StatusForbidden, "OriginNotAllowed", "Origin not allowed"})
			return false
		}
		header.Set("Access-Control-Allow-Origin", origin)
	}
	if r.Method != http.MethodOptions {
		return true
	}
	header.Set("Access-Control-Allow-Methods", "GET, POST, OPTIONS, PATCH, DELETE, PUT")
	if wanted := r.Header.Get("Access-Control-Request-Headers"); wanted != "" {
		header.Set("Access-Control-Allow-Headers", wanted)
	} else {
		header.Set("Access-Control-Allow-Headers", "Content-Type, Authorization, Convex-Client")
	}
	header.Set("Access-Control-Max-Age", "86400")
	w.WriteHeader(http.StatusNoContent)
	return false
}
