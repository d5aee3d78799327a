package http

import (
	"errors"
	"io"
	"log/slog"
	"net/http"
	"time"

	"github.com/ecovolt/telemetryd/api/convex/registry"
	"github.com/ecovolt/telemetryd/internal/httpx"
	"github.com/ecovolt/telemetryd/internal/load"
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
	Origins  httpx.Origins // that may call; the zero value lets all of them
	Site     *httpx.Site   // tells where clients reach us; nil knows local names
	// Version is what /version answers.
	Version string
	Log     *slog.Logger // nil discards

	// MaxBody bounds a request's body, decompressed, in bytes. Default 16 MiB
	// and 2,000 bytes.
	MaxBody int64
	// MaxKeyBody is MaxBody for the holders of a deploy key. Default 64 MiB.
	MaxKeyBody int64
	// Bodies bounds the bytes of all bodies held at once, and KeyBodies those of
	// the holders of deploy keys, whom nobody else keeps out; of each a caller has
	// half at most. Default 64 and 128 MiB.
	Bodies, KeyBodies *load.Budget
	// Results bounds the bytes of all results of queries until their clients have
	// taken them. Default 128 MiB.
	Results *load.Budget
	// QueryTimeout and WriteTimeout bound one run of a query, and of a
	// mutation or action. Defaults 30 s and 60 s.
	QueryTimeout, WriteTimeout time.Duration
}

func (o *Options) setDefaults() error {
	if o.Registry == nil || o.Sync == nil {
		return errors.New("convex: Registry and Sync are needed")
	}
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	if o.Site == nil {
		o.Site = httpx.NewSite("", nil, nil, o.Log)
	}
	if o.Bodies == nil {
		o.Bodies = load.NewBudget(64 << 20)
	}
	if o.KeyBodies == nil {
		o.KeyBodies = load.NewBudget(128 << 20)
	}
	if o.Results == nil {
		o.Results = load.NewBudget(128 << 20)
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
	cors httpx.CORS
}

// New makes a handler.
func New(options Options) (*Handler, error) {
	if err := options.setDefaults(); err != nil {
		return nil, err
	}
	return &Handler{options, httpx.CORS{
		Origins: options.Origins,
		Methods: "GET, POST, OPTIONS, PATCH, DELETE, PUT",
		Headers: "Content-Type, Authorization, Convex-Client", AnyHeader: true,
		Refuse: func(w http.ResponseWriter, _ *http.Request) {
			writeTransportError(w, &transportError{http.StatusForbidden, "OriginNotAllowed", "Origin not allowed"})
		},
	}}, nil
}

// ServeHTTP serves all the endpoints, the websocket included.
func (h *Handler) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	e, rest := route(r.URL.EscapedPath())
	if !h.cors.Admit(w, r) {
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
		if err := h.Sync.Serve(w, r, version, h.Site.BaseURL(r)); err != nil {
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
