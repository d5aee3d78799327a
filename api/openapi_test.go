package api

import (
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"reflect"
	"strings"
	"testing"

	"github.com/pb33f/libopenapi"
)

// everyRoute lists the routes of a server that has all its parts.
func everyRoute() []route {
	return new(server).routes()
}

func description(t *testing.T) []byte {
	t.Helper()
	body, err := json.MarshalIndent(describe(everyRoute(), "https://telemetry.example"), "", " ")
	if err != nil {
		t.Fatal(err)
	}
	return body
}

// TestDescriptionIsWhole holds that the description is a sound OpenAPI document
// in which everything has a name of its own and a meaning.
func TestDescriptionIsWhole(t *testing.T) {
	t.Parallel()
	document, err := libopenapi.NewDocument(description(t))
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
	for _, route := range everyRoute() {
		if ids[route.id()] {
			t.Errorf("operation id %s stands twice", route.id())
		}
		ids[route.id()] = true
		if route.answers == nil {
			t.Errorf("%s %s: no answer is declared", route.method, route.path)
		}
		for _, p := range route.describeParams() {
			if p["description"] == "" {
				t.Errorf("%s %s: parameter %s has no meaning", route.method, route.path, p["name"])
			}
		}
	}
	kinds := &schemas{components: object{}, types: map[string]reflect.Type{}}
	for _, route := range everyRoute() {
		route.describe(kinds, object{})
	}
	for name, component := range kinds.components {
		members, _ := component.(object)["properties"].(object)
		for member, schema := range members {
			if text := schema.(object)["description"]; text == "" {
				t.Errorf("%s.%s: an empty meaning", name, member)
			}
		}
	}
}

func TestReferenceNamesEveryRoute(t *testing.T) {
	t.Parallel()
	page, err := writeReference(everyRoute())
	if err != nil {
		t.Fatal(err)
	}
	for _, route := range everyRoute() {
		if !strings.Contains(string(page), "<code>"+route.openPath()+"</code>") {
			t.Errorf("the page does not show %s", route.openPath())
		}
	}
}

// TestDescriptionForTools lints the description, generates a client's types from
// it and compiles a client that uses them: test/openapi.
func TestDescriptionForTools(t *testing.T) {
	t.Parallel()
	folder, err := filepath.Abs("../test/openapi")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(filepath.Join(folder, "node_modules")); err != nil {
		t.Fatal("the tools are not installed; run: npm ci --prefix test/openapi")
	}
	work := t.TempDir()
	if err := os.WriteFile(filepath.Join(work, "openapi.json"), description(t), 0o600); err != nil {
		t.Fatal(err)
	}
	for name, target := range map[string]string{"client.ts": "client.ts", "node_modules": "node_modules", "redocly.yaml": "redocly.yaml", "tsconfig.json": "tsconfig.json"} {
		if err := os.Symlink(filepath.Join(folder, target), filepath.Join(work, name)); err != nil {
			t.Fatal(err)
		}
	}
	for _, command := range [][]string{
		{"redocly", "lint", "--config", "redocly.yaml", "openapi.json"},
		{"openapi-typescript", "openapi.json", "--output", "schema.d.ts"},
		{"tsc", "--project", "tsconfig.json", "--preserveSymlinks"},
	} {
		cmd := exec.CommandContext(t.Context(), filepath.Join(folder, "node_modules", ".bin", command[0]), command[1:]...)
		cmd.Dir = work
		cmd.Env = append(os.Environ(), "CI=1", "REDOCLY_TELEMETRY=off", "REDOCLY_SUPPRESS_UPDATE_NOTICE=true")
		if output, err := cmd.CombinedOutput(); err != nil {
			t.Fatalf("%s: %v\n%s", command[0], err, output)
		}
	}
}
