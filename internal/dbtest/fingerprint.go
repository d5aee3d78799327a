package dbtest

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"github.com/ecovolt/telemetryd/timeseries/rollup"
)

// fingerprint gives a short name for this version of the schema: a digest of
// the migrations and of the definitions that are rendered behind them, whichever
// files those come from. When any of it changes, tests get a new template.
func fingerprint() (string, error) {
	root, err := checkout()
	if err != nil {
		return "", err
	}
	sum := sha256.New()
	migrations, err := filepath.Glob(filepath.Join(root, "sql", "migrations", "*.sql"))
	if err != nil {
		return "", err
	}
	for _, path := range migrations {
		content, err := os.ReadFile(path)
		if err != nil {
			return "", fmt.Errorf("read the schema's definition: %w", err)
		}
		fmt.Fprintf(sum, "%s %d\n%s", filepath.Base(path), len(content), content)
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
