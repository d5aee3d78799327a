package main

import (
	"archive/zip"
	"os"
	"path/filepath"
	"testing"

	"github.com/ecovolt/telemetryd/internal/dbtest"
)

// convexSnapshot writes a snapshot of those files.
func convexSnapshot(t *testing.T, files map[string]string) string {
	t.Helper()
	name := filepath.Join(t.TempDir(), "snapshot.zip")
	out, err := os.Create(name)
	if err != nil {
		t.Fatal(err)
	}
	archive := zip.NewWriter(out)
	for name, content := range files {
		w, err := archive.Create(name)
		if err == nil {
			_, err = w.Write([]byte(content))
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	if err := archive.Close(); err != nil {
		t.Fatal(err)
	}
	if err := out.Close(); err != nil {
		t.Fatal(err)
	}
	return name
}

func TestImportConvexCommand(t *testing.T) {
	t.Parallel()
	pool, url := dbtest.New(t), dbtest.URL(t)
	record := `{"_id":"k1","_creationTime":1774000000000.5,"session_id":"run","timestamp":"2026-03-21T10:00:00+00:00","speed_ms":5.0,"message_id":1.0}`
	whole := convexSnapshot(t, map[string]string{
		"README.md": "#", "telemetry/documents.jsonl": record + "\n",
		"sessions/documents.jsonl": `{"_id":"s1","session_id":"run","record_count":1.0}` + "\n",
	})
	broken := convexSnapshot(t, map[string]string{
		"telemetry/documents.jsonl": record + "\n" + `{"_id":"k2","_creationTime":1.0,"session_id":"run","timestamp":5.0}` + "\n", // a text that is no time would be set aside
	})
	for _, step := range []struct {
		name    string
		args    []string
		code    int
		records int
	}{
		{"dry run", []string{whole, "--dry-run"}, 0, 0},
		{"dry run of a broken one", []string{broken, "--dry-run"}, 1, 0},
		{"first", []string{whole}, 0, 1},
		{"second", []string{whole}, 0, 1},
		{"no snapshot", []string{os.Args[0]}, 1, 1},
		{"no file", []string{"none.zip"}, 2, 1},
	} {
		args := append([]string{"import-convex", "--quiet", "--database-url", url}, step.args...)
		if code := run(t.Context(), args); code != step.code {
			t.Errorf("%s: exit code %d, want %d", step.name, code, step.code)
		}
		var records int
		if err := pool.QueryRow(t.Context(), "SELECT count(*) FROM telemetry").Scan(&records); err != nil || records != step.records {
			t.Errorf("%s: %d records are stored, error %v; want %d", step.name, records, err, step.records)
		}
	}
}
