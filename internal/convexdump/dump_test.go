package convexdump_test

import (
	"archive/zip"
	"bytes"
	"compress/gzip"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/ecovolt/telemetryd/internal/convexdump"
)

// snapshot makes a ZIP of the named files.
func snapshot(t testing.TB, files map[string]string) []byte {
	t.Helper()
	var buf bytes.Buffer
	archive := zip.NewWriter(&buf)
	for name, content := range files {
		w, err := archive.Create(name)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := w.Write([]byte(content)); err != nil {
			t.Fatal(err)
		}
	}
	if err := archive.Close(); err != nil {
		t.Fatal(err)
	}
	return buf.Bytes()
}

func gzipped(t testing.TB, text string) string {
	t.Helper()
	var buf bytes.Buffer
	w := gzip.NewWriter(&buf)
	if _, err := w.Write([]byte(text)); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return buf.String()
}

func read(t testing.TB, files map[string]string) *convexdump.Dump {
	t.Helper()
	content := snapshot(t, files)
	d, err := convexdump.Read(bytes.NewReader(content), int64(len(content)))
	if err != nil {
		t.Fatal(err)
	}
	return d
}

func documents(d *convexdump.Dump, table string) (list []string, err error) {
	for document, err := range d.Documents(table) {
		if err != nil {
			return list, err
		}
		list = append(list, string(document))
	}
	return list, nil
}

func TestSnapshotLayout(t *testing.T) {
	t.Parallel()
	d := read(t, map[string]string{
		"README.md":                              "# Welcome",
		"_tables/documents.jsonl":                `{"name":"users","id":10001}` + "\n",
		"users/generated_schema.jsonl":           `"any"` + "\n",
		"users/documents.jsonl":                  "{\"_id\":\"a\"}\n\n{\"_id\":\"b\"}\n",
		"empty/documents.jsonl":                  "",
		"_storage/documents.jsonl":               `{"_id":"kg1"}` + "\n",
		"_storage/kg1.gz":                        gzipped(t, `[{"x":1}, {"x":2}]`),
		"_storage/kg2":                           "plain",
		"_components/mail/users/documents.jsonl": `{"_id":"other"}` + "\n",
	})
	if diff := cmp.Diff([]string{"_storage", "_tables", "empty", "users"}, d.Tables()); diff != "" {
		t.Errorf("tables (-want +got):\n%s", diff)
	}
	for table, want := range map[string][]string{"users": {`{"_id":"a"}`, `{"_id":"b"}`}, "empty": nil, "none": nil} {
		got, err := documents(d, table)
		if diff := cmp.Diff(want, got); diff != "" || err != nil {
			t.Errorf("%s: error %v (-want +got):\n%s", table, err, diff)
		}
	}
	if !d.Has("users") || d.Has("none") || !d.HasFiles() {
		t.Error("wrong about what the snapshot has")
	}
	var records []string
	for record, err := range d.ArchivedRecords("kg1") {
		if err != nil {
			t.Fatal(err)
		}
		records = append(records, string(record))
	}
	if diff := cmp.Diff([]string{`{"x":1}`, `{"x":2}`}, records); diff != "" {
		t.Errorf("records (-want +got):\n%s", diff)
	}
	if _, err := d.File("kg3"); !errors.Is(err, convexdump.ErrNoFile) {
		t.Errorf("a missing file: error %v", err)
	}
	for range d.Documents("users") { // stopping early must be possible
		break
	}
	for range d.ArchivedRecords("kg1") {
		break
	}
}

func TestOpenFile(t *testing.T) {
	t.Parallel()
	name := filepath.Join(t.TempDir(), "snapshot.zip")
	if err := os.WriteFile(name, snapshot(t, map[string]string{"t/documents.jsonl": "{}\n"}), 0o600); err != nil {
		t.Fatal(err)
	}
	d, err := convexdump.Open(name)
	if err != nil {
		t.Fatal(err)
	}
	if list, err := documents(d, "t"); len(list) != 1 || err != nil {
		t.Errorf("%v, %v", list, err)
	}
	if err := d.Close(); err != nil {
		t.Error(err)
	}
	if _, err := convexdump.Open(name + ".none"); err == nil {
		t.Error("opened a file that is not there")
	}
}

func TestDamagedSnapshots(t *testing.T) {
	t.Parallel()
	for name, files := range map[string]map[string]string{
		"no tables":   {"README.md": "x"},
		"only nested": {"a/b/documents.jsonl": "{}"},
	} {
		content := snapshot(t, files)
		if _, err := convexdump.Read(bytes.NewReader(content), int64(len(content))); err == nil {
			t.Errorf("%s: taken for a snapshot", name)
		}
	}
	if _, err := convexdump.Read(strings.NewReader("no zip"), 6); err == nil {
		t.Error("text was taken for a snapshot")
	}
	d := read(t, map[string]string{
		"array/documents.jsonl": "{}\n[]\n", "cut/documents.jsonl": "{\"a\":", "text/documents.jsonl": "hello",
		"long/documents.jsonl": `{"a":"` + strings.Repeat("x", convexdump.MaxDocument) + `"}`,
		"_storage/a.gz":        "not gzip", "_storage/b.gz": gzipped(t, `{"a":1}`), "_storage/c.gz": gzipped(t, `[{"a":1}`),
		"_storage/d.gz": gzipped(t, `[{"a":1}] []`), "_storage/e.gz": gzipped(t, `[{"a":1}]`)[:30],
	})
	for _, table := range []string{"array", "cut", "text", "long"} {
		if _, err := documents(d, table); err == nil || !strings.Contains(err.Error(), table) {
			t.Errorf("%s: error %v does not name the table", table, err)
		}
	}
	for _, file := range []string{"a", "b", "c", "d", "e", "missing"} {
		var failed error
		for _, err := range d.ArchivedRecords(file) {
			failed = err
		}
		if failed == nil || !strings.Contains(failed.Error(), `"`+file+`"`) {
			t.Errorf("file %s: error %v does not name it", file, failed)
		}
	}
}

func TestAll(t *testing.T) {
	t.Parallel()
	type user struct {
		ID   string  `json:"_id"`
		Name *string `json:"name"`
	}
	d := read(t, map[string]string{"users/documents.jsonl": "{\"_id\":\"a\",\"name\":\"Ada\"}\n{\"_id\":\"b\",\"more\":1}\n", "bad/documents.jsonl": `{"_id":1}`})
	users, err := convexdump.All[user](d, "users")
	ada := "Ada"
	if diff := cmp.Diff([]user{{"a", &ada}, {"b", nil}}, users); diff != "" || err != nil {
		t.Errorf("error %v (-want +got):\n%s", err, diff)
	}
	if _, err := convexdump.All[user](d, "bad"); err == nil {
		t.Error("a document of another form was accepted")
	}
}

func FuzzRead(f *testing.F) {
	f.Add(snapshot(f, map[string]string{"t/documents.jsonl": "{\"a\":1}\n", "_storage/documents.jsonl": "{}", "_storage/x.gz": gzipped(f, `[{"a":1}]`)}))
	f.Add([]byte("PK"))
	f.Fuzz(func(t *testing.T, content []byte) {
		d, err := convexdump.Read(bytes.NewReader(content), int64(len(content)))
		if err != nil {
			return
		}
		for _, table := range d.Tables() {
			n := 0
			for document, err := range d.Documents(table) {
				if err == nil && (len(document) == 0 || document[0] != '{') {
					t.Errorf("%q is no document", document)
				}
				if n++; n > 1000 {
					break
				}
			}
		}
		_, _ = convexdump.All[map[string]any](d, "t")
	})
}

func FuzzArchivedRecords(f *testing.F) {
	f.Add([]byte(`[{"a":1},{"b":[1,2]}]`))
	f.Add([]byte(`[`))
	f.Fuzz(func(t *testing.T, text []byte) {
		d := read(t, map[string]string{"t/documents.jsonl": "", "_storage/x.gz": gzipped(t, string(text))})
		ended := false
		for record, err := range d.ArchivedRecords("x") {
			if ended {
				t.Fatal("the sequence went on after an error")
			}
			ended = err != nil
			if err == nil && len(record) == 0 {
				t.Error("an empty record")
			}
		}
	})
}
