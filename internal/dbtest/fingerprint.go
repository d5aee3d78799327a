package dbtest

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
)

// definesSchema lists the folders and files of the checkout whose content
// decides what a migrated database looks like. When any of it changes, tests
// get a new template. A pattern that matches nothing is no error.
var definesSchema = []string{
	"sql",
	"timeseries/field*.go", // rollups are made from the list of fields
	"timeseries/rollup*.go",
}

// fingerprint gives a short name for this version of the schema.
func fingerprint() (string, error) {
	root, err := checkout()
	if err != nil {
		return "", err
	}
	sum := sha256.New()
	add := func(path string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() || strings.HasSuffix(path, "_test.go") {
			return err
		}
		content, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		name, err := filepath.Rel(root, path)
		if err != nil {
			return err
		}
		fmt.Fprintf(sum, "%s %d\n", name, len(content))
		sum.Write(content)
		return nil
	}
	for _, pattern := range definesSchema {
		matches, err := filepath.Glob(filepath.Join(root, pattern))
		if err != nil {
			return "", err
		}
		for _, path := range matches {
			if err := filepath.WalkDir(path, add); err != nil {
				return "", fmt.Errorf("read the schema's definition: %w", err)
			}
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
