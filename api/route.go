package api

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"reflect"
	"slices"
	"strings"

	"github.com/ecovolt/telemetryd/api/openapi"
	"github.com/ecovolt/telemetryd/auth"
	"github.com/ecovolt/telemetryd/internal/fault"
	"github.com/ecovolt/telemetryd/internal/httpx"
)

// route is one REST endpoint. What its handler reads and answers and what the
// description says of it come from the same declaration; see doc.go.
type route struct {
	// For an Action that reads one session the Path must have an :id: the session
	// is looked up, the rule applied to it, and it is found in request.Session.
	openapi.Operation
	// anyQuery takes query parameters that are not declared, as the clients of
	// archive files send.
	anyQuery bool
	// unhurried lets the route take as long as its client and its work move on.
	unhurried bool
	handle    func(*request) error
}

// none is the parameters, or the answer, of a route that has none.
type none struct{}

type option func(*route)

// as is a body of a media type that T describes.
func as[T any](media string) openapi.Content {
	return openapi.Content{Media: media, Of: reflect.TypeFor[T]()}
}

func answers(status int, about string, of ...openapi.Content) option {
	return func(r *route) { r.Answers = append(r.Answers, openapi.Answer{Status: status, About: about, Of: of}) }
}

func takes(of ...openapi.Content) option { return func(r *route) { r.Body = of } }
func failsWith(k ...fault.Kind) option   { return func(r *route) { r.Fails = append(r.Fails, k...) } }
func takesAnyQuery(r *route)             { r.anyQuery = true }
func unhurried(r *route)                 { r.unhurried = true }
func created(about string) option        { return answers(http.StatusCreated, about) }
func notModified() option                { return answers(http.StatusNotModified, "Not changed") }
func jsonOf[T any]() openapi.Content     { return as[T]("application/json") }
func plain(media string) openapi.Content { return as[string](media) }
func returns[T any](about string) option { return answers(http.StatusOK, about, jsonOf[T]()) }

// jsonRoute declares a route whose parameters P holds, with a JSON body in its
// member Body if there is one, and whose answer is A as JSON. Without an option
// that says otherwise it answers 200, or 204 where A is none.
func jsonRoute[P, A any](method, path string, action auth.Action, about string, handle func(*request, *P) (A, error), options ...option) route {
	r := rawRoute(method, path, action, about, nil, options...)
	r.Take(reflect.TypeFor[P]())
	kind := reflect.TypeFor[A]()
	hasBody := kind != reflect.TypeFor[none]()
	switch {
	case !hasBody:
		r.Answers = append([]openapi.Answer{{Status: http.StatusNoContent, About: "Done"}}, r.Answers...)
	case len(r.Answers) == 0 || r.Answers[0].Status > 299:
		r.Answers = append([]openapi.Answer{{Status: http.StatusOK, About: "The answer"}}, r.Answers...)
	}
	if hasBody && r.Answers[0].Of == nil {
		r.Answers[0].Of = []openapi.Content{jsonOf[A]()}
	}
	status := r.Answers[0].Status
	r.handle = func(req *request) error {
		var in P
		if err := req.read(r.Params, reflect.ValueOf(&in).Elem()); err != nil {
			return err
		}
		out, err := handle(req, &in)
		if err != nil {
			return err
		}
		if !hasBody {
			return req.answer(status, nil)
		}
		return req.answer(status, out)
	}
	return r
}

// streamRoute declares a route that reads P and writes its answer itself, as
// the options describe it.
func streamRoute[P any](method, path string, action auth.Action, about string, handle func(*request, *P) error, options ...option) route {
	r := rawRoute(method, path, action, about, nil, options...)
	r.Take(reflect.TypeFor[P]())
	r.handle = func(req *request) error {
		var in P
		if err := req.read(r.Params, reflect.ValueOf(&in).Elem()); err != nil {
			return err
		}
		return handle(req, &in)
	}
	return r
}

func rawRoute(method, path string, action auth.Action, about string, handle func(*request) error, options ...option) route {
	r := route{Operation: openapi.Operation{Method: method, Path: path, Action: action, About: about}, handle: handle}
	for _, o := range options {
		o(&r)
	}
	return r
}

// refuseUnknown names the query parameters that the route does not have: one
// that is misspelt would else be taken for absent.
func (r *route) refuseUnknown(query string) error {
	values, err := url.ParseQuery(query)
	if r.anyQuery {
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

// read fills the declared struct from the request.
func (r *request) read(params []openapi.Param, into reflect.Value) error {
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

// answer sends a JSON answer that nobody may keep a copy of; nil is one without
// a body.
func (r *request) answer(status int, body any) error {
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
