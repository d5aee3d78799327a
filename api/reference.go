package api

import (
	"bytes"
	_ "embed"
	"html/template"
	"net/http"
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

// writeReference makes the page from the same routes as the description. It
// needs no script.
func writeReference(routes []route) ([]byte, error) {
	page, err := template.New("reference").Parse(referenceHTML)
	if err != nil {
		return nil, err
	}
	var tags []referenceTag
	for _, route := range routes {
		about, detail, _ := strings.Cut(route.about, ". ")
		shown := referenceOperation{ID: route.id(), Method: route.method, Path: route.openPath(), Summary: about, Description: detail}
		for _, p := range route.params {
			shown.Params = append(shown.Params, referenceParam{p.name, p.in, p.tag.Get("doc"), strings.Join(p.enum, ", ")})
		}
		if len(tags) == 0 || tags[len(tags)-1].Tag != route.tag() {
			tags = append(tags, referenceTag{Tag: route.tag()})
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

func (s *server) getReference(r *request, _ *none) error {
	page, err := s.reference()
	if err != nil {
		return err
	}
	r.Header("Content-Security-Policy", "default-src 'none'; style-src 'unsafe-inline'")
	r.Header("Cache-Control", "public, max-age=300")
	r.Data(http.StatusOK, "text/html; charset=utf-8", page)
	return nil
}
