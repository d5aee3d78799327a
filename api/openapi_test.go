package api

import (
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/ecovolt/telemetryd/api/openapi"
)

// whole is a server that has all its parts, as far as its routes tell.
var whole = &server{Deps: Deps{Config: Config{PublicURL: "https://telemetry.example"}}}

func description(t *testing.T) []byte {
	t.Helper()
	body, err := whole.describe()
	if err != nil {
		t.Fatal(err)
	}
	return body
}

// TestDescriptionIsWhole holds that in the description everything has a name of its
// own and a meaning. TestDescriptionForTools holds that it is sound OpenAPI.
func TestDescriptionIsWhole(t *testing.T) {
	t.Parallel()
	for _, route := range whole.routes() {
		if route.Answers == nil {
			t.Errorf("%s %s: no answer is declared", route.Method, route.Path)
		}
	}
	type described struct{ Name, Description *string }
	var parsed struct {
		Paths map[string]map[string]struct {
			OperationID string
			Parameters  []described
		}
		Components struct {
			Schemas map[string]struct{ Properties map[string]described }
		}
	}
	if err := json.Unmarshal(description(t), &parsed); err != nil {
		t.Fatal(err)
	}
	if n := len(parsed.Paths); n < 15 {
		t.Errorf("%d paths", n)
	}
	empty := func(d described) bool { return d.Description != nil && *d.Description == "" }
	ids, operations := map[string]bool{}, 0
	for path, methods := range parsed.Paths {
		for method, operation := range methods {
			operations++
			if ids[operation.OperationID] {
				t.Errorf("operation id %s stands twice", operation.OperationID)
			}
			ids[operation.OperationID] = true
			for _, p := range operation.Parameters {
				if empty(p) {
					t.Errorf("%s %s: parameter %s has no meaning", method, path, *p.Name)
				}
			}
		}
	}
	if routes := len(whole.routes()); operations != routes {
		t.Errorf("%d operations of %d routes", operations, routes)
	}
	for name, component := range parsed.Components.Schemas {
		for member, schema := range component.Properties {
			if empty(schema) {
				t.Errorf("%s.%s: an empty meaning", name, member)
			}
		}
	}
}

func TestReferenceNamesEveryRoute(t *testing.T) {
	t.Parallel()
	page, err := openapi.Reference(whole.operations())
	if err != nil {
		t.Fatal(err)
	}
	for _, route := range whole.routes() {
		path := regexp.MustCompile(`:([a-z_]+)`).ReplaceAllString(route.Path, "{$1}")
		if !strings.Contains(string(page), "<code>"+path+"</code>") {
			t.Errorf("the page does not show %s", path)
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
