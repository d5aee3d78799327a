package openapi

import (
	"net/http"
	"reflect"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/ecovolt/telemetryd/auth"
	"github.com/ecovolt/telemetryd/internal/fault"
	"github.com/ecovolt/telemetryd/internal/httpx/problem"
)

// pathParameter matches gin's form of a parameter in a path.
var pathParameter = regexp.MustCompile(`:([a-z_]+)`)

// openPath is the path in the description's form.
func (o *Operation) openPath() string { return pathParameter.ReplaceAllString(o.Path, "{$1}") }

// Describe returns the OpenAPI 3.1 description of the operations. base is the
// URL that clients use; "" is where the description came from. named are types
// that those which describe themselves refer to as components.
func Describe(operations []Operation, base string, named ...reflect.Type) Object {
	kinds := &schemas{components: Object{}, types: map[string]reflect.Type{}}
	for _, t := range append(named, reflect.TypeFor[problem.Problem]()) {
		kinds.of(t)
	}
	paths, failures := Object{}, Object{}
	for _, o := range operations {
		path := o.openPath()
		item, _ := paths[path].(Object)
		if item == nil {
			item = Object{}
			paths[path] = item
		}
		item[strings.ToLower(o.Method)] = o.describe(kinds, failures)
	}
	if base == "" {
		base = "/"
	}
	return Object{
		"openapi": "3.1.0",
		"info": Object{
			"title": "telemetryd", "version": "1",
			"description": "A vehicle's telemetry: stored, read at any zoom, live. Times are UTC. Errors are problem documents (RFC 9457). Query parameters that a route does not have are refused.",
			"license":     Object{"name": "Apache 2.0", "identifier": "Apache-2.0"},
		},
		"servers":    []Object{{"url": base}},
		"tags":       tags(operations),
		"paths":      paths,
		"components": Object{"schemas": kinds.components, "responses": failures, "securitySchemes": securitySchemes},
	}
}

var securitySchemes = Object{
	"token":     Object{"type": "http", "scheme": "bearer", "description": "Token of a signed-in account."},
	"deployKey": Object{"type": "apiKey", "in": "header", "name": "Authorization", "description": "`Convex <deploy key>`, or `Bearer <deploy key>`."},
}

func tags(operations []Operation) []Object {
	var tags []Object
	for _, o := range operations {
		if tag := o.tag(); !slices.ContainsFunc(tags, func(known Object) bool { return known["name"] == tag }) {
			tags = append(tags, Object{"name": tag, "description": tagMeanings[tag]})
		}
	}
	return tags
}

func (o *Operation) describe(kinds *schemas, failures Object) Object {
	about, detail, _ := strings.Cut(o.About, ". ")
	out := Object{
		"operationId": o.id(), "summary": strings.TrimSuffix(about, "."),
		"description": strings.TrimSpace(detail + "\n\nNeeds the permission `" + string(o.Action) + "`."),
		"tags":        []string{o.tag()},
	}
	if params := o.describeParams(); len(params) > 0 {
		out["parameters"] = params
	}
	if o.Body != nil {
		out["requestBody"] = Object{"required": true, "content": describeContent(kinds, o.Body)}
	}
	responses := Object{"default": failure(failures, fault.Internal)}
	for _, a := range o.Answers {
		response := Object{"description": a.About}
		if a.Of != nil {
			response["content"] = describeContent(kinds, a.Of)
		}
		responses[strconv.Itoa(a.Status)] = response
	}
	for _, kind := range o.failures() {
		responses[strconv.Itoa(kind.Status())] = failure(failures, kind)
	}
	out["responses"] = responses
	// An empty requirement means that no credential is needed at all times:
	// public routes, and reads of what is live.
	out["security"] = []Object{{"token": []string{}}, {"deployKey": []string{}}}
	if o.open() {
		out["security"] = []Object{{}, {"token": []string{}}, {"deployKey": []string{}}}
	}
	return out
}

// open reports whether the route may answer a caller without a credential.
func (o *Operation) open() bool {
	guest := auth.Allow(auth.Principal{}, o.Action, auth.SessionAge{})
	return guest.Allowed || o.Action == auth.ReadRecords || o.Action == auth.ReadSeries
}

// failures are the kinds that the route's callers must expect.
func (o *Operation) failures() []fault.Kind {
	kinds := []fault.Kind{fault.Invalid, fault.Unauthenticated, fault.Unavailable}
	if guest := auth.Allow(auth.Principal{}, o.Action, auth.SessionAge{}); !guest.Allowed {
		kinds = append(kinds, fault.Forbidden)
	}
	if strings.Contains(o.Path, ":") {
		kinds = append(kinds, fault.NotFound)
	}
	if o.Body != nil {
		kinds = append(kinds, fault.TooLarge)
	}
	return append(kinds, o.Fails...)
}

// failure refers to the answer of a kind, which stands among the components.
func failure(failures Object, kind fault.Kind) Object {
	name := kind.FunctionCode()
	response := Object{
		"description": failureMeanings[kind],
		"content": Object{"application/problem+json": Object{
			"schema":  Object{"$ref": "#/components/schemas/Problem"},
			"example": problem.Problem{Type: "about:blank", Title: http.StatusText(kind.Status()), Status: kind.Status(), Detail: failureMeanings[kind]},
		}},
	}
	if (&fault.Error{Kind: kind}).Wait() > 0 {
		response["headers"] = Object{"Retry-After": Object{"description": "Seconds to wait", "schema": Object{"type": "integer"}}}
	}
	failures[name] = response
	return Object{"$ref": "#/components/responses/" + name}
}

// examples are of records in the forms that no schema tells.
var examples = map[string]string{
	"application/x-ndjson": `{"session_id":"practice","timestamp":"2026-03-21T21:41:10.272851+00:00","speed_ms":14.43}` + "\n",
	"text/csv":             "session_id,timestamp,speed_ms,voltage_v\npractice,2026-03-21T21:41:10.272851+00:00,14.43,46.04\n",
}

func describeContent(kinds *schemas, of []Content) Object {
	out := Object{}
	for _, c := range of {
		described := Object{"schema": kinds.of(c.Of)}
		if example := examples[c.Media]; example != "" && c.Of.Kind() == reflect.String {
			described["example"] = example
		}
		out[c.Media] = described
	}
	return out
}

func (o *Operation) describeParams() []Object {
	var params []Object
	for _, name := range pathParameter.FindAllStringSubmatch(o.Path, -1) {
		params = append(params, Object{
			"name": name[1], "in": "path", "required": true, "description": pathMeanings[o.tag()+"."+name[1]], "schema": Object{"type": "string"},
		})
	}
	for _, p := range o.Params {
		described := Object{"name": p.Name, "in": p.In, "description": p.Tag.Get("doc"), "schema": p.schema()}
		if p.Tag.Get("required") != "" {
			described["required"] = true
		}
		example := p.Tag.Get("example")
		if example != "" {
			described["example"] = example
		}
		if p.Kind == reflect.TypeFor[[]string]() {
			described["style"], described["explode"] = "form", false
			if example != "" {
				described["example"] = strings.Split(example, ",")
			}
		}
		params = append(params, described)
	}
	return params
}

func (p *Param) schema() Object {
	out := Object{"type": "string"}
	text := p.Tag.Get("default")
	switch {
	case p.Kind == reflect.TypeFor[[]string]():
		return Object{"type": "array", "items": out}
	case p.Kind == reflect.TypeFor[time.Time]():
		return out
	case p.Kind == reflect.TypeFor[*float64]():
		out["type"] = "number"
		if over, err := strconv.ParseFloat(p.Tag.Get("over"), 64); err == nil {
			out["exclusiveMinimum"] = over
		}
		if v, err := strconv.ParseFloat(text, 64); err == nil {
			out["default"] = v
		}
	case p.Kind.Kind() == reflect.Int || p.Kind.Kind() == reflect.Int64:
		out["type"] = "integer"
		for name, bound := range map[string]int{"minimum": p.Low, "maximum": p.High} {
			if p.Tag.Get(name) != "" {
				out[name] = bound
			}
		}
		if n, err := strconv.Atoi(text); err == nil {
			out["default"] = n
		}
	default:
		if p.Enum != nil {
			out["enum"] = p.Enum
		}
		if text != "" {
			out["default"] = text
		}
	}
	return out
}

// id is a name such as get_sessions_id_series.
func (o *Operation) id() string {
	path := strings.TrimPrefix(o.Path, "/api/v1/")
	return strings.ToLower(o.Method) + "_" + strings.Trim(regexp.MustCompile(`[^a-z0-9]+`).ReplaceAllString(path, "_"), "_")
}

func (o *Operation) tag() string {
	tag, _, _ := strings.Cut(strings.TrimPrefix(o.Path, "/api/v1/"), "/")
	return strings.TrimSuffix(tag, ".json")
}
