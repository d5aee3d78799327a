package api

import (
	"net/http"
	"regexp"
	"slices"
	"strings"

	"github.com/ecovolt/telemetryd/auth"
	"github.com/ecovolt/telemetryd/timeseries/channel"
)

// object is a JSON object of the API description.
type object = map[string]any

func (s *server) descriptionRoutes() []Route {
	return []Route{
		{http.MethodGet, "/api/v1/openapi.json", auth.ReadPublic, s.getDescription},
		{http.MethodGet, "/api/v1/docs", auth.ReadPublic, s.getReference},
	}
}

// operation describes one route for its users. Parameters that stand in the
// path, the access rule and the error answers are added from the route itself.
type operation struct {
	about   string
	params  []object
	body    object // requestBody, or nil
	answers object // by status
}

// pathParameter matches gin's form of a parameter in a path.
var pathParameter = regexp.MustCompile(`:([a-z_]+)`)

// describe writes the OpenAPI 3.1 description of the routes. A route without an
// operation is left out; a test holds that there is none.
func describe(routes []Route, version string) object {
	paths := object{}
	for _, route := range routes {
		op, ok := operations[route.Method+" "+route.Path]
		if !ok {
			continue
		}
		path := pathParameter.ReplaceAllString(route.Path, "{$1}")
		item, _ := paths[path].(object)
		if item == nil {
			item = object{}
			paths[path] = item
		}
		item[strings.ToLower(route.Method)] = op.describe(route)
	}
	return object{
		"openapi": "3.1.0",
		"info": object{
			"title": "telemetryd", "version": version,
			"description": "A vehicle's telemetry: stored, read at any zoom, live. Times are UTC. Errors are problem documents (RFC 9457).",
			"license":     object{"name": "see the LICENSE file"},
		},
		"paths": paths,
		"components": object{
			"schemas":         schemas(),
			"securitySchemes": securitySchemes,
		},
	}
}

var securitySchemes = object{
	"token":     object{"type": "http", "scheme": "bearer", "description": "Token of a signed-in account."},
	"deployKey": object{"type": "apiKey", "in": "header", "name": "Authorization", "description": "`Convex <deploy key>`, or `Bearer <deploy key>`."},
}

func (op operation) describe(route Route) object {
	about, detail, _ := strings.Cut(op.about, ". ")
	out := object{
		"operationId": operationID(route), "summary": strings.TrimSuffix(about, "."),
		"description": strings.TrimSpace(detail + "\n\nNeeds the permission `" + string(route.Action) + "`."),
		"tags":        []string{tagOf(route.Path)},
	}
	var params []object
	for _, name := range pathParameter.FindAllStringSubmatch(route.Path, -1) {
		params = append(params, object{"name": name[1], "in": "path", "required": true, "schema": object{"type": "string"}})
	}
	if params = append(params, op.params...); len(params) > 0 {
		out["parameters"] = params
	}
	if op.body != nil {
		out["requestBody"] = op.body
	}
	answers := object{"default": object{
		"description": "What went wrong",
		"content":     object{"application/problem+json": object{"schema": ref("Problem")}},
	}}
	for status, answer := range op.answers {
		answers[status] = answer
	}
	out["responses"] = answers
	// An empty requirement means that no credential is needed at all times:
	// public routes, and reads of what is live.
	out["security"] = []object{{}, {"token": []string{}}, {"deployKey": []string{}}}
	if guest := auth.Allow(auth.Principal{}, route.Action, auth.SessionAge{}); !guest.Allowed && !slices.Contains([]auth.Action{auth.ReadRecords, auth.ReadSeries}, route.Action) {
		out["security"] = []object{{"token": []string{}}, {"deployKey": []string{}}}
	}
	return out
}

// operationID makes a name such as get_sessions_id_series.
func operationID(route Route) string {
	path := strings.TrimPrefix(route.Path, "/api/v1/")
	return strings.ToLower(route.Method) + "_" + strings.Trim(regexp.MustCompile(`[^a-z0-9]+`).ReplaceAllString(path, "_"), "_")
}

func tagOf(path string) string {
	tag, _, _ := strings.Cut(strings.TrimPrefix(path, "/api/v1/"), "/")
	return strings.TrimSuffix(tag, ".json")
}

func ref(name string) object { return object{"$ref": "#/components/schemas/" + name} }

// schemas describes the bodies. Records follow the list of fields.
func schemas() object {
	text, number, integer := object{"type": "string"}, object{"type": "number"}, object{"type": "integer"}
	moment := object{"type": "string", "format": "date-time"}
	maybe := func(kind string) object { return object{"type": []string{kind, "null"}} }
	record := object{
		"session_id": object{"type": "string", "description": "Id of the run, at most 256 bytes"},
		"timestamp":  object{"type": "string", "description": "When the vehicle measured, ISO 8601; given back as received", "examples": []string{"2026-03-21T21:41:10.272851+00:00"}},
	}
	for _, f := range channel.All {
		about := f.Meaning
		if f.Unit != "" {
			about += ", " + f.Unit
		}
		field := object{"description": about}
		switch f.Type {
		case channel.Float:
			field["type"] = "number"
		case channel.Int:
			field["type"] = "integer"
		case channel.Text:
			field["type"] = "string"
		}
		record[f.Name] = field
	}
	of := func(properties object) object { return object{"type": "object", "properties": properties} }
	list := func(items object) object { return object{"type": "array", "items": items} }
	problem := of(object{"index": object{"type": "integer", "description": "Zero-based place of the record"}, "field": text, "reason": text})
	session := of(object{
		"session_id": text, "session_name": maybe("string"), "start_time": text, "end_time": text, "duration_s": number,
		"record_count": integer, "watermark": object{"type": "integer", "description": "Number of the newest batch"},
		"version": object{"type": "string", "description": "Changes whenever the records or the metadata do; named in a request for series, it lets the answer be kept"},
		"live":    object{"type": "boolean"}, "ended_at": maybe("string"), "updated_at": moment,
	})
	user := of(object{"user_id": text, "email": text, "name": maybe("string"), "role": text, "requested_role": maybe("string"), "approval_status": text, "created_at": moment})
	key := of(object{
		"id": text, "name": text, "scope": text, "prefix": text, "created_at": moment, "expires_at": maybe("string"),
		"revoked_at": maybe("string"), "last_used_at": maybe("string"), "key": object{"type": "string", "description": "The key itself; shown once, when it is made"},
	})
	all := object{
		"Record":  object{"type": "object", "properties": record, "required": []string{"session_id", "timestamp"}, "additionalProperties": true},
		"Problem": of(object{"type": text, "title": text, "status": integer, "detail": text, "code": text, "problems": list(problem), "request_id": text}),
		"Session": session,
		"Ingested": of(object{
			"inserted": integer, "already_stored": integer, "rejected": integer, "problems": list(problem),
			"sessions": list(of(object{"session_id": text, "inserted": integer, "already_stored": integer, "batch": integer})),
		}),
		"Sessions":   of(object{"sessions": list(ref("Session")), "next_cursor": maybe("string")}),
		"Records":    of(object{"records": list(ref("Record")), "next_cursor": maybe("string")}),
		"Token":      of(object{"token": text, "user_id": text, "expires_at": moment}),
		"User":       user,
		"Users":      of(object{"users": list(ref("User"))}),
		"Key":        key,
		"Keys":       of(object{"keys": list(ref("Key"))}),
		"Audit":      of(object{"events": list(object{"type": "object"}), "next_cursor": maybe("string")}),
		"Fields":     of(object{"fields": list(of(object{"name": text, "type": text, "unit": maybe("string"), "meaning": text, "charted": object{"type": "boolean"}}))}),
		"AnyObject":  object{"type": "object"},
		"NewAccount": object{"type": "object", "required": []string{"email", "password"}, "properties": object{"email": text, "password": text, "name": text, "role": text, "requested_role": text}},
	}
	addSeriesSchemas(all)
	return all
}

func (s *server) getDescription(r *Request) error {
	body, err := s.description()
	if err != nil {
		return err
	}
	r.Header("Cache-Control", "public, max-age=300")
	r.Data(http.StatusOK, "application/json", body)
	return nil
}
