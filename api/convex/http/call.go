package http

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strings"

	"github.com/ecovolt/telemetryd/api/convex/registry"
	"github.com/ecovolt/telemetryd/api/convex/value"
	"github.com/ecovolt/telemetryd/auth"
	"github.com/ecovolt/telemetryd/internal/fault"
	"github.com/ecovolt/telemetryd/internal/httpx"
	"github.com/ecovolt/telemetryd/internal/load"
)

// call is what a request asks for, as slices of its body.
type call struct {
	registry.Request
	kind   registry.Kind // AnyKind where the endpoint runs all
	format value.Format
	from   registry.Caller
}

// serveFunction runs the function that the request names, in its body or, for
// the run endpoint, in the rest of its path.
func (h *Handler) serveFunction(w http.ResponseWriter, r *http.Request, kind registry.Kind, run []string) {
	if r.Method != http.MethodPost && (r.Method != http.MethodGet || kind != registry.Query) {
		w.Header().Set("Allow", "POST")
		writeTransportError(w, &transportError{http.StatusMethodNotAllowed, "MethodNotAllowed", "use POST"})
		return
	}
	from, limit, err := h.credentials(r)
	if err != nil {
		h.writeRefusal(w, r, err)
		return
	}
	from.BaseURL = h.Site.BaseURL(r)
	c := call{kind: kind, from: from}
	if r.Method == http.MethodGet {
		err = c.parseURL(r)
	} else {
		var body *httpx.Held
		budget, caller := h.Bodies, load.Caller(r.Context())
		if from.KeyHolder != nil {
			budget, caller = h.KeyBodies, load.Caller(auth.As(r.Context(), *from.KeyHolder))
		}
		body, err = h.readBody(w, r, limit, budget, caller)
		if err == nil {
			defer body.Release()
			err = c.parseBody(body.Bytes)
		}
	}
	if err == nil && run != nil {
		c.Path, err = runName(run)
	}
	if err == nil {
		if _, e := registry.ParseName(c.Path); e != nil {
			err = badRequest("BadConvexFunctionIdentifier", e.Error())
		}
	}
	if err != nil {
		h.writeRefusal(w, r, err)
		return
	}
	result, kind, caller, err := h.run(r.Context(), c)
	if held := int64(len(result)); err == nil && kind == registry.Query {
		if h.Results.Take(caller, held) {
			defer h.Results.Give(caller, held)
		} else {
			err = fault.New(fault.Unavailable, "too many results wait for their clients; try again shortly")
		}
	}
	if err != nil {
		writeFailure(w, kind, registry.Describe(r.Context(), h.Log, c.Path, err, c.format))
		return
	}
	writeResult(w, r, result)
}

// run runs a function for a request that waits for its answer. It returns the
// encoded result, the function's kind as far as it is known, and who called.
func (h *Handler) run(ctx context.Context, c call) (result []byte, kind registry.Kind, caller string, err error) {
	in, err := h.Registry.Prepare(c.Request, c.kind, c.from)
	if err != nil {
		return nil, h.kindOf(c), "", err
	}
	timeout := h.QueryTimeout
	kind = in.Function.Kind
	if kind != registry.Query {
		timeout = h.WriteTimeout
		// A client that hangs up must not undo what it asked for half-way.
		ctx = context.WithoutCancel(ctx)
		defer h.Sync.Wrote()
	}
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	out, err := h.Registry.Run(ctx, in, nil)
	if err != nil {
		return nil, kind, "", err
	}
	result, err = value.Append(nil, out.Value, c.format)
	return result, kind, out.Caller, err
}

// kindOf returns the kind of function that the client means to call.
func (h *Handler) kindOf(c call) registry.Kind {
	name, _ := registry.ParseName(c.Path)
	if f := h.Registry.Lookup(name); c.kind == registry.AnyKind && f != nil {
		return f.Kind
	}
	return c.kind
}

func parseFormat(text string) (value.Format, error) {
	switch text {
	case "", "json", "convex_clean_json":
		return value.Clean, nil
	case "convex_encoded_json", "convex_json":
		return value.Encoded, nil
	}
	return 0, badRequest("BadFormat", "format must be json or convex_encoded_json")
}

func (c *call) parseURL(r *http.Request) (err error) {
	q := r.URL.Query()
	c.Path, c.Args = q.Get("path"), json.RawMessage(q.Get("args"))
	c.format, err = parseFormat(q.Get("format"))
	return err
}

// parseBody takes a request's body apart; args stay undecoded. A body with
// numbers as Python writes those that are not finite is read, too: the function
// then says which record has one.
func (c *call) parseBody(b []byte) error {
	err := c.parse(b)
	if err != nil {
		if spelt := value.SpellOut(b); len(spelt) != len(b) {
			return c.parse(spelt)
		}
	}
	return err
}

func (c *call) parse(b []byte) error {
	c.format = value.Clean
	err := value.Members(b, "args", func(m value.Member, parts []value.Member) error {
		var err error
		switch m.Name {
		case "path":
			err = json.Unmarshal(m.Value, &c.Path)
		case "args":
			c.Args, c.Parts = m.Value, parts
		case "componentPath":
			err = json.Unmarshal(m.Value, &c.Component)
		case "format":
			var text string
			if err = json.Unmarshal(m.Value, &text); err == nil {
				c.format, err = parseFormat(text)
			}
		}
		return err
	})
	var transport *transportError
	if err != nil && !errors.As(err, &transport) {
		err = badRequest("BadJsonBody", err.Error())
	}
	return err
}

// readBody reads and decompresses a request's body of at most limit bytes, at the
// cost of the caller's share of the budget. Release it.
func (h *Handler) readBody(w http.ResponseWriter, r *http.Request, limit int64, budget *load.Budget, caller string) (*httpx.Held, error) {
	if r.ContentLength > limit {
		return nil, fault.New(fault.TooLarge, "body is larger than %d bytes", limit)
	}
	source, err := httpx.Decode(httpx.NewBody(w, r), r.Header.Get("Content-Encoding"))
	if err != nil {
		if fault.As(err) == nil {
			err = &fault.Error{Kind: fault.Invalid, Message: fmt.Sprintf("body is not %.20q, as its Content-Encoding says", r.Header.Get("Content-Encoding")), Err: err}
		}
		return nil, err
	}
	defer source.Close()
	return httpx.Hold(source, limit, budget, caller)
}

// credentials reads the Authorization header and checks a deploy key, so that
// a wrong one is refused before the body is read. It also returns how large the
// body may be.
func (h *Handler) credentials(r *http.Request) (registry.Caller, int64, error) {
	c, known := httpx.Credentials(r.Header.Get("Authorization"))
	if !known {
		return registry.Caller{}, 0, &transportError{http.StatusUnauthorized, "BadAuthorization", "Authorization must be Convex <deploy key> or Bearer <token>"}
	}
	scheme, _, _ := strings.Cut(strings.TrimSpace(r.Header.Get("Authorization")), " ")
	if c.Key == "" && !strings.EqualFold(scheme, "convex") {
		return registry.Caller{Credentials: c}, h.MaxBody, nil
	}
	from, err := h.Registry.CheckKey(r.Context(), c.Key)
	return from, h.MaxKeyBody, err
}
