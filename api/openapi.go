package api

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
	"github.com/ecovolt/telemetryd/internal/httpx"
)

func (s *server) descriptionRoutes() []route {
	return []route{
		streamRoute("GET", "/api/v1/openapi.json", auth.ReadPublic, "Return this description.", s.getDescription,
			answers(http.StatusOK, "An OpenAPI 3.1 document", jsonOf[map[string]any]())),
		streamRoute("GET", "/api/v1/docs", auth.ReadPublic, "Show this description as a page.", s.getReference,
			answers(http.StatusOK, "A page", plain("text/html"))),
	}
}

// pathParameter matches gin's form of a parameter in a path.
var pathParameter = regexp.MustCompile(`:([a-z_]+)`)

// openPath is the path in the description's form.
func (r *route) openPath() string { return pathParameter.ReplaceAllString(r.path, "{$1}") }

// describe writes the OpenAPI 3.1 description of the routes. base is the URL
// that clients use; "" is where the description came from.
func describe(routes []route, base string) object {
	kinds := &schemas{components: object{}, types: map[string]reflect.Type{}}
	for _, t := range []reflect.Type{reflect.TypeFor[httpx.Problem](), reflect.TypeFor[metricAnswer](), reflect.TypeFor[stateAnswer]()} {
		kinds.of(t)
	}
	paths, failures := object{}, object{}
	for _, route := range routes {
		path := route.openPath()
		item, _ := paths[path].(object)
		if item == nil {
			item = object{}
			paths[path] = item
		}
		item[strings.ToLower(route.method)] = route.describe(kinds, failures)
	}
	if base == "" {
		base = "/"
	}
	return object{
		"openapi": "3.1.0",
		"info": object{
			"title": "telemetryd", "version": "1",
			"description": "A vehicle's telemetry: stored, read at any zoom, live. Times are UTC. Errors are problem documents (RFC 9457). Query parameters that a route does not have are refused.",
			"license":     object{"name": "Apache 2.0", "identifier": "Apache-2.0"},
		},
		"servers":    []object{{"url": base}},
		"tags":       tags(routes),
		"paths":      paths,
		"components": object{"schemas": kinds.components, "responses": failures, "securitySchemes": securitySchemes},
	}
}

var securitySchemes = object{
	"token":     object{"type": "http", "scheme": "bearer", "description": "Token of a signed-in account."},
	"deployKey": object{"type": "apiKey", "in": "header", "name": "Authorization", "description": "`Convex <deploy key>`, or `Bearer <deploy key>`."},
}

func tags(routes []route) []object {
	var tags []object
	for i := range routes {
		if tag := routes[i].tag(); !slices.ContainsFunc(tags, func(o object) bool { return o["name"] == tag }) {
			tags = append(tags, object{"name": tag, "description": tagMeanings[tag]})
		}
	}
	return tags
}

func (r *route) describe(kinds *schemas, failures object) object {
	about, detail, _ := strings.Cut(r.about, ". ")
	out := object{
		"operationId": r.id(), "summary": strings.TrimSuffix(about, "."),
		"description": strings.TrimSpace(detail + "\n\nNeeds the permission `" + string(r.action) + "`."),
		"tags":        []string{r.tag()},
	}
	if params := r.describeParams(); len(params) > 0 {
		out["parameters"] = params
	}
	if r.body != nil {
		out["requestBody"] = object{"required": true, "content": describeContent(kinds, r.body)}
	}
	responses := object{"default": failure(failures, fault.Internal)}
	for _, a := range r.answers {
		response := object{"description": a.about}
		if a.of != nil {
			response["content"] = describeContent(kinds, a.of)
		}
		responses[strconv.Itoa(a.status)] = response
	}
	for _, kind := range r.failures() {
		responses[strconv.Itoa(kind.Status())] = failure(failures, kind)
	}
	out["responses"] = responses
	// An empty requirement means that no credential is needed at all times:
	// public routes, and reads of what is live.
	out["security"] = []object{{"token": []string{}}, {"deployKey": []string{}}}
	if r.open() {
		out["security"] = []object{{}, {"token": []string{}}, {"deployKey": []string{}}}
	}
	return out
}

// open reports whether the route may answer a caller without a credential.
func (r *route) open() bool {
	guest := auth.Allow(auth.Principal{}, r.action, auth.SessionAge{})
	return guest.Allowed || r.action == auth.ReadRecords || r.action == auth.ReadSeries
}

// failures are the kinds that the route's callers must expect.
func (r *route) failures() []fault.Kind {
	kinds := []fault.Kind{fault.Invalid, fault.Unauthenticated, fault.Unavailable}
	if guest := auth.Allow(auth.Principal{}, r.action, auth.SessionAge{}); !guest.Allowed {
		kinds = append(kinds, fault.Forbidden)
	}
	if strings.Contains(r.path, ":") {
		kinds = append(kinds, fault.NotFound)
	}
	if r.body != nil {
		kinds = append(kinds, fault.TooLarge)
	}
	return append(kinds, r.fails...)
}

// failure refers to the answer of a kind, which stands among the components.
func failure(failures object, kind fault.Kind) object {
	name := kind.FunctionCode()
	response := object{
		"description": failureMeanings[kind],
		"content": object{"application/problem+json": object{
			"schema":  object{"$ref": "#/components/schemas/Problem"},
			"example": httpx.Problem{Type: "about:blank", Title: http.StatusText(kind.Status()), Status: kind.Status(), Detail: failureMeanings[kind]},
		}},
	}
	if (&fault.Error{Kind: kind}).Wait() > 0 {
		response["headers"] = object{"Retry-After": object{"description": "Seconds to wait", "schema": object{"type": "integer"}}}
	}
	failures[name] = response
	return object{"$ref": "#/components/responses/" + name}
}

func describeContent(kinds *schemas, of []content) object {
	out := object{}
	for _, c := range of {
		out[c.media] = object{"schema": kinds.of(c.of)}
	}
	return out
}

func (r *route) describeParams() []object {
	var params []object
	for _, name := range pathParameter.FindAllStringSubmatch(r.path, -1) {
		params = append(params, object{
			"name": name[1], "in": "path", "required": true, "description": pathMeanings[r.tag()+"."+name[1]], "schema": object{"type": "string"},
		})
	}
	for _, p := range r.params {
		described := object{"name": p.name, "in": p.in, "description": p.tag.Get("doc"), "schema": p.schema()}
		if p.tag.Get("required") != "" {
			described["required"] = true
		}
		example := p.tag.Get("example")
		if example != "" {
			described["example"] = example
		}
		if p.kind == reflect.TypeFor[[]string]() {
			described["style"], described["explode"] = "form", false
			if example != "" {
				described["example"] = splitList([]string{example})
			}
		}
		params = append(params, described)
	}
	return params
}

func (p *param) schema() object {
	out := object{"type": "string"}
	text := p.tag.Get("default")
	switch {
	case p.kind == reflect.TypeFor[[]string]():
		return object{"type": "array", "items": out}
	case p.kind == reflect.TypeFor[time.Time]():
		return out
	case p.kind == reflect.TypeFor[*float64]():
		out["type"] = "number"
		if over, err := strconv.ParseFloat(p.tag.Get("over"), 64); err == nil {
			out["exclusiveMinimum"] = over
		}
		if v, err := strconv.ParseFloat(text, 64); err == nil {
			out["default"] = v
		}
	case p.kind.Kind() == reflect.Int:
		out["type"] = "integer"
		for name, bound := range map[string]int{"minimum": p.low, "maximum": p.high} {
			if p.tag.Get(name) != "" {
				out[name] = bound
			}
		}
		if n, err := strconv.Atoi(text); err == nil {
			out["default"] = n
		}
	default:
		if p.enum != nil {
			out["enum"] = p.enum
		}
		if text != "" {
			out["default"] = text
		}
	}
	return out
}

// id is a name such as get_sessions_id_series.
func (r *route) id() string {
	path := strings.TrimPrefix(r.path, "/api/v1/")
	return strings.ToLower(r.method) + "_" + strings.Trim(regexp.MustCompile(`[^a-z0-9]+`).ReplaceAllString(path, "_"), "_")
}

func (r *route) tag() string {
	tag, _, _ := strings.Cut(strings.TrimPrefix(r.path, "/api/v1/"), "/")
	return strings.TrimSuffix(tag, ".json")
}

func (s *server) getDescription(r *request, _ *none) error {
	body, err := s.description()
	if err != nil {
		return err
	}
	r.Header("Cache-Control", "public, max-age=300")
	r.Header("Content-Type", "application/json")
	httpx.Send(r.Writer, r.Request, http.StatusOK, body)
	return nil
}
