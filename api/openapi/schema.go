package openapi

import (
	"encoding/json"
	"fmt"
	"reflect"
	"strings"
	"time"

	"github.com/ecovolt/telemetryd/auth"
	"github.com/ecovolt/telemetryd/internal/fault"
)

// Object is a JSON object of the description.
type Object = map[string]any

// schemas makes JSON schemas of Go types. Named structs become components.
type schemas struct {
	components Object
	types      map[string]reflect.Type // of each component
}

// enums are the values of the named strings on the wire.
var enums = map[reflect.Type][]string{
	reflect.TypeFor[auth.Role]():     {"guest", "external", "internal", "admin"},
	reflect.TypeFor[auth.Scope]():    {"ingest", "admin"},
	reflect.TypeFor[auth.Approval](): {"approved", "pending", "rejected"},
}

// describer is a type that describes itself, since its JSON is not that of its
// members.
type describer interface{ Schema() Object }

func (s *schemas) of(t reflect.Type) Object {
	if t.Implements(reflect.TypeFor[describer]()) {
		return s.component(t, func() Object { return reflect.Zero(t).Interface().(describer).Schema() })
	}
	switch t {
	case reflect.TypeFor[time.Time]():
		return Object{"type": "string", "format": "date-time"}
	case reflect.TypeFor[json.RawMessage]():
		return Object{}
	case reflect.TypeFor[[]byte]():
		return Object{"type": "string", "format": "binary"}
	}
	switch t.Kind() {
	case reflect.Pointer:
		return nullable(s.of(t.Elem()))
	case reflect.Bool:
		return Object{"type": "boolean"}
	case reflect.String:
		out := Object{"type": "string"}
		if values, ok := enums[t]; ok {
			out["enum"] = values
		}
		return out
	case reflect.Float64, reflect.Float32:
		return Object{"type": "number"}
	case reflect.Int, reflect.Int64, reflect.Int32, reflect.Int16:
		return Object{"type": "integer"}
	case reflect.Slice, reflect.Array:
		return Object{"type": "array", "items": s.of(t.Elem())}
	case reflect.Map:
		return Object{"type": "object", "additionalProperties": s.of(t.Elem())}
	case reflect.Interface:
		return Object{}
	case reflect.Struct:
		if t.Name() == "" {
			out := s.members(t, "")
			out["additionalProperties"] = false // of a body: other members are refused
			return out
		}
		return s.component(t, func() Object { return s.members(t, componentName(t)) })
	}
	panic("no schema for " + t.String())
}

func nullable(schema Object) Object {
	if kind, ok := schema["type"].(string); ok {
		schema["type"] = []string{kind, "null"}
		if values, ok := schema["enum"].([]string); ok {
			schema["enum"] = append(toAny(values), nil)
		}
		return schema
	}
	return Object{"anyOf": []Object{schema, {"type": "null"}}}
}

func toAny(values []string) []any {
	out := make([]any, len(values))
	for i, v := range values {
		out[i] = v
	}
	return out
}

// component describes a type once, and refers to it.
func (s *schemas) component(t reflect.Type, describe func() Object) Object {
	name := componentName(t)
	known, ok := s.types[name]
	if ok && known != t {
		panic(fmt.Sprintf("%s and %s are both called %s", known, t, name))
	}
	if !ok {
		s.types[name] = t
		s.components[name] = describe()
	}
	return Object{"$ref": "#/components/schemas/" + name}
}

// componentName is the Go type's, without what says that it is one of REST.
func componentName(t reflect.Type) string {
	if t == reflect.TypeFor[fault.Problem]() {
		return "InputProblem"
	}
	name := strings.TrimSuffix(strings.TrimSuffix(t.Name(), "View"), "Answer")
	return strings.ToUpper(name[:1]) + name[1:]
}

// members describes a struct as encoding/json writes it. A member that may be
// left out is not required; what it means is its doc tag, or in meanings.
func (s *schemas) members(t reflect.Type, component string) Object {
	properties, required := Object{}, []string{}
	for _, f := range reflect.VisibleFields(t) {
		name, options, _ := strings.Cut(f.Tag.Get("json"), ",")
		if name == "" || name == "-" {
			continue
		}
		member := s.of(f.Type)
		if f.Tag.Get("nullable") != "" {
			member = nullable(member)
		}
		if list := f.Tag.Get("enum"); list != "" {
			member["enum"] = strings.Split(list, ",")
			if f.Type.Kind() == reflect.Pointer {
				member["enum"] = append(toAny(strings.Split(list, ",")), nil)
			}
		}
		if about := meaning(component, name, f.Tag); about != "" {
			member["description"] = about
		}
		if example := f.Tag.Get("example"); example != "" {
			member["examples"] = []string{example}
		}
		properties[name] = member
		if !strings.Contains(options, "omitempty") && !strings.Contains(options, "omitzero") {
			required = append(required, name)
		}
	}
	out := Object{"type": "object", "properties": properties}
	if len(required) > 0 {
		out["required"] = required
	}
	return out
}

func meaning(component, name string, tag reflect.StructTag) string {
	if about := tag.Get("doc"); about != "" {
		return about
	}
	if about := meanings[component+"."+name]; about != "" {
		return about
	}
	return meanings[name]
}
