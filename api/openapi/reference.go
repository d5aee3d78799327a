package openapi

import (
	"bytes"
	_ "embed"
	"html/template"
	"strings"
)

//go:embed reference.html
var referenceHTML string

// referenceTag is a group of operations on the reference page.
type referenceTag struct {
	Tag        string
	Operations []referenceOperation
}

type referenceOperation struct {
	ID, Method, Path, Summary, Description string
	Params                                 []referenceParam
}

type referenceParam struct{ Name, In, About, Values string }

// Reference returns a page, in HTML, of the same operations as the description.
// It needs no script.
func Reference(operations []Operation) ([]byte, error) {
	page, err := template.New("reference").Parse(referenceHTML)
	if err != nil {
		return nil, err
	}
	var tags []referenceTag
	known := map[string]int{} // the routes of one tag need not follow each other
	for _, o := range operations {
		about, detail, _ := strings.Cut(o.About, ". ")
		shown := referenceOperation{ID: o.id(), Method: o.Method, Path: o.openPath(), Summary: about, Description: detail}
		for _, p := range o.Params {
			shown.Params = append(shown.Params, referenceParam{p.Name, p.In, p.Tag.Get("doc"), strings.Join(p.Enum, ", ")})
		}
		at, ok := known[o.tag()]
		if !ok {
			at = len(tags)
			known[o.tag()] = at
			tags = append(tags, referenceTag{Tag: o.tag()})
		}
		tags[at].Operations = append(tags[at].Operations, shown)
	}
	var out bytes.Buffer
	if err := page.Execute(&out, tags); err != nil {
		return nil, err
	}
	return out.Bytes(), nil
}
