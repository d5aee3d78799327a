package dbtest

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	schema "github.com/ecovolt/telemetryd/sql"
	"github.com/ecovolt/telemetryd/timeseries/rollup"
)

// fingerprint returns a short name for this version of the schema: a digest of
// the migrations in this program and of the definitions that are rendered behind
// them. When any of it changes, tests get a new template. The files of the
// checkout may be newer than the program that is running.
func fingerprint() (string, error) {
	sum := sha256.New()
	migrations, err := fs.Glob(schema.Migrations, "migrations/*.sql")
	if err != nil {
		return "", err
	}
	for _, path := range migrations {
		content, err := fs.ReadFile(schema.Migrations, path)
		if err != nil {
			return "", fmt.Errorf("read the schema's definition: %w", err)
		}
		fmt.Fprintf(sum, "%s %d\n%s", path, len(content), content)
	}
	for _, continuous := range []bool{false, true} {
		objects, err := rollup.Objects(continuous, nil)
		if err != nil {
			return "", fmt.Errorf("render the schema's definition: %w", err)
		}
		for _, o := range objects {
			fmt.Fprintf(sum, "%s %d\n%s", o.Name, len(o.Definition), o.Definition)
		}
	}
	return hex.EncodeToString(sum.Sum(nil)[:8]), nil
}

// checkout finds the root of the module: tests run in their package's folder.
func checkout() (string, error) {
	dir, err := os.Getwd()
	if err != nil {
		return "", err
	}
	for {
		if _, err := os.Stat(filepath.Join(dir, "go.mod")); err == nil {
			return dir, nil
		}
		parent := filepath.Dir(dir)
		if parent == dir {
			return "", errors.New("no go.mod above the working directory: dbtest only works in a checkout")
		}
		dir = parent
	}
}
