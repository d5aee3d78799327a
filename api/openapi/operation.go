package openapi

import (
	"math"
	"reflect"
	"strconv"
	"strings"

	"github.com/ecovolt/telemetryd/auth"
	"github.com/ecovolt/telemetryd/internal/fault"
)

// Operation is what the description says of one endpoint.
type Operation struct {
	Method, Path string // path in gin's form, such as /api/v1/sessions/:id
	// Action is what the caller must be allowed to do.
	Action auth.Action
	About  string // one sentence, and maybe more behind it
	Params []Param
	Body   []Content // what it takes, by media type
	// Answers are those of success.
	Answers []Answer
	Fails   []fault.Kind // beyond those that follow from the rest
}

// Answer is one way in which an operation succeeds.
type Answer struct {
	Status int
	About  string
	Of     []Content // by media type; none is an answer without a body
}

// Content is a body: Of describes it where it is JSON, else it is text or bytes.
type Content struct {
	Media string
	Of    reflect.Type
}

// Param is a parameter in the query or in a header, declared by a struct field:
//
//	Limit int `query:"limit" default:"100" minimum:"1" maximum:"1000" doc:"Most items"`
//
// Fields are string (with enum:"a,b" one of those), int, *float64 (above the
// value of over), time.Time (ISO 8601 or ms since 1970), and []string (given
// several times, or with commas).
type Param struct {
	Name, In  string // In is query or header
	Index     []int  // of the struct's field
	Tag       reflect.StructTag
	Kind      reflect.Type
	Enum      []string
	Low, High int // bounds of an int, both allowed
}

// Take declares the parameters that a struct lists, and the body where it has a
// member Body.
func (o *Operation) Take(t reflect.Type) {
	for _, f := range reflect.VisibleFields(t) {
		p := Param{Index: f.Index, Tag: f.Tag, Kind: f.Type, Low: math.MinInt, High: math.MaxInt}
		switch {
		case f.Name == "Body":
			o.Body = []Content{{"application/json", f.Type}}
			continue
		case f.Tag.Get("query") != "":
			p.Name, p.In = f.Tag.Get("query"), "query"
		case f.Tag.Get("header") != "":
			p.Name, p.In = f.Tag.Get("header"), "header"
		default:
			continue // an embedded struct, whose fields come by themselves
		}
		if list := f.Tag.Get("enum"); list != "" {
			p.Enum = strings.Split(list, ",")
		}
		if n, err := strconv.Atoi(f.Tag.Get("minimum")); err == nil {
			p.Low = n
		}
		if n, err := strconv.Atoi(f.Tag.Get("maximum")); err == nil {
			p.High = n
		}
		o.Params = append(o.Params, p)
	}
}
