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

// writeReference makes the page from the same table as the description. It
// needs no script.
func writeReference(routes []Route) ([]byte, error) {
	page, err := template.New("reference").Parse(referenceHTML)
	if err != nil {
		return nil, err
	}
	var tags []referenceTag
	for _, route := range routes {
		op, ok := operations[route.Method+" "+route.Path]
		if !ok {
			continue
		}
		described := op.describe(route)
		shown := referenceOperation{
			ID: operationID(route), Method: route.Method, Path: pathParameter.ReplaceAllString(route.Path, "{$1}"),
			Summary: described["summary"].(string), Description: described["description"].(string),
		}
		params, _ := described["parameters"].([]object)
		for _, p := range params {
			about, _ := p["description"].(string)
			values, _ := p["schema"].(object)["enum"].([]string)
			shown.Params = append(shown.Params, referenceParam{p["name"].(string), p["in"].(string), about, strings.Join(values, ", ")})
		}
		tag := tagOf(route.Path)
		if len(tags) == 0 || tags[len(tags)-1].Tag != tag {
			tags = append(tags, referenceTag{Tag: tag})
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

func (s *server) getReference(r *Request) error {
	page, err := s.reference()
	if err != nil {
		return err
	}
	r.Header("Content-Security-Policy", "default-src 'none'; style-src 'unsafe-inline'")
	r.Header("Cache-Control", "public, max-age=300")
	r.Data(http.StatusOK, "text/html; charset=utf-8", page)
	return nil
}
