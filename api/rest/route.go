package rest

import (
	"net/http"
	"net/url"
	"reflect"
	"slices"
	"strings"

	"github.com/ecovolt/telemetryd/api/openapi"
	"github.com/ecovolt/telemetryd/auth"
	"github.com/ecovolt/telemetryd/internal/fault"
)

// Route is one REST endpoint. What its handler reads and answers and what the
// description says of it come from the same declaration.
type Route struct {
	// For an Action that reads one session the Path must have an :id: the session
	// is looked up, the rule applied to it, and it is found in Request.Session.
	openapi.Operation
	// AnyQuery takes query parameters that are not declared, as the clients of
	// archive files send.
	AnyQuery bool
	// Unhurried lets the route take as long as its client and its work move on.
	Unhurried bool
	Handle    func(*Request) error
}

// None is the parameters, or the answer, of a route that has none.
type None struct{}

// Option says more of a route.
type Option func(*Route)

// As is a body of a media type that T describes.
func As[T any](media string) openapi.Content {
	return openapi.Content{Media: media, Of: reflect.TypeFor[T]()}
}

// Answers is what a route answers with a status.
func Answers(status int, about string, of ...openapi.Content) Option {
	return func(r *Route) { r.Answers = append(r.Answers, openapi.Answer{Status: status, About: about, Of: of}) }
}

// The other options.
func Takes(of ...openapi.Content) Option { return func(r *Route) { r.Body = of } }
func FailsWith(k ...fault.Kind) Option   { return func(r *Route) { r.Fails = append(r.Fails, k...) } }
func TakesAnyQuery(r *Route)             { r.AnyQuery = true }
func Unhurried(r *Route)                 { r.Unhurried = true }
func Created(about string) Option        { return Answers(http.StatusCreated, about) }
func NotModified() Option                { return Answers(http.StatusNotModified, "Not changed") }
func JSONOf[T any]() openapi.Content     { return As[T]("application/json") }
func Plain(media string) openapi.Content { return As[string](media) }
func Returns[T any](about string) Option { return Answers(http.StatusOK, about, JSONOf[T]()) }

// JSON declares a route whose parameters P holds, with a JSON body in its
// member Body if there is one, and whose answer is A as JSON. Without an option
// that says otherwise it answers 200, or 204 where A is None.
func JSON[P, A any](method, path string, action auth.Action, about string, handle func(*Request, *P) (A, error), options ...Option) Route {
	r := raw(method, path, action, about, nil, options...)
	r.Take(reflect.TypeFor[P]())
	kind := reflect.TypeFor[A]()
	hasBody := kind != reflect.TypeFor[None]()
	switch {
	case !hasBody:
		r.Answers = append([]openapi.Answer{{Status: http.StatusNoContent, About: "Done"}}, r.Answers...)
	case len(r.Answers) == 0 || r.Answers[0].Status > 299:
		r.Answers = append([]openapi.Answer{{Status: http.StatusOK, About: "The answer"}}, r.Answers...)
	}
	if hasBody && r.Answers[0].Of == nil {
		r.Answers[0].Of = []openapi.Content{JSONOf[A]()}
	}
	status := r.Answers[0].Status
	r.Handle = func(req *Request) error {
		var in P
		if err := req.read(r.Params, reflect.ValueOf(&in).Elem()); err != nil {
			return err
		}
		out, err := handle(req, &in)
		if err != nil {
			return err
		}
		if !hasBody {
			return req.Answer(status, nil)
		}
		return req.Answer(status, out)
	}
	return r
}

// Stream declares a route that reads P and writes its answer itself, as
// the options describe it.
func Stream[P any](method, path string, action auth.Action, about string, handle func(*Request, *P) error, options ...Option) Route {
	r := raw(method, path, action, about, nil, options...)
	r.Take(reflect.TypeFor[P]())
	r.Handle = func(req *Request) error {
		var in P
		if err := req.read(r.Params, reflect.ValueOf(&in).Elem()); err != nil {
			return err
		}
		return handle(req, &in)
	}
	return r
}

func raw(method, path string, action auth.Action, about string, handle func(*Request) error, options ...Option) Route {
	r := Route{Operation: openapi.Operation{Method: method, Path: path, Action: action, About: about}, Handle: handle}
	for _, o := range options {
		o(&r)
	}
	return r
}

// RefuseUnknown names the query parameters that the route does not have: one
// that is misspelt would else be taken for absent.
func (r *Route) RefuseUnknown(query string) error {
	values, err := url.ParseQuery(query)
	if r.AnyQuery {
		return nil
	}
	if err != nil {
		return fault.New(fault.Invalid, "the query cannot be read: %v", err)
	}
	var unknown []fault.Problem
	for name := range values {
		if !slices.ContainsFunc(r.Params, func(p openapi.Param) bool { return p.In == "query" && p.Name == name }) {
			unknown = append(unknown, fault.Problem{Field: name, Reason: "is not a parameter of this route"})
		}
	}
	if unknown == nil {
		return nil
	}
	slices.SortFunc(unknown, func(a, b fault.Problem) int { return strings.Compare(a.Field, b.Field) })
	return &fault.Error{Kind: fault.Invalid, Message: "invalid input", Problems: unknown}
}
