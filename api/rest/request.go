package rest

import (
	"context"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"reflect"

	"github.com/gin-gonic/gin"

	"github.com/ecovolt/telemetryd/api/openapi"
	"github.com/ecovolt/telemetryd/auth"
	"github.com/ecovolt/telemetryd/internal/fault"
	"github.com/ecovolt/telemetryd/internal/httpx"
	"github.com/ecovolt/telemetryd/internal/load"
	"github.com/ecovolt/telemetryd/timeseries"
)

// Request is a call of a route that the access rules let through.
type Request struct {
	*gin.Context
	Principal auth.Principal
	Session   *timeseries.Session // for routes about one session; never nil there
	Decision  auth.Decision
	Results   *load.Budget // of all requests
	Lines     *httpx.Lines // the answer, where it is one of lines and has begun
}

// read fills the declared struct from the request.
func (r *Request) read(params []openapi.Param, into reflect.Value) error {
	for _, p := range params {
		texts := r.Request.Header.Values(p.Name)
		if p.In == "query" {
			texts = r.QueryArray(p.Name)
		}
		if err := p.Read(into.FieldByIndex(p.Index), texts); err != nil {
			return err
		}
	}
	if body := into.FieldByName("Body"); body.IsValid() {
		return httpx.ReadJSON(r.Writer, r.Request, body.Addr().Interface())
	}
	return nil
}

// Answer sends a JSON answer that nobody may keep a copy of; nil is one without
// a body.
func (r *Request) Answer(status int, body any) error {
	r.Header("Cache-Control", "no-store")
	if body == nil {
		r.Status(status)
		r.Writer.WriteHeaderNow()
		return nil
	}
	text, err := json.Marshal(body)
	if err != nil {
		return fmt.Errorf("encode answer: %w", err)
	}
	r.Header("Content-Type", "application/json; charset=utf-8")
	httpx.Send(r.Writer, r.Request, status, text)
	return nil
}

// Cacheable answers with a body that is known by its content. What can
// change is asked for again each time, which costs no transfer while it did not.
func (r *Request) Cacheable(contentType string, body []byte, pinned, settled bool) error {
	sum := sha256.Sum256(body)
	etag := `"` + base64.RawURLEncoding.EncodeToString(sum[:15]) + `"`
	r.Header("ETag", "W/"+etag) // weak: the body may be compressed
	switch {
	case pinned:
		r.Header("Cache-Control", "private, max-age=31536000, immutable")
	case settled:
		r.Header("Cache-Control", "private, max-age=10, stale-while-revalidate=600")
	default:
		r.Header("Cache-Control", "private, no-cache")
	}
	// Who may read a session depends on the credential.
	r.Writer.Header().Add("Vary", "Authorization")
	if httpx.Matches(r.Request, etag) {
		r.Status(http.StatusNotModified)
		return nil
	}
	release, err := r.Hold(body)
	if err != nil {
		return err
	}
	defer release()
	r.Header("Content-Type", contentType)
	httpx.Send(r.Writer, r.Request, http.StatusOK, body)
	return nil
}

// Hold counts an answer among those that wait for their clients to take them.
func (r *Request) Hold(body []byte) (release func(), err error) {
	caller := load.Caller(r.Request.Context())
	if !r.Results.Take(caller, int64(len(body))) {
		return nil, fault.Busy("too many answers wait for their clients; try again")
	}
	return func() { r.Results.Give(caller, int64(len(body))) }, nil
}

// CacheableJSON is Cacheable for what encoding/json writes.
func (r *Request) CacheableJSON(of any) error {
	body, err := json.Marshal(of)
	if err != nil {
		return fmt.Errorf("encode answer: %w", err)
	}
	return r.Cacheable("application/json", body, false, false)
}

// Listed is an id that a parameter lists, where a comma of its own is %2C: values are
// decoded before they are cut at commas.
func Listed(item string) string {
	if id, err := url.PathUnescape(item); err == nil {
		return id
	}
	return item
}

// Link names the next page in a Link header (RFC 8288).
func (r *Request) Link(cursor string) {
	query := r.Request.URL.Query()
	query.Set("cursor", cursor)
	r.Header("Link", fmt.Sprintf(`<%s?%s>; rel="next"`, r.Request.URL.EscapedPath(), query.Encode()))
}

// Audited makes the transaction that the handler begins under the context enter the
// event as done by the caller, or not commit.
func (r *Request) Audited(event string, detail map[string]any) context.Context {
	return auth.Audited(r.Request.Context(), r.Principal, auth.Event{Name: event, Detail: detail})
}
