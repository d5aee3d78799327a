package api

import (
	"encoding/json"
	"fmt"
	"math"
	"net/http"
	"net/url"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/ecovolt/telemetryd/auth"
	"github.com/ecovolt/telemetryd/internal/fault"
	"github.com/ecovolt/telemetryd/internal/httpx"
	"github.com/ecovolt/telemetryd/timeseries/record"
)

// route is one REST endpoint. What its handler reads and answers and what the
// description says of it come from the same declaration; see doc.go.
type route struct {
	method, path string // path in gin's form, such as /api/v1/sessions/:id
	// action is what the caller must be allowed to do. For an action that reads
	// one session the path must have an :id: the session is looked up, the rule
	// applied to it, and it is found in request.Session.
	action auth.Action
	about  string // one sentence, and maybe more behind it
	params []param
	body   []content // what it takes, by media type
	// answers are those of success.
	answers []answer
	fails   []fault.Kind // beyond those that follow from the rest
	// anyQuery takes query parameters that are not declared, as the clients of
	// archive files send.
	anyQuery bool
	handle   func(*request) error
}

// answer is one way in which a route succeeds.
type answer struct {
	status int
	about  string
	of     []content // by media type; none is an answer without a body
}

// content is a body: of describes it where it is JSON, else it is text or bytes.
type content struct {
	media string
	of    reflect.Type
}

// none is the parameters, or the answer, of a route that has none.
type none struct{}

type option func(*route)

// as is a body of a media type that T describes.
func as[T any](media string) content { return content{media, reflect.TypeFor[T]()} }

func answers(status int, about string, of ...content) option {
	return func(r *route) { r.answers = append(r.answers, answer{status, about, of}) }
}

func takes(of ...content) option         { return func(r *route) { r.body = of } }
func failsWith(k ...fault.Kind) option   { return func(r *route) { r.fails = append(r.fails, k...) } }
func takesAnyQuery(r *route)             { r.anyQuery = true }
func created(about string) option        { return answers(http.StatusCreated, about) }
func notModified() option                { return answers(http.StatusNotModified, "Not changed") }
func jsonOf[T any]() content             { return as[T]("application/json") }
func plain(media string) content         { return as[string](media) }
func returns[T any](about string) option { return answers(http.StatusOK, about, jsonOf[T]()) }

// jsonRoute declares a route whose parameters P holds, with a JSON body in its
// member Body if there is one, and whose answer is A as JSON. Without an option
// that says otherwise it answers 200, or 204 where A is none.
func jsonRoute[P, A any](method, path string, action auth.Action, about string, handle func(*request, *P) (A, error), options ...option) route {
	r := rawRoute(method, path, action, about, nil, options...)
	r.params, r.body = declared(reflect.TypeFor[P](), r.body)
	kind := reflect.TypeFor[A]()
	hasBody := kind != reflect.TypeFor[none]()
	switch {
	case !hasBody:
		r.answers = append([]answer{{http.StatusNoContent, "Done", nil}}, r.answers...)
	case len(r.answers) == 0 || r.answers[0].status > 299:
		r.answers = append([]answer{{http.StatusOK, "The answer", nil}}, r.answers...)
	}
	if hasBody && r.answers[0].of == nil {
		r.answers[0].of = []content{{"application/json", kind}}
	}
	status := r.answers[0].status
	r.handle = func(req *request) error {
		var in P
		if err := req.read(r.params, reflect.ValueOf(&in).Elem()); err != nil {
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
	r.params, r.body = declared(reflect.TypeFor[P](), r.body)
	r.handle = func(req *request) error {
		var in P
		if err := req.read(r.params, reflect.ValueOf(&in).Elem()); err != nil {
			return err
		}
		return handle(req, &in)
	}
	return r
}

func rawRoute(method, path string, action auth.Action, about string, handle func(*request) error, options ...option) route {
	r := route{method: method, path: path, action: action, about: about, handle: handle}
	for _, o := range options {
		o(&r)
	}
	return r
}

// param is a parameter in the query or in a header, declared by a struct field:
//
//	Limit int `query:"limit" default:"100" minimum:"1" maximum:"1000" doc:"Most items"`
//
// Fields are string (with enum:"a,b" one of those), int, *float64 (above the
// value of over), time.Time (ISO 8601 or ms since 1970), and []string (given
// several times, or with commas).
type param struct {
	name, in  string
	index     []int
	tag       reflect.StructTag
	kind      reflect.Type
	enum      []string
	low, high int
}

// declared lists the parameters of a struct, and the body where it has one.
func declared(t reflect.Type, body []content) ([]param, []content) {
	var params []param
	for _, f := range reflect.VisibleFields(t) {
		p := param{index: f.Index, tag: f.Tag, kind: f.Type, low: math.MinInt, high: math.MaxInt}
		switch {
		case f.Name == "Body":
			body = []content{{"application/json", f.Type}}
			continue
		case f.Tag.Get("query") != "":
			p.name, p.in = f.Tag.Get("query"), "query"
		case f.Tag.Get("header") != "":
			p.name, p.in = f.Tag.Get("header"), "header"
		default:
			continue // an embedded struct, whose fields come by themselves
		}
		if list := f.Tag.Get("enum"); list != "" {
			p.enum = strings.Split(list, ",")
		}
		if n, err := strconv.Atoi(f.Tag.Get("minimum")); err == nil {
			p.low = n
		}
		if n, err := strconv.Atoi(f.Tag.Get("maximum")); err == nil {
			p.high = n
		}
		params = append(params, p)
	}
	return params, body
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
		if !slices.ContainsFunc(r.params, func(p param) bool { return p.in == "query" && p.name == name }) {
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
func (r *request) read(params []param, into reflect.Value) error {
	for _, p := range params {
		texts := r.Request.Header.Values(p.name)
		if p.in == "query" {
			texts = r.QueryArray(p.name)
		}
		if err := p.set(into.FieldByIndex(p.index), texts); err != nil {
			return err
		}
	}
	if body := into.FieldByName("Body"); body.IsValid() {
		return httpx.ReadJSON(r.Writer, r.Request, body.Addr().Interface())
	}
	return nil
}

func (p *param) set(into reflect.Value, texts []string) error {
	text := p.tag.Get("default")
	if len(texts) > 0 && texts[0] != "" {
		text = texts[0]
	}
	if p.kind == reflect.TypeFor[[]string]() {
		into.Set(reflect.ValueOf(splitList(texts)))
		return nil
	}
	if text == "" {
		return nil
	}
	switch p.kind {
	case reflect.TypeFor[time.Time]():
		t, err := parseMoment(text)
		if err != nil {
			return fault.Field(p.name, "%v, nor milliseconds since 1970", err)
		}
		into.Set(reflect.ValueOf(t))
		return nil
	case reflect.TypeFor[*float64]():
		v, err := strconv.ParseFloat(text, 64)
		if err != nil || math.IsNaN(v) || math.IsInf(v, 0) {
			return fault.Field(p.name, "must be a number")
		}
		if over, err := strconv.ParseFloat(p.tag.Get("over"), 64); err == nil && v <= over {
			return fault.Field(p.name, "must be over %v", over)
		}
		into.Set(reflect.ValueOf(&v))
		return nil
	}
	switch p.kind.Kind() {
	case reflect.Int:
		n, err := strconv.Atoi(text)
		if err != nil || n < p.low || n > p.high {
			return fault.Field(p.name, "must be a whole number from %d to %d", p.low, p.high)
		}
		into.SetInt(int64(n))
	case reflect.String:
		if p.enum != nil && !slices.Contains(p.enum, text) {
			last := len(p.enum) - 1
			return fault.Field(p.name, "must be %s", strings.TrimPrefix(strings.Join(p.enum[:last], ", ")+" or "+p.enum[last], " or "))
		}
		into.SetString(text)
	default:
		panic(fmt.Sprintf("parameter %s: no way to read a %s", p.name, p.kind))
	}
	return nil
}

// splitList splits values between commas, each value once.
func splitList(texts []string) []string {
	var list []string
	for _, text := range texts {
		for value := range strings.SplitSeq(text, ",") {
			if value = strings.TrimSpace(value); value != "" && !slices.Contains(list, value) {
				list = append(list, value)
			}
		}
	}
	return list
}

// parseMoment reads an ISO 8601 time, or milliseconds since the Unix epoch. A
// plus sign that arrived as a space is taken for what it was meant to be.
func parseMoment(text string) (time.Time, error) {
	if ms, err := strconv.ParseFloat(text, 64); err == nil && math.Abs(ms) < 1e14 {
		return time.UnixMicro(int64(ms * 1000)).UTC(), nil
	}
	if i := strings.LastIndexByte(text, ' '); i > len("2006-01-02T15") {
		text = text[:i] + "+" + text[i+1:]
	}
	return record.ParseTime(text)
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
