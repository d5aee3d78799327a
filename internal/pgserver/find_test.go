package pgserver_test

import (
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/ecovolt/telemetryd/internal/pgserver"
)

func itoa(n int) string { return strconv.Itoa(n) }

func TestFindRefuses(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		programs map[string]string // name and script
		major    int
		want     string
	}{
		"nothing there":        {nil, 0, "there is no postgres"},
		"no initdb":            {map[string]string{"postgres": "echo x"}, 0, "there is no initdb"},
		"too old":              {map[string]string{"postgres": "echo 'postgres (PostgreSQL) 14.9'", "initdb": ""}, 0, "too old"},
		"another cluster":      {map[string]string{"postgres": "echo 'postgres (PostgreSQL) 17.2'", "initdb": ""}, 16, "made by version 16"},
		"something else":       {map[string]string{"postgres": "echo 'postgrest 12'", "initdb": ""}, 0, "not a PostgreSQL server"},
		"a program that fails": {map[string]string{"postgres": "echo broken >&2; exit 3", "initdb": ""}, 0, "broken"},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			dir := t.TempDir()
			for program, script := range test.programs {
				if err := os.WriteFile(filepath.Join(dir, program), []byte("#!/bin/sh\n"+script+"\n"), 0o755); err != nil {
					t.Fatal(err)
				}
			}
			_, err := pgserver.Find(t.Context(), dir, test.major)
			if err == nil || !strings.Contains(err.Error(), test.want) {
				t.Errorf("error %v, want one with %q", err, test.want)
			}
		})
	}
}
