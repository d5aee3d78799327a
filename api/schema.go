package api

import (
	"encoding/json"
	"fmt"
	"reflect"
	"strings"
	"time"

	"github.com/ecovolt/telemetryd/auth"
	"github.com/ecovolt/telemetryd/internal/fault"
	"github.com/ecovolt/telemetryd/timeseries/channel"
)

// object is a JSON object of the API description.
type object = map[string]any

// schemas makes JSON schemas of Go types. Named structs become components.
type schemas struct {
	components object
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
type describer interface{ schema() object }

func (s *schemas) of(t reflect.Type) object {
	if t.Implements(reflect.TypeFor[describer]()) {
		return s.component(t, func() object { return reflect.Zero(t).Interface().(describer).schema() })
	}
	switch t {
	case reflect.TypeFor[time.Time]():
		return object{"type": "string", "format": "date-time"}
	case reflect.TypeFor[json.RawMessage]():
		return object{}
	case reflect.TypeFor[[]byte]():
		return object{"type": "string", "format": "binary"}
	}
	switch t.Kind() {
	case reflect.Pointer:
		return nullable(s.of(t.Elem()))
	case reflect.Bool:
		return object{"type": "boolean"}
	case reflect.String:
		out := object{"type": "string"}
		if values, ok := enums[t]; ok {
			out["enum"] = values
		}
		return out
	case reflect.Float64, reflect.Float32:
		return object{"type": "number"}
	case reflect.Int, reflect.Int64, reflect.Int32, reflect.Int16:
		return object{"type": "integer"}
	case reflect.Slice, reflect.Array:
		return object{"type": "array", "items": s.of(t.Elem())}
	case reflect.Map:
		return object{"type": "object", "additionalProperties": s.of(t.Elem())}
	case reflect.Interface:
		return object{}
	case reflect.Struct:
		if t.Name() == "" {
			out := s.members(t, "")
			out["additionalProperties"] = false // of a body: other members are refused
			return out
		}
		return s.component(t, func() object { return s.members(t, componentName(t)) })
	}
	panic("no schema for " + t.String())
}

func nullable(schema object) object {
	if kind, ok := schema["type"].(string); ok {
		schema["type"] = []string{kind, "null"}
		if values, ok := schema["enum"].([]string); ok {
			schema["enum"] = append(toAny(values), nil)
		}
		return schema
	}
	return object{"anyOf": []object{schema, {"type": "null"}}}
}

func toAny(values []string) []any {
	out := make([]any, len(values))
	for i, v := range values {
		out[i] = v
	}
	return out
}

// component describes a type once, and refers to it.
func (s *schemas) component(t reflect.Type, describe func() object) object {
	name := componentName(t)
	known, ok := s.types[name]
	if ok && known != t {
		panic(fmt.Sprintf("%s and %s are both called %s", known, t, name))
	}
	if !ok {
		s.types[name] = t
		s.components[name] = describe()
	}
	return object{"$ref": "#/components/schemas/" + name}
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
func (s *schemas) members(t reflect.Type, component string) object {
	properties, required := object{}, []string{}
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
	out := object{"type": "object", "properties": properties}
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

// recordAnswer is a record: its channels are the members.
type recordAnswer struct{}

func (recordAnswer) schema() object {
	members := object{
		"session_id": object{"type": "string", "description": "Id of the run, at most 256 bytes"},
		"timestamp": object{
			"type": "string", "description": "When the vehicle measured, ISO 8601; returned as received",
			"examples": []string{"2026-03-21T21:41:10.272851+00:00"},
		},
	}
	for _, c := range channel.All {
		about := c.Meaning
		if c.Unit != "" {
			about += ", " + c.Unit
		}
		member := object{"description": about}
		switch c.Type {
		case channel.Float:
			member["type"] = []string{"number", "null"}
		case channel.Int:
			member["type"] = []string{"integer", "null"}
		case channel.Text:
			member["type"] = []string{"string", "null"}
		}
		members[c.Name] = member
	}
	return object{
		"type": "object", "description": "One record; a channel that has no value is absent or null. Members that are no channel are kept as they are.",
		"properties": members, "required": []string{"timestamp"}, "additionalProperties": true,
	}
}

// numbers is a column of a chart.
type numbers []*float64

// span is a stretch of an axis.
type span [2]float64

// metricAnswer is the columns of one metric; all are as long as t.
type metricAnswer struct {
	Unit   string  `json:"unit" doc:"Unit of the values"`
	Step   float64 `json:"step" doc:"Usual time between the run's records that have the metric, s; 0 when unknown"`
	After  float64 `json:"gap_after" doc:"A longer silence of the metric is a gap, s"`
	Gaps   []span  `json:"gaps" doc:"Begin and end of each gap on the axis: the last sample before it and the first one after, where a rollup serves the window up to a column's width. A null elsewhere is no gap"`
	Min    numbers `json:"min" doc:"Lowest value of the bucket; null where no record has the metric"`
	Max    numbers `json:"max" doc:"Highest value"`
	Avg    numbers `json:"avg" doc:"Mean of the values"`
	Count  []int   `json:"count" doc:"Records that have the metric; 0 also where a value was carried on"`
	First  numbers `json:"first,omitempty" doc:"mode=m4: first value of the pixel column"`
	FirstT numbers `json:"first_t,omitempty" doc:"Its place on the axis"`
	Last   numbers `json:"last,omitempty" doc:"mode=m4: last value of the pixel column"`
	LastT  numbers `json:"last_t,omitempty" doc:"Its place on the axis"`
}

// stateAnswer is the column of a text state, such as driver_mode.
type stateAnswer struct {
	Last []*string `json:"last" doc:"Newest value in the bucket; null where no record has one"`
}

// columnsAnswer is either.
type columnsAnswer struct{}

func (columnsAnswer) schema() object {
	return object{"anyOf": []object{{"$ref": "#/components/schemas/Metric"}, {"$ref": "#/components/schemas/State"}}}
}

// seriesAnswer describes what series.Answer.AppendJSON writes.
type seriesAnswer struct {
	Align    string                `json:"align" enum:"time,elapsed,distance" doc:"What the axis t is"`
	Mode     string                `json:"mode" enum:"minmax,m4"`
	Fill     string                `json:"fill" enum:"gap,null,locf"`
	Points   int                   `json:"points" doc:"Points asked for"`
	From     float64               `json:"from,omitempty" doc:"Begin of the window, ms since 1970; with align=time"`
	To       float64               `json:"to,omitempty" doc:"Its end, not part of it"`
	Settled  bool                  `json:"settled" doc:"No records came for a while, or the run has ended"`
	Sessions []sessionSeriesAnswer `json:"sessions"`
}

type sessionSeriesAnswer struct {
	Session string                   `json:"session_id"`
	Version string                   `json:"version" doc:"Changes whenever the run's records do"`
	Level   string                   `json:"level" doc:"What served the bulk: raw, or a rollup such as 10s"`
	Records bool                     `json:"records" doc:"The points are the records themselves: there are no more than points"`
	Bucket  float64                  `json:"bucket" doc:"Width of a bucket in the unit of t; 0 for records"`
	T       []float64                `json:"t" doc:"Begin of each bucket: ms since 1970, s since the run's start, or m"`
	Metrics map[string]columnsAnswer `json:"metrics" doc:"By name. Text states, such as driver_mode, have only the newest of each bucket"`
}

// trackAnswer describes what series.Track.AppendGeoJSON writes.
type trackAnswer struct {
	Type       string           `json:"type" enum:"Feature"`
	Geometry   *lines           `json:"geometry" doc:"Parted where there was no fix for 30 s"`
	Properties propertiesAnswer `json:"properties"`
}

type lines struct {
	Type        string        `json:"type" enum:"MultiLineString"`
	Coordinates [][][]float64 `json:"coordinates" doc:"Longitude and latitude, deg"`
}

type propertiesAnswer struct {
	Session   string      `json:"session_id"`
	Tolerance float64     `json:"tolerance_m" doc:"How far a measured position may lie from the line, m"`
	Measured  int         `json:"measured" doc:"Positions it was drawn from"`
	Times     [][]float64 `json:"times" doc:"When each position was measured, ms since 1970"`
}
