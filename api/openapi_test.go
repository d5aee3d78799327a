package api

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/pb33f/libopenapi"

	"github.com/ecovolt/telemetryd/timeseries"
)

// everyRoute lists the routes of a server that has all its parts.
func everyRoute() []Route {
	return (&server{Deps: Deps{Archives: new(timeseries.Archives)}}).Routes()
}

// TestDescriptionIsWhole holds that every route is described, that nothing else
// is, and that the description is a sound OpenAPI document.
func TestDescriptionIsWhole(t *testing.T) {
	t.Parallel()
	routes := everyRoute()
	known := map[string]bool{}
	for _, route := range routes {
		name := route.Method + " " + route.Path
		known[name] = true
		if _, ok := operations[name]; !ok {
			t.Errorf("%s is not described", name)
		}
	}
	for name := range operations {
		if !known[name] {
			t.Errorf("%s is described, but there is no such route", name)
		}
	}
	body, err := json.Marshal(describe(routes, "test"))
	if err != nil {
		t.Fatal(err)
	}
	document, err := libopenapi.NewDocument(body)
	if err != nil {
		t.Fatal(err)
	}
	model, err := document.BuildV3Model()
	if err != nil {
		t.Fatal(err)
	}
	if n := model.Model.Paths.PathItems.Len(); n < 15 {
		t.Errorf("%d paths", n)
	}
	ids := map[string]bool{}
	for _, route := range routes {
		id := operationID(route)
		if ids[id] {
			t.Errorf("operation id %s stands twice", id)
		}
		ids[id] = true
	}
}

func TestReferenceNamesEveryRoute(t *testing.T) {
	t.Parallel()
	page, err := writeReference(everyRoute())
	if err != nil {
		t.Fatal(err)
	}
	for _, route := range everyRoute() {
		if path := pathParameter.ReplaceAllString(route.Path, "{$1}"); !strings.Contains(string(page), "<code>"+path+"</code>") {
			t.Errorf("the page does not show %s", path)
		}
	}
}
