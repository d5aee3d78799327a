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
	for _, o := range operations {
		about, detail, _ := strings.Cut(o.About, ". ")
		shown := referenceOperation{ID: o.id(), Method: o.Method, Path: o.openPath(), Summary: about, Description: detail}
		for _, p := range o.Params {
			shown.Params = append(shown.Params, referenceParam{p.Name, p.In, p.Tag.Get("doc"), strings.Join(p.Enum, ", ")})
		}
		if len(tags) == 0 || tags[len(tags)-1].Tag != o.tag() {
			tags = append(tags, referenceTag{Tag: o.tag()})
		}
		last := &tags[len(tags)-1]
		last.Operations = append(last.Operations, shown)
	}
	var out bytes.Buffer
	if err := page.Execute(&out, tags); err != nil {
		return nil, err
	}
	return out.Bytes(), nil
}
